import type { Cluster, Redis } from 'ioredis';
import { RateLimiterMemory, RateLimiterRedis, RateLimiterRes } from 'rate-limiter-flexible';
import { hashOfName } from './name-hash.ts';
import type { Rate, RateOptions } from './rates.ts';

/** A rate that is counted in this process alone. */
export class MemoryRate implements Rate {
  readonly #limiter: RateLimiterMemory;

  constructor({ most, seconds }: Pick<RateOptions, 'most' | 'seconds'>) {
    this.#limiter = new RateLimiterMemory({ points: most, duration: seconds });
  }

  async count(key: string): Promise<number> {
    return (await waitOf(this.#limiter.consume(key))) ?? 0;
  }
}

/** A rate that is counted in Redis: one key for each window, which expires with it. */
export class RedisRate implements Rate {
  readonly #limiter: RateLimiterRedis;
  readonly #fallback: MemoryRate;
  readonly #onFallback: () => void;

  /** @param prefix before every key */
  constructor(client: Redis | Cluster, prefix: string, options: RateOptions) {
    const { most, name, onFallback, seconds } = options;
    this.#limiter = new RateLimiterRedis({
      storeClient: client,
      keyPrefix: `${prefix}rate:${name}`,
      points: most,
      duration: seconds,
      rejectIfRedisNotReady: true,
      // Whoever is beyond it is not asked about any more: a flood must not reach Redis.
      inMemoryBlockOnConsumed: most + 1,
    });
    this.#fallback = new MemoryRate(options);
    this.#onFallback = onFallback;
  }

  async count(key: string): Promise<number> {
    const name = hashOfName(key);
    // Not the limiter's own insurance, which does not say when it steps in.
    const wait = await waitOf(this.#limiter.consume(name));
    if (wait !== undefined) return wait;
    this.#onFallback();
    return this.#fallback.count(key);
  }
}

/** Undefined if it could not be counted. */
async function waitOf(counted: Promise<RateLimiterRes>): Promise<number | undefined> {
  try {
    await counted;
    return 0;
  } catch (error) {
    return error instanceof RateLimiterRes ? Math.max(1, error.msBeforeNext) : undefined;
  }
}
