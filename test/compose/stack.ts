/** The containers of docker-compose.yml, under a project name of the tests, on free ports. */
import { type ExecFileOptions, execFile, execFileSync } from 'node:child_process';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { ROOT } from '../support/process.ts';
import type { LogLine } from '../support/rolling-speakers.ts';

const execute = promisify(execFile);

/** Always the same, so that the next run removes what a killed one has left. */
const PROJECT = 'transcribe-gateway-test';
/** Its hash is in deploy/api-keys.demo.json. */
export const DEMO_KEY = 'docker-compose-demo';
export const IMAGE = 'transcribe-gateway:compose';
const COMPOSE = findCompose();
const OPTIONS: ExecFileOptions & { encoding: 'utf8' } = { cwd: ROOT, encoding: 'utf8', maxBuffer: 100_000_000 };

export const GATEWAYS = ['gateway1', 'gateway2', 'gateway3'] as const;
export type GatewayName = (typeof GATEWAYS)[number];

/** Whether this cannot run here. A laptop may have no engine; in CI nothing is skipped. */
export const NO_COMPOSE = COMPOSE === undefined && process.env.CI === undefined;

/** Compose 2 where the engine has it, else 1.29. */
function findCompose(): readonly string[] | undefined {
  const isThere = (command: readonly string[]) => {
    try {
      execFileSync(command[0] ?? '', [...command.slice(1), 'version'], { stdio: 'ignore' });
      return true;
    } catch {
      return false;
    }
  };
  if (!isThere(['docker'])) return undefined;
  return [['docker', 'compose'], ['docker-compose']].find(isThere);
}

/** Runs `docker`. */
export async function docker(...args: string[]): Promise<string> {
  return (await execute('docker', args, OPTIONS)).stdout.trim();
}

/** Tries again every 200 ms until it is so; the test's own time limit ends it. */
export async function until(isSo: () => Promise<boolean>): Promise<void> {
  while (!(await isSo())) await delay(200);
}

export class Stack {
  /** What the compose file takes from the environment. */
  readonly #env: Record<string, string> = {
    COMPOSE_PROJECT_NAME: PROJECT,
    PUBLISHED_PORT: '0',
    PROMETHEUS_PUBLISHED_PORT: '0',
  };

  /** Runs Compose. */
  async compose(...args: string[]): Promise<string> {
    const [command = 'docker-compose', ...first] = COMPOSE ?? [];
    const env = { ...process.env, ...this.#env };
    return (await execute(command, [...first, ...args], { ...OPTIONS, env })).stdout.trim();
  }

  /** Starts what does not run and replaces what has changed; resolves when all that depends on health has started. */
  async up(env: Readonly<Record<string, string>> = {}): Promise<void> {
    Object.assign(this.#env, env);
    await this.compose('up', '-d', '--no-build');
  }

  /** Leaves nothing behind but the images. */
  async down(): Promise<void> {
    await this.compose('down', '--volumes', '--remove-orphans', '--timeout', '5');
  }

  /** Where a port of a service can be reached from here. */
  async url(service: string, port: number): Promise<string> {
    return `http://${await this.compose('port', service, String(port))}`;
  }

  /** Id of the container of a service, also of one that has ended. */
  async container(service: string): Promise<string> {
    return this.compose('ps', '-a', '-q', service);
  }

  /** Name of a network as the engine knows it. */
  network(name: string): string {
    return `${PROJECT}_${name}`;
  }

  /** Resolves when the healthcheck of a service says so. */
  async healthy(service: string): Promise<void> {
    const id = await this.container(service);
    await until(async () => (await docker('inspect', '-f', '{{.State.Health.Status}}', id)) === 'healthy');
  }

  /** The log lines of all gateways so far. */
  async gatewayLogs(): Promise<LogLine[]> {
    const logs = await Promise.all(GATEWAYS.map(async (name) => docker('logs', await this.container(name))));
    const lines = logs.flatMap((log) => log.split('\n')).filter((line) => line.startsWith('{'));
    return lines.map((line) => JSON.parse(line) as LogLine);
  }
}
