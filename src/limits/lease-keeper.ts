import { randomUUID } from 'node:crypto';
import type { Logger } from '../log.ts';
import type { Metrics } from '../metrics/metrics.ts';
import type { LimitName } from '../protocol/limit-codes.ts';
import type { Lease, LeaseAnswer, Leases } from '../store/leases.ts';
import { StoreUnavailableError } from '../store/store.ts';

/** How often places are renewed in a term, so that a lost call or two free nothing. */
const RENEWALS = 3;
/** The longest that somebody is told to wait, in milliseconds: places are given back long before their term ends. */
const LONGEST_RETRY_MS = 5_000;

/** What is asked for. */
export interface PlaceRequest {
  /** For metrics. */
  readonly limit: LimitName;
  /** Whose places they are; may name somebody. */
  readonly scope: string;
  /** Who wants one: asking again, also from another worker, is no second place. */
  readonly holder: string;
  /** Places that there are; undefined where it must not be refused. */
  readonly most: number | undefined;
}

/** A place that this process keeps. */
export interface Place {
  /** Gives it back. Idempotent. */
  release(): void;
  /** Keeps it no longer: whoever goes on with its holder does, or it ends with its term. Idempotent. */
  leave(): void;
}

export type PlaceAnswer =
  | { readonly kind: 'granted'; readonly place: Place }
  | { readonly kind: 'refused'; readonly retryAfterMs: number };

interface KeeperOptions {
  readonly leases: Leases;
  readonly metrics: Pick<Metrics, 'leases' | 'limitFallbacksTotal'>;
  readonly log: Logger;
  /** How long a place outlives a process that is killed, in milliseconds. */
  readonly ttlMs: number;
}

interface Kept {
  readonly limit: LimitName;
  readonly lease: Lease;
}

/**
 * The places that a process has in the store, renewed together by a timer.
 *
 * While the store is away, those who have a place keep it, and others get one as long as this process alone has fewer than
 * there are: a limit then holds for each worker by itself. What was given so is entered when the store is back.
 */
export class LeaseKeeper {
  readonly #options: KeeperOptions;
  readonly #ttlMs: number;
  /** By scope and holder. */
  readonly #scopes = new Map<string, Map<string, Kept>>();
  /** Calls that nobody waits for. */
  readonly #underWay = new Set<Promise<unknown>>();
  readonly #timer: NodeJS.Timeout;
  readonly #stopListening: () => void;
  #isRenewing = false;

  constructor(options: KeeperOptions) {
    const { leases, ttlMs } = options;
    this.#options = options;
    this.#ttlMs = ttlMs;
    this.#timer = setInterval(() => this.#inBackground(this.#renew()), ttlMs / RENEWALS);
    this.#timer.unref();
    // A store that is back may know less than before, and of what was given meanwhile it knows nothing.
    this.#stopListening = leases.onAvailability((available) => {
      if (available) this.#inBackground(this.#renew());
    });
  }

  /** Takes a place; never rejects. Whether it is granted without the store, the process decides by what it has itself. */
  async take({ holder, limit, most, scope }: PlaceRequest): Promise<PlaceAnswer> {
    const lease: Lease = { scope, holder, grip: randomUUID() };
    const answer = await this.#acquire(lease, limit, most);
    if (answer.kind === 'refused') {
      return { kind: 'refused', retryAfterMs: Math.min(LONGEST_RETRY_MS, Math.max(1, answer.retryAfterMs)) };
    }
    const kept: Kept = { limit, lease };
    this.#keep(kept);
    const leave = () => this.#drop(kept);
    const release = () => {
      if (leave()) this.#inBackground(this.#options.leases.release(lease));
    };
    return { kind: 'granted', place: { leave, release } };
  }

  /** Stops renewing, once what was given back is. Idempotent. */
  async close(): Promise<void> {
    clearInterval(this.#timer);
    this.#stopListening();
    await Promise.allSettled(this.#underWay);
  }

  async #acquire(lease: Lease, limit: LimitName, most: number | undefined): Promise<LeaseAnswer> {
    const { leases, metrics } = this.#options;
    try {
      return await leases.acquire(lease, most, this.#ttlMs);
    } catch (error) {
      this.#noteFailure(error);
      metrics.limitFallbacksTotal.inc({ limit });
      const own = this.#scopes.get(lease.scope);
      const held = own?.size ?? 0;
      if (most === undefined || own?.has(lease.holder) || held < most) return { kind: 'granted', held };
      return { kind: 'refused', held, retryAfterMs: LONGEST_RETRY_MS };
    }
  }

  #keep(kept: Kept): void {
    const { lease, limit } = kept;
    const scope = this.#scopes.get(lease.scope) ?? new Map<string, Kept>();
    this.#scopes.set(lease.scope, scope);
    const before = scope.get(lease.holder);
    if (before !== undefined) this.#options.metrics.leases.dec({ limit: before.limit });
    scope.set(lease.holder, kept);
    this.#options.metrics.leases.inc({ limit });
  }

  /** @returns whether it was kept until now */
  #drop({ lease, limit }: Kept): boolean {
    const scope = this.#scopes.get(lease.scope);
    if (scope?.get(lease.holder)?.lease !== lease) return false;
    scope.delete(lease.holder);
    if (scope.size === 0) this.#scopes.delete(lease.scope);
    this.#options.metrics.leases.dec({ limit });
    return true;
  }

  async #renew(): Promise<void> {
    const { leases } = this.#options;
    if (this.#isRenewing || !leases.available) return;
    const all = [...this.#scopes.values()].flatMap((scope) => [...scope.values()]);
    if (all.length === 0) return;
    this.#isRenewing = true;
    try {
      const answers = await leases.renew(
        all.map(({ lease }) => lease),
        this.#ttlMs,
      );
      for (const [index, kept] of all.entries()) if (answers[index] === 'lost') this.#drop(kept);
    } finally {
      this.#isRenewing = false;
    }
  }

  #inBackground(call: Promise<unknown>): void {
    const settled = call
      .catch((error: unknown) => this.#noteFailure(error))
      .finally(() => this.#underWay.delete(settled));
    this.#underWay.add(settled);
  }

  /** A store that is away is nothing to be told of here; no other fault may keep anybody out, or end the process. */
  #noteFailure(error: unknown): void {
    if (!(error instanceof StoreUnavailableError)) this.#options.log.error({ err: error }, 'lease keeper failed');
  }
}
