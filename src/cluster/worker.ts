import cluster from 'node:cluster';
import { setupWorker } from '@socket.io/sticky';
import type { Server } from 'socket.io';
import { App, type DrainPace, StartupError } from '../app.ts';
import type { Config } from '../config/schema.ts';
import { connectEngine } from '../engines/hosted/connect-engine.ts';
import { GatewayError } from '../errors.ts';
import { closeOnOrder } from '../lifecycle.ts';
import type { Logger } from '../log.ts';
import { ENGINE_VARIABLE, SLOT_VARIABLE } from './crew.ts';
import { type Envelope, type FromWorker, type ToWorker, unwrap } from './messages.ts';

/**
 * How often the metrics go to the primary unasked, in milliseconds: what a worker counted since then is lost when it is
 * killed.
 */
const REPORT_MS = 2_000;

/** The place of this process in the crew of a primary, from 1; undefined if it is no worker of one. */
export function slotOfThisProcess(): number | undefined {
  const slot = Number(process.env[SLOT_VARIABLE]);
  return cluster.isWorker && slot > 0 ? slot : undefined;
}

/** One worker of a cluster: a whole gateway, but for the ports. Runs until the primary ends it or is gone. */
export async function work(config: Config, gatewayLog: Logger, slot: number): Promise<void> {
  const log = gatewayLog.child({ worker: slot });
  const enginePath = process.env[ENGINE_VARIABLE];
  const starting = App.start(config, log, {
    ...(enginePath !== undefined && { startEngine: () => connectEngine(enginePath) }),
    worker: { takeConnections: (server) => takeConnections(server as unknown as Server) },
  });
  const report = async (app: App, request?: number) => {
    await tell({ type: 'metrics', request, metrics: await app.metricsSnapshot() });
  };
  const close = async (pace: DrainPace) => {
    const app = await starting.catch(() => undefined);
    if (app === undefined) return;
    await app.close(pace);
    await report(app);
  };
  const end = closeOnOrder(close, config.drainTimeoutMs, log, () => void tell({ type: 'failing' }));
  process.on('message', (received: unknown) => {
    const message = unwrap<ToWorker>(received);
    if (message === undefined) return;
    switch (message.type) {
      case 'drain':
        end(message.pace);
        break;
      case 'report':
        starting.then((app) => report(app, message.request)).catch(() => undefined);
        break;
      default:
        message satisfies never;
    }
  });
  try {
    const app = await starting;
    setInterval(() => {
      // Nothing but another worker helps: its sessions go on there.
      if (!app.liveness.ok) throw new Error('audio of a session was left lying');
      void tell({ type: 'readiness', verdict: app.readiness });
      void report(app);
    }, REPORT_MS).unref();
    await tell({ type: 'ready', engine: app.engineName });
  } catch (error) {
    if (!(error instanceof StartupError || error instanceof GatewayError)) throw error;
    log.fatal({ err: error }, 'start failed');
    await tell({ type: 'start_failed', message: error.message });
    process.exit(1);
  }
}

function takeConnections(server: Server): void {
  setupWorker(server);
  const { engine } = server;
  const generateId = engine.generateId.bind(engine);
  // Sticky tells the primary whose a client is after the client has its answer. On a busy machine the client's next
  // request then comes first, goes to another worker and finds its session unknown. So the primary is told before.
  engine.generateId = async (request) => {
    const id = await generateId(request);
    await sent({ type: 'sticky:connection', data: id });
    return id;
  };
}

function tell(message: FromWorker): Promise<void> {
  const envelope: Envelope<FromWorker> = { gateway: message };
  return sent(envelope);
}

/** Resolves when it is sent, or cannot be: a worker whose primary is gone ends with the channel. */
function sent(message: object): Promise<void> {
  return new Promise((resolve) => {
    if (process.send === undefined) resolve();
    else process.send(message, undefined, undefined, () => resolve());
  });
}
