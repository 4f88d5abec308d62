import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { describe } from 'vitest';
import { freePort } from './free-port.ts';
import { RedisContainer } from './redis-container.ts';
import { RedisProcess } from './redis-process.ts';
import { type RedisRunner, START_MS } from './redis-runner.ts';

/** First and last slot of each node of a cluster. */
const SLOTS = [
  [0, 5460],
  [5461, 10_922],
  [10_923, 16_383],
];

/** Whether tests that need a Redis are to be skipped, which `redis-setup.ts` decides. */
export const NO_REDIS = process.env.TEST_REDIS === 'none';

/** A suite that needs a Redis; its name gives the reason where it is skipped. */
export function describeWithRedis(name: string, suite: () => void): void {
  describe.skipIf(NO_REDIS)(NO_REDIS ? `${name} (skipped: no container engine and no redis-server)` : name, suite);
}

interface ServerOptions {
  /** Further arguments of redis-server. */
  readonly args?: readonly string[];
  /** Makes it a Sentinel with this configuration. */
  readonly sentinel?: string;
  /** Takes TLS only; the certificate is among the arguments. */
  readonly tls?: boolean;
}

/** A redis-server with a folder of its own, which keeps nothing when it ends. */
export class RedisServer {
  readonly port: number;
  readonly #folder = mkdtempSync(join(tmpdir(), 'redis-test-'));
  readonly #options: ServerOptions;
  readonly #runner: RedisRunner;
  #state: 'away' | 'running' | 'paused' = 'away';

  private constructor(port: number, options: ServerOptions) {
    this.port = port;
    this.#options = options;
    this.#runner = process.env.TEST_REDIS === 'container' ? new RedisContainer(this.#folder) : new RedisProcess();
  }

  static async start(options: ServerOptions = {}): Promise<RedisServer> {
    const server = new RedisServer(await freePort(), options);
    try {
      await server.restart();
    } catch (error) {
      await server.stop();
      throw error;
    }
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
    if (this.#state !== 'away') throw new Error('the server runs');
    const { args = [], sentinel, tls = false } = this.#options;
    // A Sentinel keeps its state in the file.
    const file = join(this.#folder, 'sentinel.conf');
    if (sentinel !== undefined) writeFileSync(file, sentinel);
    const ports = tls ? ['--port', '0', '--tls-port', String(this.port)] : ['--port', String(this.port)];
    const kind = sentinel === undefined ? ['--save', '', '--appendonly', 'no'] : ['--sentinel'];
    await this.#runner.start([
      ...(sentinel === undefined ? [] : [file]),
      ...ports,
      '--bind',
      '127.0.0.1',
      '--dir',
      this.#folder,
      ...kind,
      ...args,
    ]);
    this.#state = 'running';
  }

  /** Ends it as a crash does. */
  async kill(): Promise<void> {
    this.#state = 'away';
    await this.#runner.kill();
  }

  /** Stops it in its tracks: connections stay, and new ones are taken by the kernel, but nothing is answered. */
  async pause(): Promise<void> {
    if (this.#state !== 'running') return;
    this.#state = 'paused';
    await this.#runner.pause();
  }

  /** Lets it go on, with what has come in meanwhile. */
  async unpause(): Promise<void> {
    if (this.#state !== 'paused') return;
    this.#state = 'running';
    await this.#runner.unpause();
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
    await this.unpause();
    await this.kill();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

/** Three masters without replicas, which share the slots. */
export async function startCluster(): Promise<RedisServer[]> {
  const args = ['--cluster-enabled', 'yes', '--cluster-node-timeout', '5000', '--cluster-require-full-coverage', 'no'];
  const nodes = await Promise.all(SLOTS.map(() => RedisServer.start({ args })));
  for (const [i, node] of nodes.entries()) {
    const [first, last] = SLOTS[i] ?? [];
    await node.command('cluster', 'set-config-epoch', String(i + 1));
    await node.command('cluster', 'addslotsrange', String(first), String(last));
    await node.command('cluster', 'meet', '127.0.0.1', String(nodes[0]?.port));
  }
  // The nodes agree on the slots soon, but wait a while before they serve them.
  const deadline = performance.now() + START_MS;
  for (const node of nodes) {
    while (!/cluster_state:ok\s+cluster_slots_assigned:16384/.test(String(await node.command('cluster', 'info')))) {
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
