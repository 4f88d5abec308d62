import { createHash } from 'node:crypto';
import type { Principal } from '../auth/principal.ts';
import type { Logger } from '../log.ts';
import type { Metrics } from '../metrics/metrics.ts';
import type { Ledger, UsedToday } from '../store/ledger.ts';
import { Account, type AccountOwner, type BudgetBounds } from './account.ts';
import { Book } from './book.ts';

/** How often what was counted is booked, in milliseconds. */
const BOOK_EVERY_MS = 1_000;
/** Tenants that are remembered though they have no session here. */
const MOST_IDLE_TENANTS = 1_000;

export interface BudgetsOptions {
  readonly ledger: Ledger;
  readonly bounds: BudgetBounds;
  readonly metrics: Metrics;
  readonly log: Logger;
}

/** A tenant, what it used, and those who want to hear of that. */
interface Customer {
  readonly book: Book;
  readonly accounts: Set<Account>;
  /** Of which budgets it was warned today: limit, and user where it is one's. */
  warnings: Set<string>;
  day: number;
}

/** What tenants and users use in a day, over all workers, and what they may. */
export class Budgets {
  readonly #options: BudgetsOptions;
  readonly #customers = new Map<string, Customer>();
  readonly #timer: NodeJS.Timeout;

  constructor(options: BudgetsOptions) {
    this.#options = options;
    this.#timer = setInterval(() => void this.#bookAll(), BOOK_EVERY_MS);
    this.#timer.unref();
  }

  get bounds(): BudgetBounds {
    return this.#options.bounds;
  }

  /** The account of a session. It is closed with the session. */
  account(owner: AccountOwner): Account {
    const { bounds, metrics } = this.#options;
    const { accounts, book } = this.#customerOf(owner.tenant);
    const account = new Account({ owner, bounds, book, metrics, onClosed: () => accounts.delete(account) });
    accounts.add(account);
    return account;
  }

  /** What the tenant of a principal used today. @throws StoreUnavailableError */
  usage({ tenant }: Pick<Principal, 'tenant'>): Promise<UsedToday> {
    return this.#options.ledger.read(tenant, []);
  }

  /** Books what is left, if the store is there. Idempotent. */
  async close(): Promise<void> {
    clearInterval(this.#timer);
    await this.#bookAll();
  }

  async #bookAll(): Promise<void> {
    const due = [...this.#customers.values()].filter(({ book }) => !book.isClear);
    if (this.#options.ledger.available) {
      const booked = await Promise.allSettled(due.map(({ book }) => book.flush()));
      const failed = booked.find((one) => one.status === 'rejected');
      if (failed !== undefined) this.#options.log.error({ err: failed.reason }, 'what was used cannot be booked');
    }
    for (const customer of due) this.#look(customer);
  }

  /** Ends what has used up its budget, and warns where that is near. */
  #look({ accounts, warnings }: Customer): void {
    const { bounds, log, metrics } = this.#options;
    for (const account of accounts) {
      for (const { limit, share } of account.shares) {
        const name = limit === 'audio_seconds_per_user' ? `${limit} ${account.owner.id}` : limit;
        if (share < bounds.budgetWarnShare || warnings.has(name)) continue;
        warnings.add(name);
        metrics.budgetWarningsTotal.inc({ limit });
        log.warn({ limit, share, tenant_hash: hashOf(account.owner.tenant) }, 'a daily budget is nearly used up');
      }
      account.settle();
    }
  }

  #customerOf(tenant: string): Customer {
    const known = this.#customers.get(tenant);
    if (known !== undefined) return known;
    this.#forgetIdle();
    const customer: Customer = {
      book: new Book(this.#options.ledger, tenant, (users, used) => told(customer, users, used)),
      accounts: new Set(),
      warnings: new Set(),
      day: 0,
    };
    this.#customers.set(tenant, customer);
    return customer;
  }

  #forgetIdle(): void {
    if (this.#customers.size < MOST_IDLE_TENANTS) return;
    for (const [tenant, { accounts, book }] of this.#customers) {
      if (accounts.size === 0 && book.isClear) this.#customers.delete(tenant);
    }
  }
}

function told(customer: Customer, users: readonly string[], { day, users: figures }: UsedToday): void {
  if (customer.day !== day) customer.warnings = new Set();
  customer.day = day;
  for (const account of customer.accounts) {
    const at = users.indexOf(account.owner.id);
    if (at >= 0) account.told(figures[at] ?? 0);
  }
}

/** Tells tenants apart in the log without naming them. */
function hashOf(tenant: string): string {
  return createHash('sha256').update(tenant).digest('hex').slice(0, 12);
}
