/** The Amazon Transcribe emulator: composition root of this folder, and all that the rest of the project uses of it. */
import type { AddressInfo } from 'node:net';
import { createLogger } from '../log.ts';
import { createAdmin } from './admin.ts';
import { FAULT_RULE, FaultPlan, type FaultRule } from './faults.ts';
import { type EmulatorOptions, resolveOptions } from './options.ts';
import { seededRandom } from './random.ts';
import { createRecogniser } from './recognisers/index.ts';
import { EmulatorServer } from './server.ts';
import { type StreamRecord, Usage, type UsageReport } from './usage.ts';

export interface Emulator {
  readonly port: number;
  /** The endpoint to give to a client: `http://127.0.0.1:8443`. */
  readonly url: string;
  /** Base address of the admin API, if it was asked for. */
  readonly adminUrl: string | undefined;
  usage(): UsageReport;
  /** Open streams, then the last ones that ended, newest first. */
  streams(): readonly Readonly<StreamRecord>[];
  /**
   * Adds a rule by which faults strike, or with `running` strikes the open streams at once.
   * @throws ZodError if the rule is malformed
   */
  addFault(rule: FaultRule): void;
  clearFaults(): void;
  /** Resets every stream and frees the ports. Idempotent. */
  close(): Promise<void>;
}

/**
 * Starts an emulator that listens when the promise resolves.
 * @throws ZodError if a fault rule is malformed; the error of the socket if a port cannot be had
 */
export async function startEmulator(options: EmulatorOptions): Promise<Emulator> {
  const resolved = resolveOptions(options);
  const log = options.log ?? createLogger('silent');
  const random = seededRandom(options.seed ?? Date.now());
  const usage = new Usage(resolved.limits.minimumBilledSeconds);
  const plan = new FaultPlan(random);
  const recogniser = createRecogniser(options.recogniser, random);
  const server = new EmulatorServer({ recogniser, plan, usage, options: resolved, random, log });

  function addFault(rule: FaultRule): void {
    const parsed = FAULT_RULE.parse(rule);
    if (parsed.running) server.inject(parsed.fault);
    else if (plan.add(parsed) === undefined) throw new RangeError('The fault plan holds as many rules as it can.');
  }
  for (const rule of options.faults ?? []) addFault(rule);

  const host = options.host ?? '127.0.0.1';
  const shownHost = host.includes(':') ? `[${host}]` : host;
  const port = await server.listen(host, options.port ?? 0, options.tls);
  const admin = options.adminPort === undefined ? undefined : createAdmin(usage, plan, server);
  try {
    await admin?.listen({ host, port: options.adminPort ?? 0 });
  } catch (error) {
    await server.close();
    throw error;
  }
  const adminAddress = admin?.server.address() as AddressInfo | undefined;
  let closing: Promise<void> | undefined;

  async function closeAll(): Promise<void> {
    const results = await Promise.allSettled([server.close(), admin?.close()]);
    for (const result of results) {
      if (result.status === 'rejected') log.warn({ err: result.reason }, 'emulator part failed to close');
    }
  }

  return {
    port,
    url: `${options.tls === undefined ? 'http' : 'https'}://${shownHost}:${port}`,
    adminUrl: adminAddress && `http://${shownHost}:${adminAddress.port}`,
    usage: () => usage.report(),
    streams: () => usage.streams(),
    addFault,
    clearFaults: () => plan.clear(),
    close: () => {
      closing ??= closeAll();
      return closing;
    },
  };
}
