import type { Config } from '../config/schema.ts';
import { makePrivatePath } from '../engines/hosted/private-path.ts';
import { serveEngine } from '../engines/hosted/serve-engine.ts';
import { startEngine } from '../engines/index.ts';
import type { Logger } from '../log.ts';
import type { EngineMetrics } from '../metrics/engine-metrics.ts';

/** The engine that all workers of a gateway use. It runs in this process. */
export interface SharedEngine {
  /** Where workers reach it, by `connectEngine`. */
  readonly path: string;
  /** Ends the workers' streams too. Idempotent. */
  close(): Promise<void>;
}

/**
 * Starts the engine that the configuration names, for all workers.
 * @throws GatewayError with a message for the operator when it cannot be started; what was started is closed again
 */
export async function shareEngine(config: Config, log: Logger, metrics: EngineMetrics): Promise<SharedEngine> {
  // Each part is closed whatever happens to the others, the last one first.
  const parts = new AsyncDisposableStack();
  try {
    const engine = await startEngine(config, log, metrics);
    parts.defer(() => engine.close());
    const { path, remove } = await makePrivatePath();
    parts.defer(remove);
    const host = await serveEngine(engine, path);
    parts.defer(() => host.close());
    return { path, close: () => parts.disposeAsync() };
  } catch (error) {
    await parts.disposeAsync();
    throw error;
  }
}
