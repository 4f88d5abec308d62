import { ConfigError } from '../config/config-error.ts';
import { environmentLines } from '../config/describe.ts';
import { loadConfig } from '../config/load.ts';
import type { Config } from '../config/schema.ts';
import { EXIT, type ExitStatus } from './exit.ts';

/** Loads the configuration or prints every fault of it to standard error. */
export function loadConfigOrComplain(environment = process.env): Config | undefined {
  try {
    return loadConfig(environment);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    console.error(error.message);
    return undefined;
  }
}

/** `check-config` */
export function checkConfig(): ExitStatus {
  if (loadConfigOrComplain() === undefined) return EXIT.usage;
  console.error('The configuration is valid.');
  return EXIT.ok;
}

/** `print-env` */
export function printEnv(): ExitStatus {
  const config = loadConfigOrComplain();
  if (config === undefined) return EXIT.usage;
  console.log(environmentLines(config));
  return EXIT.ok;
}
