import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { afterAll } from 'vitest';
import { ENGINE_VARIABLE } from '../../src/cluster/crew.ts';
import { loadConfig } from '../../src/config/load.ts';
import type { Engine, EngineStreamOptions } from '../../src/engines/engine.ts';
import { makePrivatePath } from '../../src/engines/hosted/private-path.ts';
import { type EngineHost, serveEngine } from '../../src/engines/hosted/serve-engine.ts';
import { PodBus } from '../../src/socket/pod-bus.ts';
import { openPubSub } from '../../src/store/index.ts';
import type { TestGateway } from './gateway.ts';
import { keep, type Running, type ServedGateway, startServe, whenReady } from './process.ts';
import { WORKERS, workersEnvironment } from './workers.ts';

/** Of what an unclean gateway has said, how much is shown, in characters. */
const LAST_WORDS = 4_000;
/** For what a test has left in a gateway to end, in milliseconds, before the gateway is given up. */
const RESET_MS = 5_000;
/** Gateways without a test that a file keeps. */
const MAX_IDLE = 2;
/** Above every epoch of a test. */
const LAST_EPOCH = 1_000_000;

type LogLine = Record<string, unknown>;

/** Those that wait for a test, the newest last. */
const idle: WorkerGateway[] = [];

if (WORKERS > 1) {
  afterAll(async () => {
    await Promise.all(idle.splice(0).map((gateway) => gateway.end()));
  });
}

/** A gateway with the workers of the test run, in processes that reach the test's engine over a socket. */
export async function startWorkers(
  engine: Engine,
  environment: Readonly<Record<string, string>>,
): Promise<TestGateway> {
  const kind = JSON.stringify([environment, engine.capabilities]);
  const index = idle.findLastIndex((one) => one.kind === kind);
  const kept = idle.splice(index, index < 0 ? 0 : 1)[0];
  const gateway = kept ?? (await WorkerGateway.start(kind, engine, environment));
  return gateway.lend(engine);
}

/**
 * Outlives the tests of a file, because five processes take seconds to start: what a test leaves in it is ended, and the
 * next test that wants the same gateway gets it as if it were new.
 */
class WorkerGateway {
  readonly kind: string;
  readonly #environment: Readonly<Record<string, string>>;
  readonly #running: Running;
  readonly #engine: Exchange;
  readonly #host: EngineHost;
  readonly #removePath: () => Promise<void>;
  #served: ServedGateway | undefined;
  #logs: LogLine[] = [];
  #warnings: string[] = [];
  #ending: Promise<void> | undefined;

