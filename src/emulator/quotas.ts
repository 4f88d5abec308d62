import { Refusal } from './refusal.ts';

/** Quotas count in this window, in milliseconds: they are given per second. */
const WINDOW_MS = 1000;
/** Accounts are access keys times regions, and a client with a key may sign for any region: idle ones are dropped. */
const PRUNE_ABOVE = 1000;

interface Account {
  active: number;
  /** Times of the starts in the last window, oldest first; never more than the quota of starts. */
  starts: number[];
}

/**
 * The quotas of one account: an access key in a region, for AWS grants both per account and region.
 *
 * A start that is refused for want of a stream is not counted as a start.
 */
export class Quotas {
  readonly #concurrent: number;
  readonly #startsPerSecond: number;
  readonly #accounts = new Map<string, Account>();

  constructor(concurrentStreams: number, startsPerSecond: number) {
    this.#concurrent = concurrentStreams;
    this.#startsPerSecond = startsPerSecond;
  }

  /**
   * Takes a place, or says why not.
   * @param account access key and region of an authenticated request
   * @param now milliseconds of a monotonic clock
   * @returns a function that gives the place back, idempotent
   * @throws Refusal `LimitExceededException`
   */
  take(account: string, now: number): () => void {
    this.#prune(now);
    const entry = this.#accounts.get(account) ?? { active: 0, starts: [] };
    entry.starts = entry.starts.filter((time) => time > now - WINDOW_MS);
    if (entry.active >= this.#concurrent) {
      // The words of AWS, from a user's report: amazon-connect/amazon-connect-realtime-transcription, issue 45.
      throw new Refusal(
        'LimitExceededException',
        `You have reached your limit of concurrent streams, ${this.#concurrent}. Try again later.`,
      );
    }
    if (entry.starts.length >= this.#startsPerSecond) {
      throw new Refusal(
        'LimitExceededException',
        `You have reached your limit of stream starts per second, ${this.#startsPerSecond}. Try again later.`,
      );
    }
    entry.starts.push(now);
    entry.active += 1;
    this.#accounts.set(account, entry);
    let held = true;
    return () => {
      if (held) entry.active -= 1;
      held = false;
    };
  }

  /** Drops the accounts that hold nothing, once there are many. */
  #prune(now: number): void {
    if (this.#accounts.size < PRUNE_ABOVE) return;
    for (const [name, entry] of this.#accounts) {
      const recent = entry.starts.some((time) => time > now - WINDOW_MS);
      if (entry.active === 0 && !recent) this.#accounts.delete(name);
    }
  }
}
