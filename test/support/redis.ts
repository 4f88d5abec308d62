import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { describe } from 'vitest';

const SERVER = 'redis-server';
const CLI = 'redis-cli';
const APT = 'apt-get';
const START_MS = 10_000;
/** Highest port whose cluster bus, 10,000 above, is a port as well. */
const MAX_PORT = 55_000;

/**
 * Whether tests that need a Redis are to be skipped. Where there is none, Debian's is installed, if this is Debian and
 * root. Otherwise a laptop skips them; in CI nothing is skipped, and the first start fails.
 */
export const NO_REDIS = !isInstalled() && !install() && process.env.CI === undefined;

/** A suite that needs a Redis; its name gives the reason where it is skipped. */
export function describeWithRedis(name: string, suite: () => void): void {
  describe.skipIf(NO_REDIS)(NO_REDIS ? `${name} (skipped: no redis-server on the PATH)` : name, suite);
}

/** Ended with this process, also when a test fails before it can end them. */
const running = new Set<ChildProcess>();
process.once('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

interface ServerOptions {
  /** Further arguments of redis-server. */
  readonly args?: readonly string[];
  /** Makes it a Sentinel with this configuration. */
  readonly sentinel?: string;
  /** Takes TLS only; the certificate is among the arguments. */
  readonly tls?: boolean;
}

/** A redis-server in a folder of its own, which keeps nothing when it ends. */
export class RedisServer {
  readonly port: number;
  readonly #folder = mkdtempSync(join(tmpdir(), 'redis-test-'));
  readonly #options: ServerOptions;
  #child: ChildProcess | undefined;

  private constructor(port: number, options: ServerOptions) {
    this.port = port;
    this.#options = options;
  }

  static async start(options: ServerOptions = {}): Promise<RedisServer> {
    const server = new RedisServer(await freePort(), options);
    await server.restart();
    return server;
  }

  get url(): string {
    return `redis://127.0.0.1:${this.port}`;
  }

  get node(): { host: string; port: number } {
    return { host: '127.0.0.1', port: this.port };
  }

  /** Starts it again on the same port, empty; resolves when it answers. */
  async restart(): Promise<void> {
    if (this.#child !== undefined) throw new Error('the server runs');
    const { args = [], sentinel, tls = false } = this.#options;
    // A Sentinel keeps its state in the file.
    const file = join(this.#folder, 'sentinel.conf');
    if (sentinel !== undefined) writeFileSync(file, sentinel);
    const ports = tls ? ['--port', '0', '--tls-port', String(this.port)] : ['--port', String(this.port)];
    const kind = sentinel === undefined ? ['--save', '', '--appendonly', 'no'] : ['--sentinel'];
    const all = [
      ...(sentinel === undefined ? [] : [file]),
      ...ports,
      '--bind',
      '127.0.0.1',
      '--dir',
      this.#folder,
      ...kind,
      ...args,
    ];
    const child = spawn(SERVER, all, { stdio: ['ignore', 'pipe', 'inherit'] });
    this.#child = child;
    running.add(child);
    let output = '';
    let failure: string | undefined;
    child.once('exit', () => running.delete(child));
    child.once('error', (error) => {
      failure = error.message;
    });
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      output += text;
    });
    const deadline = performance.now() + START_MS;
    // Its own line says that it listens; a ping would need to know passwords and certificates.
    while (!/Ready to accept connections|Sentinel ID is/.test(output)) {
      const isOver = child.exitCode !== null || failure !== undefined || performance.now() > deadline;
      if (isOver) throw new Error(`redis-server: ${failure ?? output}`);
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

  /** Runs one command on a connection of its own. */
  async command(name: string, ...args: string[]): Promise<unknown> {
    return this.withClient((client) => client.call(name, ...args));
  }

  /** Lends a plain client for looking around. */
  async withClient<T>(use: (client: Redis) => Promise<T>): Promise<T> {
    const client = new Redis({ host: '127.0.0.1', port: this.port, lazyConnect: true });
    try {
      await client.connect();
      return await use(client);
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
  const nodes = await Promise.all([1, 2, 3].map(() => RedisServer.start({ args })));
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

/**
 * A master with a replica, and a Sentinel that watches them under the name `mymaster`.
 * @returns the Sentinel first
 */
export async function startSentinel(): Promise<[RedisServer, RedisServer, RedisServer]> {
  const master = await RedisServer.start();
  const replica = await RedisServer.start({
    args: ['--replicaof', '127.0.0.1', String(master.port), '--repl-diskless-sync-delay', '0'],
  });
  const lines = [
    `monitor mymaster 127.0.0.1 ${master.port} 1`,
    'down-after-milliseconds mymaster 500',
    'failover-timeout mymaster 5000',
  ];
  const sentinel = await RedisServer.start({ sentinel: lines.map((line) => `sentinel ${line}\n`).join('') });
  const deadline = performance.now() + START_MS;
  // A Sentinel promotes only a replica whose link it has seen working.
  const isKnown = async () =>
    String(await sentinel.command('sentinel', 'replicas', 'mymaster')).includes('master-link-status,ok');
  while (!(await isKnown())) {
    if (performance.now() > deadline) throw new Error('the Sentinel finds no replica');
    await delay(50);
  }
  return [sentinel, master, replica];
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
