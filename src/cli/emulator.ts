import { readFile } from 'node:fs/promises';
import type { Config } from '../config/schema.ts';
import { startEmulator } from '../emulator/emulator.ts';
import type { EmulatorOptions, RecogniserOptions } from '../emulator/options.ts';
import { startEngine } from '../engines/index.ts';
import { closeOnSignals } from '../lifecycle.ts';
import { createLogger } from '../log.ts';
import { createMetrics } from '../metrics/metrics.ts';
import { loadConfigOrComplain } from './config-commands.ts';
import { EXIT } from './exit.ts';

export const RECOGNISERS = ['local', 'scripted', 'coded'] as const;

export interface EmulatorCommandOptions {
  readonly port: number;
  readonly host: string;
  readonly adminPort: number | undefined;
  readonly recogniser: (typeof RECOGNISERS)[number];
  readonly credentials: EmulatorOptions['credentials'];
  readonly tlsCert: string | undefined;
  readonly tlsKey: string | undefined;
}

/** What closing the streams of an emulator may take, in milliseconds. */
const CLOSE_MS = 5_000;

/** `emulator`: runs the AWS Transcribe emulator until a signal ends it. */
export async function emulator(options: EmulatorCommandOptions): Promise<void> {
  const config = loadConfigOrComplain();
  if (config === undefined || (options.tlsCert === undefined) !== (options.tlsKey === undefined)) {
    if (config !== undefined) console.error('TLS needs both --tls-cert and --tls-key.');
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

async function run(options: EmulatorCommandOptions, config: Config): Promise<void> {
  const log = createLogger(config.logLevel);
  const engine = options.recogniser === 'local' ? await startEngine(config, log, createMetrics()) : undefined;
  const { tlsCert, tlsKey } = options;
  const running = await startEmulator({
    recogniser: engine === undefined ? recogniserOf(options.recogniser) : { kind: 'engine', engine },
    host: options.host,
    port: options.port,
    log,
    ...(options.adminPort !== undefined && { adminPort: options.adminPort }),
    ...(options.credentials !== undefined && { credentials: options.credentials }),
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
  if (running.adminUrl !== undefined) console.error(`Its admin API is at ${running.adminUrl}.`);
}

function recogniserOf(kind: EmulatorCommandOptions['recogniser']): RecogniserOptions {
  return { kind: kind === 'coded' ? 'coded' : 'scripted' };
}
