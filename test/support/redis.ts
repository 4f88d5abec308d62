import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Redis, type RedisOptions } from 'ioredis';

const SERVER = 'redis-server';
const CLI = 'redis-cli';
const APT = 'apt-get';
const START_MS = 10_000;
/** Highest port whose cluster bus, 10,000 above, is a port as well. */
const MAX_PORT = 55_000;

/**
 * Whether tests can have a Redis of their own. Where there is none, Debian's is installed, if this is Debian and root.
 * Otherwise a laptop skips the tests; in CI nothing is skipped, and the first start fails.
 */
const hasRedis = isInstalled() || install();
/** The reason to skip; false where there is one, or must be. */
export const NO_REDIS = hasRedis || process.env.CI !== undefined ? false : 'there is no redis-server on the PATH';

/** A redis-server in a folder of its own, which keeps nothing when it ends. */
export class RedisServer {
  readonly port: number;
  readonly #args: readonly string[];
  readonly #folder = mkdtempSync(join(tmpdir(), 'redis-test-'));
  #child: ChildProcess | undefined;

  private constructor(port: number, args: readonly string[]) {
    this.port = port;
    this.#args = args;
  }

  /** @param args further arguments of redis-server; `port` is taken by the number that is free */
  static async start(args: readonly string[] = [], port?: number): Promise<RedisServer> {
    const server = new RedisServer(port ?? (await freePort()), args);
    await server.restart();
    return server;
  }

  get url(): string {
    return `redis://127.0.0.1:${this.port}`;
  }

  /** The folder in which it runs, for files that it is to read. */
  get folder(): string {
    return this.#folder;
  }

  /** Starts it again on the same port, empty; resolves when it answers. */
  async restart(): Promise<void> {
    if (this.#child !== undefined) throw new Error('the server runs');
    const own = [
      '--port',
      String(this.port),
      '--bind',
      '127.0.0.1',
      '--save',
      '',
      '--appendonly',
      'no',
      '--dir',
      this.#folder,
    ];
    const child = spawn(SERVER, [...own, ...this.#args], { stdio: ['ignore', 'pipe', 'inherit'] });
    this.#child = child;
    let output = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      output += text;
    });
    const deadline = performance.now() + START_MS;
    // Its own line says that it listens; a ping would need to know passwords and certificates.
    while (!/Ready to accept connections|\+sentinel-address-switch|Sentinel ID is/.test(output)) {
      if (child.exitCode !== null || performance.now() > deadline) throw new Error(`redis-server: ${output}`);
      await delay(5);
    }
  }

  /** Ends it as a crash does. */
  async kill(): Promise<void> {
    const child = this.#child;
    if (child === undefined) return;
    this.#child = undefined;
    if (child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, 'exit');
    child.kill('SIGKILL');
    await ended;
  }

  /** Stops it in its tracks: connections stay, and new ones are taken by the kernel, but nothing is answered. */
  pause(): void {
    this.#child?.kill('SIGSTOP');
  }

  /** Lets it go on, with what has come in meanwhile. */
  unpause(): void {
    this.#child?.kill('SIGCONT');
  }

  /** A plain client for looking around; to be closed by `quit` or `disconnect`. */
  client(options: RedisOptions = {}): Redis {
    return new Redis({ host: '127.0.0.1', port: this.port, ...options });
  }

  /** Runs one command on a connection of its own. */
  async command(name: string, ...args: string[]): Promise<unknown> {
    const client = this.client({ lazyConnect: true });
    try {
      await client.connect();
      return await client.call(name, ...args);
    } finally {
      client.disconnect();
    }
  }

  async stop(): Promise<void> {
    this.unpause();
    await this.kill();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

/** Three masters without replicas, which share the slots. */
export async function startCluster(): Promise<RedisServer[]> {
  const args = ['--cluster-enabled', 'yes', '--cluster-node-timeout', '5000', '--cluster-require-full-coverage', 'no'];
  const nodes = await Promise.all([1, 2, 3].map(() => RedisServer.start(args)));
  const addresses = nodes.map(({ port }) => `127.0.0.1:${port}`);
  execFileSync(CLI, ['--cluster', 'create', ...addresses, '--cluster-yes'], { stdio: 'ignore' });
  // The nodes agree on the slots by then, but wait a while before they serve them.
  const deadline = performance.now() + START_MS;
  for (const node of nodes) {
    while (!String(await node.command('cluster', 'info')).includes('cluster_state:ok')) {
      if (performance.now() > deadline) throw new Error('the cluster does not come up');
      await delay(20);
    }
  }
  return nodes;
}

/** A port that was free a moment ago; Redis Cluster needs the one 10,000 above it too. */
async function freePort(): Promise<number> {
  for (;;) {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const address = server.address();
    await new Promise((resolve) => server.close(resolve));
    if (address !== null && typeof address !== 'string' && address.port < MAX_PORT) return address.port;
  }
}

function isInstalled(): boolean {
  try {
    execFileSync(SERVER, ['--version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

function install(): boolean {
  try {
    if (process.getuid?.() !== 0) return false;
    const options = { stdio: 'ignore', env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' } } as const;
    execFileSync(APT, ['update', '-qq'], options);
    execFileSync(APT, ['install', '-y', '-qq', '--no-install-recommends', SERVER], options);
    return isInstalled();
  } catch {
    return false;
  }
}
