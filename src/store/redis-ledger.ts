import { createHash } from 'node:crypto';
import type { Batch, Ledger, UsedToday } from './ledger.ts';
import type { ScriptRunner } from './redis-link.ts';
import { texts, unexpected } from './replies.ts';

/** Of the hashes that stand for tenants and users: 132 bits in base64url. */
const NAME_CHARACTERS = 22;
/** Until every day is over that may be meant. */
const KEPT_MS = 2 * 86_400_000;

/**
 * The figures that workers share: a hash for each tenant, and one for each user, in the slot of their tenant. Days are
 * those of Redis, so that no clock of a worker has a say.
 */
export class RedisLedger implements Ledger {
  readonly #redis: ScriptRunner;
  readonly #prefix: string;

  /** @param prefix before every key */
  constructor(redis: ScriptRunner, prefix: string) {
    this.#redis = redis;
    this.#prefix = prefix;
  }

  get available(): boolean {
    return this.#redis.available;
  }

  book({ audioMs, billedSeconds, number, tenant, users, writer }: Batch): Promise<UsedToday> {
    const names = users.map(({ user }) => user);
    const amounts = users.map((one) => one.audioMs);
    return this.#spend(tenant, names, [writer, number, billedSeconds, audioMs, KEPT_MS, ...amounts]);
  }

  read(tenant: string, users: readonly string[]): Promise<UsedToday> {
    return this.#spend(tenant, users, ['', 0, 0, 0, KEPT_MS, ...users.map(() => 0)]);
  }

  async #spend(tenant: string, users: readonly string[], args: readonly (string | number)[]): Promise<UsedToday> {
    const tag = `${this.#prefix}{usage:${nameOf(tenant)}}`;
    const keys = [`${tag}:tenant`, ...users.map((user) => `${tag}:user:${nameOf(user)}`)];
    const [kind, ...figures] = texts(await this.#redis.run('spend', keys, args));
    const [day, endsInMs, billedSeconds, audioMs, ...ofUsers] = figures.map(Number);
    if (kind !== 'used' || day === undefined || endsInMs === undefined) throw unexpected();
    if (billedSeconds === undefined || audioMs === undefined) throw unexpected();
    return { kind, day, endsInMs, billedSeconds, audioMs, users: ofUsers };
  }
}

function nameOf(name: string): string {
  return createHash('sha256').update(name).digest('base64url').slice(0, NAME_CHARACTERS);
}
