import { randomUUID } from 'node:crypto';
import type { Batch, Ledger, UsedToday } from '../store/ledger.ts';
import { StoreUnavailableError } from '../store/store.ts';

/** Users in one batch: they are keys of one call, during which Redis serves nobody else. */
const USERS_PER_BATCH = 100;
/** Users whose audio waits for a store that is away. That of others then counts for their tenant alone. */
const MOST_USERS_WAITING = 10_000;

export interface Amount {
  readonly billedSeconds?: number;
  readonly audioMs?: number;
}

/** What was used today as far as it is known here. */
export interface Known {
  readonly billedSeconds: number;
  readonly audioMs: number;
}

/**
 * What one process has counted of a tenant and not booked yet, and what it was told of the figures of the day. While the
 * store is away it counts on, and books everything later; each second once, whatever becomes of calls and answers.
 */
export class Book {
  readonly tenant: string;
  readonly #ledger: Ledger;
  /** Numbers of batches count for it alone. */
  readonly #writer = randomUUID();
  /** Told of each answer: the users that were asked for, and the figures. */
  readonly #onTold: (users: readonly string[], used: UsedToday) => void;
  #billedSeconds = 0;
  #audioMs = 0;
  #users = new Map<string, number>();
  /** A batch of which it is not known whether it was added. */
  #open: Batch | undefined;
  #batches = 0;
  #told: { readonly used: UsedToday; readonly endsAt: number } | undefined;
  #flushing: Promise<void> | undefined;

  constructor(ledger: Ledger, tenant: string, onTold: (users: readonly string[], used: UsedToday) => void) {
    this.#ledger = ledger;
    this.tenant = tenant;
    this.#onTold = onTold;
  }

  /** Everything is booked. */
  get isClear(): boolean {
    return this.#open === undefined && this.#billedSeconds + this.#audioMs + this.#users.size === 0;
  }

  /** Milliseconds until the day ends; undefined before it was told. */
  get endsInMs(): number | undefined {
    return this.#told && Math.max(0, this.#told.endsAt - performance.now());
  }

  /** What the tenant used today. */
  get known(): Known {
    const { billedSeconds = 0, audioMs = 0 } = this.#endsLater ? (this.#told?.used ?? {}) : {};
    return {
      billedSeconds: billedSeconds + this.#billedSeconds + (this.#open?.billedSeconds ?? 0),
      audioMs: audioMs + this.#audioMs + (this.#open?.audioMs ?? 0),
    };
  }

  /** Milliseconds of audio of a user that are not booked yet. */
  waitingOf(user: string): number {
    const open = this.#open?.users.find((one) => one.user === user)?.audioMs ?? 0;
    return (this.#users.get(user) ?? 0) + open;
  }

  add(user: string, { audioMs = 0, billedSeconds = 0 }: Amount): void {
    this.#billedSeconds += billedSeconds;
    this.#audioMs += audioMs;
    if (audioMs === 0 || (this.#users.size >= MOST_USERS_WAITING && !this.#users.has(user))) return;
    this.#users.set(user, (this.#users.get(user) ?? 0) + audioMs);
  }

  /** Books what was counted. Never rejects: what could not be booked stays for the next time. */
  flush(): Promise<void> {
    this.#flushing ??= this.#flushAll().finally(() => {
      this.#flushing = undefined;
    });
    return this.#flushing;
  }

  /** Asks for the figures. @throws StoreUnavailableError */
  async ask(user: string): Promise<void> {
    this.#hear([user], await this.#ledger.read(this.tenant, [user]));
  }

  async #flushAll(): Promise<void> {
    try {
      while (!this.isClear) {
        this.#open ??= this.#batch();
        const used = await this.#ledger.book(this.#open);
        const users = this.#open.users.map(({ user }) => user);
        this.#open = undefined;
        this.#hear(users, used);
      }
    } catch (error) {
      if (!(error instanceof StoreUnavailableError)) throw error;
    }
  }

  #batch(): Batch {
    const users = [...this.#users].slice(0, USERS_PER_BATCH).map(([user, audioMs]) => ({ user, audioMs }));
    for (const { user } of users) this.#users.delete(user);
    const { tenant } = this;
    const [billedSeconds, audioMs] = [this.#billedSeconds, this.#audioMs];
    this.#billedSeconds = 0;
    this.#audioMs = 0;
    return { tenant, writer: this.#writer, number: ++this.#batches, billedSeconds, audioMs, users };
  }

  #hear(users: readonly string[], used: UsedToday): void {
    this.#told = { used, endsAt: performance.now() + used.endsInMs };
    this.#onTold(users, used);
  }

  get #endsLater(): boolean {
    return this.#told !== undefined && performance.now() < this.#told.endsAt;
  }
}
