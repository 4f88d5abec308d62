import { inBatches } from './batches.ts';
import type { Lease, LeaseAnswer, Leases, RenewAnswer } from './leases.ts';
import { hashOfName } from './name-hash.ts';
import type { Reply, ScriptRunner } from './redis-link.ts';
import { texts, unexpected } from './replies.ts';

/**
 * The places that workers share. A scope is two keys of one slot: a sorted set of its holders by the time at which their
 * leases end, and a hash of their grips. Time is that of Redis. What nobody renews is swept out by the next one who wants a
 * place, and both keys expire with the last of them.
 *
 * A call that failed here may still be carried out there: a place that is then nobody's ends with its term.
 */
export class RedisLeases implements Leases {
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

  onAvailability(listener: (available: boolean) => void): () => void {
    return this.#redis.onAvailability(listener);
  }

  async acquire({ grip, holder, scope }: Lease, most: number | undefined, ttlMs: number): Promise<LeaseAnswer> {
    const reply = await this.#redis.run('acquire', this.#keys(scope), [holder, grip, most ?? '', ttlMs]);
    const [kind, held, retryAfterMs] = texts(reply);
    switch (kind) {
      case 'granted':
        return { kind, held: Number(held) };
      case 'refused':
        return { kind, held: Number(held), retryAfterMs: Number(retryAfterMs) };
      default:
        throw unexpected();
    }
  }

  renew(leases: readonly Lease[], ttlMs: number): Promise<RenewAnswer[]> {
    const batchOf = ({ scope }: Lease) => (this.#redis.isCluster ? scope : '');
    return inBatches<Lease, RenewAnswer>(leases, batchOf, (batch) => this.#renew(batch, ttlMs), 'unavailable');
  }

  async release({ grip, holder, scope }: Lease): Promise<void> {
    await this.#redis.run('release', this.#keys(scope), [holder, grip]);
  }

  async #renew(leases: readonly Lease[], ttlMs: number): Promise<RenewAnswer[]> {
    const keys = leases.flatMap(({ scope }) => this.#keys(scope));
    const args = leases.flatMap(({ grip, holder }) => [holder, grip]);
    const replies = await this.#redis.run('renew', keys, [ttlMs, ...args]);
    if (!Array.isArray(replies) || replies.length !== leases.length) throw unexpected();
    return replies.map(renewAnswer);
  }

  #keys(scope: string): string[] {
    const name = hashOfName(scope);
    const tag = `${this.#prefix}{lease:${name}}`;
    return [`${tag}:until`, `${tag}:grips`];
  }
}

function renewAnswer(reply: Reply): RenewAnswer {
  const [kind] = texts(reply);
  if (kind !== 'kept' && kind !== 'lost') throw unexpected();
  return kind;
}
