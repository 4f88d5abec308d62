import type { Batch, Ledger, UsedToday } from './ledger.ts';

const DAY_MS = 86_400_000;

interface Figures {
  billedSeconds: number;
  audioMs: number;
  readonly users: Map<string, number>;
  /** The last batch of each writer. */
  readonly batches: Map<string, number>;
}

/** The figures of one process, for a gateway without Redis: they are forgotten with it. */
export class MemoryLedger implements Ledger {
  readonly available = true;
  readonly #now: () => number;
  #day = 0;
  #tenants = new Map<string, Figures>();

  /** @param now milliseconds since 1970 */
  constructor(now: () => number = Date.now) {
    this.#now = now;
  }

  async book({ audioMs, billedSeconds, number, tenant, users, writer }: Batch): Promise<UsedToday> {
    const figures = this.#figuresOf(tenant);
    if (number > (figures.batches.get(writer) ?? 0)) {
      figures.billedSeconds += billedSeconds;
      figures.audioMs += audioMs;
      figures.batches.set(writer, number);
      for (const one of users) figures.users.set(one.user, (figures.users.get(one.user) ?? 0) + one.audioMs);
      this.#tenants.set(tenant, figures);
    }
    return this.#used(
      figures,
      users.map(({ user }) => user),
    );
  }

  async read(tenant: string, users: readonly string[]): Promise<UsedToday> {
    return this.#used(this.#figuresOf(tenant), users);
  }

  #figuresOf(tenant: string): Figures {
    const day = Math.floor(this.#now() / DAY_MS);
    if (day !== this.#day) this.#tenants = new Map();
    this.#day = day;
    return this.#tenants.get(tenant) ?? { billedSeconds: 0, audioMs: 0, users: new Map(), batches: new Map() };
  }

  #used({ audioMs, billedSeconds, users }: Figures, asked: readonly string[]): UsedToday {
    return {
      kind: 'used',
      day: this.#day,
      endsInMs: DAY_MS - (this.#now() % DAY_MS),
      billedSeconds,
      audioMs,
      users: asked.map((user) => users.get(user) ?? 0),
    };
  }
}
