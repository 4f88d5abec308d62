/** Two gateways that share one Redis, with engines that hear coded audio, and what that holds of them. */
import type { Engine } from '../../src/engines/engine.ts';
import { CodedEngine } from './coded-engine.ts';
import { startGateway, type TestGateway } from './gateway.ts';
import type { RedisServer } from './redis.ts';
import { TcpGate } from './tcp-gate.ts';
import { WORKERS } from './workers.ts';

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

/** Where two gateways have their sessions, and the network between each of them and that. */
interface Place {
  readonly prefix: string;
  readonly gates: readonly [TcpGate, TcpGate];
}

/** Those that no test has, by what gateways were there: such with several workers are kept, and know no other place. */
const free = new Map<string, Place[]>();

export class TwoGateways<E extends Engine = CodedEngine> {
  readonly a: Pod<E>;
  readonly b: Pod<E>;
  readonly #redis: RedisServer;
  readonly #place: Place;
  readonly #leave: () => void;

  private constructor(redis: RedisServer, place: Place, [a, b]: [Pod<E>, Pod<E>], leave: () => void) {
    this.a = a;
    this.b = b;
    this.#redis = redis;
    this.#place = place;
    this.#leave = leave;
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
    const kind = JSON.stringify([redis.port, environment]);
    const places = free.get(kind) ?? [];
    free.set(kind, places);
    const place = places.pop() ?? {
      prefix: `test${++prefixes}:`,
      gates: await Promise.all([TcpGate.to(redis.port), TcpGate.to(redis.port)]),
    };
    const start = async (redisGate: TcpGate): Promise<Pod<Engine>> => {
      const engine = makeEngine();
      const gateway = await startGateway(engine, {
        REDIS_URL: `redis://127.0.0.1:${redisGate.port}`,
        GATEWAY_REDIS_PREFIX: place.prefix,
        GATEWAY_REDIS_TIMEOUT_MS: String(REDIS_TIMEOUT_MS),
        GATEWAY_DRAIN_TIMEOUT_MS: '1000',
        ...environment,
      });
      return { ...gateway, engine, redisGate };
    };
    const [a, b] = await Promise.all([start(place.gates[0]), start(place.gates[1])]);
    return new TwoGateways(redis, place, [a, b], () => places.push(place));
  }

  async close(): Promise<void> {
    const pods = [this.a, this.b];
    if (WORKERS === 1) {
      await Promise.all(pods.map((pod) => pod.release()));
      for (const { redisGate } of pods) redisGate.close();
      return;
    }
    for (const { redisGate } of pods) redisGate.open();
    await Promise.all(pods.map((pod) => pod.release()));
    this.#leave();
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

  /** All that the gateways have stored of sessions. */
  readonly dump = (): Promise<StoreDump> =>
    this.#redis.withClient(async (redis) => {
      const all = await redis.keys(`${this.#place.prefix}*`);
      // What was used in a day is no session's, and outlasts them all; nor is it that a gateway has room.
      const others = ['usage', 'lease'].map((kind) => `${this.#place.prefix}{${kind}:`);
      const keys = all.filter((key) => !others.some((start) => key.startsWith(start)));
      const values = await Promise.all(keys.map((key) => redis.dumpBuffer(key)));
      return new Map(keys.map((key, index) => [key, values[index] ?? Buffer.alloc(0)]));
    });

  /** Puts the store back to what it was: a failover to a replica that lacks the writes since. */
  readonly rollBack = (dump: StoreDump): Promise<unknown> =>
    this.#redis.withClient(async (redis) => {
      const transaction = redis.multi();
      for (const key of await redis.keys(`${this.#place.prefix}*`)) transaction.del(key);
      for (const [key, value] of dump) transaction.restore(key, RESTORED_MS, value);
      return transaction.exec();
    });

  /** Loses all that the gateways have stored. */
  readonly flush = (): Promise<unknown> => this.rollBack(new Map());

  #recordKey(sessionId: string): string {
    const [tag, rest] = sessionId.split('.');
    return `${this.#place.prefix}{${tag}}:${rest}`;
  }
}
