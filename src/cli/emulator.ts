import { randomInt } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { type Config, SETTINGS } from '../config/schema.ts';
import { startEmulator } from '../emulator/emulator.ts';
import type { EmulatorOptions } from '../emulator/options.ts';
import type { Engine } from '../engines/engine.ts';
import { startEngine } from '../engines/index.ts';
import { closeOnSignals } from '../lifecycle.ts';
import { createLogger } from '../log.ts';
import { createMetrics } from '../metrics/metrics.ts';
import { loadConfigOrComplain } from './config-commands.ts';
import { type EmulatorCommandOptions, MAX_SEED } from './emulator-options.ts';
import { EXIT } from './exit.ts';

/** What closing the streams of an emulator may take, in milliseconds. */
const CLOSE_MS = 5_000;

/** `emulator`: runs the AWS Transcribe emulator until a signal ends it. */
export async function emulator(options: EmulatorCommandOptions): Promise<void> {
  // Who may come in by the gateway's door in production is no affair of the emulator, which has a door of its own.
  const config = loadConfigOrComplain({ ...process.env, [SETTINGS.environment.variable]: undefined });
  const problem = contradictionOf(options);
  if (problem !== undefined) console.error(problem);
  if (config === undefined || problem !== undefined) {
    process.exitCode = EXIT.usage;
    return;
  }
  try {
    await run(options, config);
  } catch (error) {
    // A taken port, a missing file, an engine that is not installed: the message says which.
    console.error(`The emulator cannot start: ${(error as Error).message}`);
    process.exit(EXIT.failed);
  }
}

/** What is wrong with options that are each right by themselves. */
function contradictionOf(options: EmulatorCommandOptions): string | undefined {
  if ((options.tlsCert === undefined) !== (options.tlsKey === undefined)) {
    return 'TLS needs both --tls-cert and --tls-key.';
  }
  const hasLatency = options.partialLatencyMs !== undefined || options.finalLatencyMs !== undefined;
  if (hasLatency && options.recogniser === 'local') {
    return '--partial-latency-ms and --final-latency-ms need --recogniser scripted or coded; local has those of its engine.';
  }
  return undefined;
}

async function run(options: EmulatorCommandOptions, config: Config): Promise<void> {
  const log = createLogger(config.logLevel);
  // The engine of the option, whatever GATEWAY_ENGINE says: in the shell of a gateway it says `aws`.
  const engine =
    options.recogniser === 'local'
      ? await startEngine({ ...config, engine: 'local' }, log, createMetrics())
      : undefined;
  const { tlsCert, tlsKey } = options;
  const emulatorOptions = toEmulatorOptions(options, engine);
  const running = await startEmulator({
    ...emulatorOptions,
    log,
    ...(tlsCert !== undefined &&
      tlsKey !== undefined && { tls: { cert: await readFile(tlsCert), key: await readFile(tlsKey) } }),
  });
  closeOnSignals(
    async () => {
      await running.close();
      await engine?.close();
    },
    CLOSE_MS,
    log,
  );
  console.error(`The AWS Transcribe emulator listens on ${running.url}, recogniser ${options.recogniser}.`);
  console.error(`Its random choices are those of --seed ${emulatorOptions.seed}.`);
  if (running.adminUrl !== undefined) console.error(`Its admin API is at ${running.adminUrl}.`);
}

/** @param engine what transcribes for the recogniser `local` */
export function toEmulatorOptions(options: EmulatorCommandOptions, engine: Engine | undefined): EmulatorOptions {
  const { adminPort, credentials, partialLatencyMs, finalLatencyMs } = options;
  const { concurrentStreams, startsPerSecond, connections, silenceMs, maxAgeMs } = options;
  const latency = {
    ...(partialLatencyMs !== undefined && { partialMs: partialLatencyMs }),
    ...(finalLatencyMs !== undefined && { finalMs: finalLatencyMs }),
  };
  const kind = options.recogniser === 'coded' ? 'coded' : 'scripted';
  return {
    recogniser: engine === undefined ? { kind, latency } : { kind: 'engine', engine },
    host: options.host,
    port: options.port,
    ...(adminPort !== undefined && { adminPort }),
    ...(credentials !== undefined && { credentials }),
    limits: { concurrentStreams, startsPerSecond, connections, silenceMs, maxAgeMs },
    faults: options.fault,
    // Chosen here and not left to the emulator, so that the command can show it.
    seed: options.seed ?? randomInt(MAX_SEED + 1),
  };
}
