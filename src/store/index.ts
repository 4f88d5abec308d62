import type { Config } from '../config/schema.ts';
import type { Logger } from '../log.ts';
import type { Leases } from './leases.ts';
import type { Ledger } from './ledger.ts';
import { MemoryRate, RedisRate } from './limiter-rate.ts';
import { MemoryStore } from './memory.ts';
import { MemoryLeases } from './memory-leases.ts';
import { MemoryLedger } from './memory-ledger.ts';
import { MemoryQuota } from './memory-quota.ts';
import type { PubSub } from './pub-sub.ts';
import type { QuotaLedger, QuotaRules } from './quota.ts';
import type { MakeRate } from './rates.ts';
import type { CallObserver } from './redis-link.ts';
import { redisTargetOf } from './redis-target.ts';
import type { Store, StoreBounds } from './store.ts';

export type { PubSub };

/** A start waits so long for Redis. Without it the gateway starts all the same, and says that the store is away. */
const FIRST_CONNECTION_MS = 3_000;

/** What the workers of a cluster share, on one connection; closing the store closes all of it. */
export interface SharedState {
  readonly store: Store;
  readonly leases: Leases;
  readonly makeRate: MakeRate;
  /** The ledger of the quotas of speech accounts. */
  readonly openQuota: (rules: QuotaRules) => QuotaLedger;
  readonly ledger: Ledger;
}

/**
 * Opens the store that the configuration names.
 * @param onCall told of each call to a store that is not in this process
 * @throws GatewayError with a message for the operator where settings contradict one another
 */
export async function openStore(
  config: Config,
  bounds: StoreBounds,
  log: Logger,
  onCall?: CallObserver,
): Promise<SharedState> {
  const target = redisTargetOf(config);
  switch (target?.mode) {
    case undefined:
      return {
        store: new MemoryStore(bounds),
        leases: new MemoryLeases(),
        ledger: new MemoryLedger(),
        makeRate: (options) => new MemoryRate(options),
        openQuota: (rules) => new MemoryQuota(rules),
      };
    case 'standalone':
    case 'sentinel':
    case 'cluster': {
      // Loaded here, because the client takes its time and memory, and a gateway without Redis needs none of it.
      const [{ RedisStore }, { RedisLeases }, { RedisLedger }, { RedisQuota }, { RedisLink }] = await Promise.all([
        import('./redis.ts'),
        import('./redis-leases.ts'),
        import('./redis-ledger.ts'),
        import('./redis-quota.ts'),
        import('./redis-link.ts'),
      ]);
      const link = RedisLink.open(target, config.redisTimeoutMs, log, onCall);
      if (!(await link.connected(FIRST_CONNECTION_MS))) log.warn('store not there at the start');
      return {
        store: new RedisStore(link, config.redisPrefix, bounds),
        leases: new RedisLeases(link, config.redisPrefix),
        makeRate: (options) => new RedisRate(link.client, config.redisPrefix, options),
        openQuota: (rules) => new RedisQuota(link, config.redisPrefix, rules),
        ledger: new RedisLedger(link, config.redisPrefix),
      };
    }
  }
}

/**
 * Opens the way by which workers tell one another what is new; undefined without Redis, where there is one worker only.
 * @param onPublished told of each message, whether Redis took it
 */
export async function openPubSub(config: Config, onPublished: (isLost: boolean) => void): Promise<PubSub | undefined> {
  const target = redisTargetOf(config);
  if (target === undefined) return undefined;
  const pubSub = new (await import('./pub-sub.ts')).PubSub(target, config.redisTimeoutMs, onPublished);
  await pubSub.connected(config.redisTimeoutMs);
  return pubSub;
}
