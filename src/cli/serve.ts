import { App, type DrainPace, StartupError } from '../app.ts';
import { Primary } from '../cluster/primary.ts';
import { slotOfThisProcess, work } from '../cluster/worker.ts';
import type { Config } from '../config/schema.ts';
import { GatewayError } from '../errors.ts';
import { closeOnSignals } from '../lifecycle.ts';
import { createLogger } from '../log.ts';
import { loadConfigOrComplain } from './config-commands.ts';
import { EXIT } from './exit.ts';
import { DEFAULT_URL } from './stream-options.ts';

/** `serve`: runs the gateway, or one worker of it, until a signal ends it. */
export async function serve(): Promise<void> {
  const config = loadConfigOrComplain();
  if (config === undefined) {
    process.exitCode = EXIT.usage;
    return;
  }
  const log = createLogger(config.logLevel);
  const slot = slotOfThisProcess();
  if (slot !== undefined) return work(config, log, slot);
  const starting: Promise<App | Primary> = config.workers > 1 ? Primary.start(config, log) : App.start(config, log);
  // From the first moment on, so that a Ctrl-C during a slow start closes in good order too.
  const close = async (pace: DrainPace) => (await starting.catch(() => undefined))?.close(pace);
  closeOnSignals(close, config.drainTimeoutMs, log);
  try {
    const app = await starting;
    // In production standard error would only add lines to the log that no collector can parse.
    if (config.environment !== 'production') console.error(banner(app, config));
  } catch (error) {
    if (!(error instanceof StartupError || error instanceof GatewayError)) throw error;
    log.fatal({ err: error }, 'start failed');
    console.error(`\ntranscribe-gateway cannot start: ${error.message}\n`);
    process.exit(EXIT.failed);
  }
}

function banner(app: App | Primary, config: Config): string {
  const url = `http://localhost:${app.port}`;
  const option = url === DEFAULT_URL ? '' : ` --url ${url}`;
  return `
  transcribe-gateway is ready

    URL      ${url}   (listens on ${config.host})
    engine   ${app.engineName}${config.workers > 1 ? `, in ${config.workers} workers` : ''}
    admin    http://localhost:${app.adminPort}   /livez /readyz /metrics

  Transcribe the bundled sample from a second shell in this folder:

    npx transcribe-gateway stream --sample${option}
`;
}
