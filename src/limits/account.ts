import type { Principal } from '../auth/principal.ts';
import type { Metrics } from '../metrics/metrics.ts';
import type { LimitName } from '../protocol/limit-codes.ts';
import { StoreUnavailableError } from '../store/store.ts';
import type { Book } from './book.ts';
import { refusal } from './refusal.ts';

/** Audio is counted in steps of so many milliseconds: a process that is killed has counted all but these. */
const STEP_MS = 10_000;

/** What may be used in a day; 0 for any amount. */
export interface BudgetBounds {
  /** As the engine bills. */
  readonly tenantDailyBilledSeconds: number;
  readonly tenantDailyAudioSeconds: number;
  /** Of one user, unless its token says otherwise. */
  readonly userDailyAudioSeconds: number;
  /** Share of a budget from which on it is warned of. */
  readonly budgetWarnShare: number;
}

export type AccountOwner = Pick<Principal, 'id' | 'tenant' | 'limits'>;

interface AccountOptions {
  readonly owner: AccountOwner;
  readonly bounds: BudgetBounds;
  readonly book: Book;
  readonly metrics: Metrics;
  readonly onClosed: () => void;
}

/** How much of a budget is used; 1 for all of it. */
interface Share {
  readonly limit: LimitName;
  readonly share: number;
}

/** Says what is used up, for whoever is refused. */
const REASONS: Partial<Record<LimitName, string>> = {
  billed_seconds_per_tenant: 'This tenant has used the billed seconds that it has in a day (UTC)',
  audio_seconds_per_tenant: 'This tenant has used the seconds of audio that it has in a day (UTC)',
  audio_seconds_per_user: 'This user has used the seconds of audio that it has in a day (UTC)',
};

/** What one session uses, on whose account, and whether that has anything left. */
export class Account {
  readonly owner: AccountOwner;
  readonly #options: AccountOptions;
  /** Of the user today, as the store said last. */
  #userMs = 0;
  #countedMs = 0;
  #onSpent: (() => void) | undefined;

  constructor(options: AccountOptions) {
    this.#options = options;
    this.owner = options.owner;
  }

  /**
   * Whether a new session may begin. Without the store only what is known here counts.
   * @returns undefined where there is no budget
   * @throws GatewayError `budget_exceeded`
   */
  admit(): Promise<void> | undefined {
    return this.shares.length === 0 ? undefined : this.#admit();
  }

  /** Calls once, when more than a budget is used while the session runs. */
  onSpent(listener: () => void): void {
    this.#onSpent = listener;
  }

  /** The client sent audio, in milliseconds. */
  audio(ms: number): void {
    this.#countedMs += ms;
    if (this.#countedMs >= STEP_MS) this.#count();
  }

  /** The engine bills for the session, in whole seconds. */
  billed(seconds: number): void {
    this.#options.book.add(this.owner.id, { billedSeconds: seconds });
  }

  /** How much of each budget is used, as far as that is known here. */
  get shares(): readonly Share[] {
    const { book, bounds } = this.#options;
    const { audioMs, billedSeconds } = book.known;
    const userMs = this.#userMs + book.waitingOf(this.owner.id);
    const shares: Share[] = [];
    const add = (limit: LimitName, used: number, most: number) => {
      if (most > 0) shares.push({ limit, share: used / most });
    };
    add('billed_seconds_per_tenant', billedSeconds, bounds.tenantDailyBilledSeconds);
    add('audio_seconds_per_tenant', audioMs / 1000, bounds.tenantDailyAudioSeconds);
    add('audio_seconds_per_user', userMs / 1000, this.owner.limits.dailySeconds ?? bounds.userDailyAudioSeconds);
    return shares;
  }

  /** The store says what the user has used today. */
  told(userMs: number): void {
    this.#userMs = userMs;
  }

  /** Ends the session if more than a budget is used. What the budget still held was paid for, and is the session's. */
  settle(): void {
    if (!this.shares.some(({ share }) => share > 1)) return;
    const tell = this.#onSpent;
    this.#onSpent = undefined;
    tell?.();
  }

  /** The session is gone: counts the rest. Idempotent. */
  close(): void {
    this.#onSpent = undefined;
    this.#count();
    this.#options.onClosed();
  }

  async #admit(): Promise<void> {
    const { book, metrics } = this.#options;
    try {
      await book.ask(this.owner.id);
    } catch (error) {
      if (!(error instanceof StoreUnavailableError)) throw error;
      for (const { limit } of this.shares) metrics.limitFallbacksTotal.inc({ limit });
    }
    const spent = this.shares.find(({ share }) => share >= 1);
    if (spent === undefined) return;
    throw refusal(metrics, spent.limit, `${REASONS[spent.limit]}.`, Math.ceil(book.endsInMs ?? 0) || undefined);
  }

  #count(): void {
    const ms = Math.floor(this.#countedMs);
    this.#countedMs -= ms;
    if (ms > 0) this.#options.book.add(this.owner.id, { audioMs: ms });
  }
}
