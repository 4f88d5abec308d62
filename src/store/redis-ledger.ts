import type { Batch, Ledger, UsedToday } from './ledger.ts';
import { hashOfName } from './name-hash.ts';
import type { ScriptRunner } from './redis-link.ts';
import { texts, unexpected } from './replies.ts';

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
    const tag = `${this.#prefix}{usage:${hashOfName(tenant)}}`;
    const keys = [`${tag}:tenant`, ...users.map((user) => `${tag}:user:${hashOfName(user)}`)];
    const [kind, ...figures] = texts(await this.#redis.run('spend', keys, args));
    const [day, endsInMs, billedSeconds, audioMs, ...ofUsers] = figures.map(Number);
    if (kind !== 'used' || day === undefined || endsInMs === undefined) throw unexpected();
    if (billedSeconds === undefined || audioMs === undefined) throw unexpected();
    return { kind, day, endsInMs, billedSeconds, audioMs, users: ofUsers };
  }
}
