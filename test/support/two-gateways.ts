/** Two gateways of one process that share one Redis, with engines that hear coded audio, and what that holds of them. */
import type { Engine } from '../../src/engines/engine.ts';
import { CodedEngine } from './coded-engine.ts';
import { startGateway, type TestGateway } from './gateway.ts';
import type { RedisServer } from './redis.ts';
import { TcpGate } from './tcp-gate.ts';

/** Calls to Redis that are not answered within it have failed, in milliseconds. */
const REDIS_TIMEOUT_MS = 300;
/** How long what was put back is kept, in milliseconds. */
const RESTORED_MS = 60_000;

export interface Pod<E extends Engine = CodedEngine> extends TestGateway {
  readonly engine: E;
  /** The network between this gateway and Redis. */
  readonly redisGate: TcpGate;
}

/** Keys and their values as Redis dumps them. */
export type StoreDump = ReadonlyMap<string, Buffer>;

let prefixes = 0;

export class TwoGateways<E extends Engine = CodedEngine> {
  readonly a: Pod<E>;
  readonly b: Pod<E>;
  readonly #redis: RedisServer;
  readonly #prefix: string;

  private constructor(redis: RedisServer, prefix: string, a: Pod<E>, b: Pod<E>) {
    this.a = a;
    this.b = b;
    this.#redis = redis;
    this.#prefix = prefix;
  }

  static async start(redis: RedisServer, environment?: Record<string, string>): Promise<TwoGateways>;
  static async start<E extends Engine>(
    redis: RedisServer,
    environment: Record<string, string>,
    makeEngine: () => E,
  ): Promise<TwoGateways<E>>;
  static async start(
    redis: RedisServer,
    environment: Record<string, string> = {},
    makeEngine: () => Engine = () => new CodedEngine(),
  ): Promise<TwoGateways<Engine>> {
    const prefix = `test${++prefixes}:`;
    const start = async (): Promise<Pod<Engine>> => {
      const redisGate = await TcpGate.to(redis.port);
      const engine = makeEngine();
      const gateway = await startGateway(engine, {
        REDIS_URL: `redis://127.0.0.1:${redisGate.port}`,
        GATEWAY_REDIS_PREFIX: prefix,
        GATEWAY_REDIS_TIMEOUT_MS: String(REDIS_TIMEOUT_MS),
        GATEWAY_DRAIN_TIMEOUT_MS: '1000',
        ...environment,
      });
      return { ...gateway, engine, redisGate };
    };
    const [a, b] = await Promise.all([start(), start()]);
    return new TwoGateways(redis, prefix, a, b);
  }

  async close(): Promise<void> {
    await Promise.all(
      [this.a, this.b].map(async (pod) => {
        await pod.close();
        pod.redisGate.close();
      }),
    );
  }

  // Functions and no methods, so that a test takes what it needs.

  /** The record of a session, field by field; empty if there is none. */
  readonly record = (sessionId: string): Promise<Record<string, Buffer>> =>
    this.#redis.withClient((redis) => redis.hgetallBuffer(this.#recordKey(sessionId)));

  /** Some fields of it as text. */
  readonly fields = (sessionId: string, ...names: string[]): Promise<(string | null)[]> =>
    this.#redis.withClient((redis) => redis.hmget(this.#recordKey(sessionId), ...names));

  /** Changes fields of a record, as only a fault would. */
  readonly tamper = (sessionId: string, fields: Record<string, string | number | Buffer>): Promise<number> =>
    this.#redis.withClient((redis) => redis.hset(this.#recordKey(sessionId), fields));

  /** All that the gateways have stored. */
  readonly dump = (): Promise<StoreDump> =>
    this.#redis.withClient(async (redis) => {
      const keys = await redis.keys(`${this.#prefix}*`);
      const values = await Promise.all(keys.map((key) => redis.dumpBuffer(key)));
      return new Map(keys.map((key, index) => [key, values[index] ?? Buffer.alloc(0)]));
    });

  /** Puts the store back to what it was: a failover to a replica that lacks the writes since. */
  readonly rollBack = (dump: StoreDump): Promise<unknown> =>
    this.#redis.withClient(async (redis) => {
      const transaction = redis.multi();
      for (const key of await redis.keys(`${this.#prefix}*`)) transaction.del(key);
      for (const [key, value] of dump) transaction.restore(key, RESTORED_MS, value);
      return transaction.exec();
    });

  /** Loses all that the gateways have stored. */
  readonly flush = (): Promise<unknown> => this.rollBack(new Map());

  #recordKey(sessionId: string): string {
    const [tag, rest] = sessionId.split('.');
    return `${this.#prefix}{${tag}}:${rest}`;
  }
}