  private constructor(
    kind: string,
    environment: Readonly<Record<string, string>>,
    running: Running,
    engine: Exchange,
    host: EngineHost,
    removePath: () => Promise<void>,
  ) {
    this.kind = kind;
    this.#environment = environment;
    this.#running = running;
    this.#engine = engine;
    this.#host = host;
    this.#removePath = removePath;
    createInterface(running.child.stdout as Readable).on('line', (line) => this.#logs.push(JSON.parse(line)));
    createInterface(running.child.stderr as Readable).on('line', (line) => {
      const [, name] = /^\(node:\d+\) (\w+Warning)/.exec(line) ?? [];
      if (name !== undefined) this.#warnings.push(name);
    });
  }

  static async start(kind: string, engine: Engine, given: Readonly<Record<string, string>>): Promise<WorkerGateway> {
    const { path, remove } = await makePrivatePath();
    const exchange = new Exchange(engine);
    const host = await serveEngine(exchange, path);
    const environment = { ...workersEnvironment(given), LOG_LEVEL: 'debug', [ENGINE_VARIABLE]: path, ...given };
    const running = startServe(environment);
    keep(running);
    const gateway = new WorkerGateway(kind, environment, running, exchange, host, remove);
    try {
      gateway.#served = await whenReady(running);
      return gateway;
    } catch (error) {
      await gateway.end().catch(() => undefined);
      throw error;
    }
  }

  /** To one test. */
  async lend(engine: Engine): Promise<TestGateway> {
    this.#engine.current = engine;
    this.#logs = [];
    this.#warnings = [];
    await this.#forgetSessions();
    const before = await this.#metrics();
    return {
      url: this.#served?.url ?? '',
      adminUrl: this.#served?.adminUrl ?? '',
      logs: this.#logs,
      warnings: this.#warnings,
      metric: async (sample) => {
        const value = (await this.#metrics()).get(sample) ?? 0;
        return /_total(\{|$)/.test(sample) ? value - (before.get(sample) ?? 0) : value;
      },
      close: () => this.end(),
      release: () => this.#release(),
    };
  }

  /** Drains it and waits for its end. Idempotent. */
  end(): Promise<void> {
    this.#ending ??= this.#end();
    return this.#ending;
  }

  async #end(): Promise<void> {
    // Promptly, as an `App` that is closed; SIGTERM would send the clients off one after the other.
    this.#running.child.kill('SIGINT');
    const status = await this.#running.exited;
    await this.#host.close();
    await this.#engine.current.close();
    await this.#removePath();
    if (status === 0) return;
    throw new Error(`the gateway ended with ${status}: ${this.#running.stdout().slice(-LAST_WORDS)}`);
  }

  async #release(): Promise<void> {
    if (this.#ending !== undefined) return this.#ending;
    if (this.#environment.GATEWAY_REDIS_PREFIX === undefined || !(await this.#endSessions())) return this.end();
    await this.#engine.current.close();
    idle.push(this);
    if (idle.length > MAX_IDLE) await idle.shift()?.end();
  }

  /** Tells the owners that their sessions are somebody else's by now, and waits until nothing of the test is left. */
  async #endSessions(): Promise<boolean> {
    const config = loadConfig(this.#environment);
    const pubSub = await openPubSub(config, () => undefined);
    const bus = new PodBus(pubSub, config.redisPrefix);
    try {
      const deadline = performance.now() + RESET_MS;
      for (;;) {
        const sessions = new Set(this.#logs.map(({ session_id }) => session_id));
        for (const session of sessions) if (typeof session === 'string') bus.tellClaim(session, LAST_EPOCH);
        const metrics = await this.#metrics();
        const left = [...metrics].flatMap(([sample, value]) => (isLeft(sample, value) ? [`${sample} ${value}`] : []));
        if (left.length === 0) return true;
        if (performance.now() > deadline) {
          console.warn(`a gateway is not used again because of what a test has left in it: ${left.join(', ')}`);
          return false;
        }
        await delay(50);
      }
    } finally {
      await bus.close();
      pubSub?.close();
    }
  }

  async #forgetSessions(): Promise<void> {
    const prefix = this.#environment.GATEWAY_REDIS_PREFIX;
    if (prefix === undefined) return;
    await this.#withRedis(async (redis) => {
      const keys = await redis.keys(`${prefix}*`);
      if (keys.length > 0) await redis.del(keys);
    });
  }

  async #withRedis(use: (redis: Redis) => Promise<void>): Promise<void> {
    const redis = new Redis(this.#environment.REDIS_URL ?? '', { lazyConnect: true });
    redis.on('error', () => undefined);
    try {
      await redis.connect();
      await use(redis);
    } finally {
      redis.disconnect();
    }
  }

  async #metrics(): Promise<Map<string, number>> {
    const text = await (await fetch(`${this.#served?.adminUrl}/metrics`)).text();
    const samples = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
    return new Map(samples.map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.split(' ').at(-1))]));
  }
}

function isLeft(sample: string, value: number): boolean {
  const [name = ''] = sample.split('{');
  switch (name.replace('transcribe_gateway_', '')) {
    case 'connections':
    case 'sessions':
    case 'engine_streams':
    case 'viewers':
      return value > 0;
    case 'store_available':
    case 'worker_up':
      return value < 1;
    default:
      return false;
  }
}

/** The engine of the test of now. */
class Exchange implements Engine {
  readonly capabilities: Engine['capabilities'];
  current: Engine;

  constructor(engine: Engine) {
    this.capabilities = engine.capabilities;
    this.current = engine;
  }

  get isFull(): boolean {
    return this.current.isFull === true;
  }

  open(options: EngineStreamOptions, signal: AbortSignal): ReturnType<Engine['open']> {
    return this.current.open(options, signal);
  }

  /** The test closes its own. */
  async close(): Promise<void> {}
}
