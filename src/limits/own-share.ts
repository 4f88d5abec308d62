import type { QuotaEntry } from '../store/quota.ts';

/**
 * What one worker may use of the quota while nobody can be asked: its share, by the number of workers that it knew of
 * last. Nothing before it knew of any.
 */
export class OwnShare {
  readonly #entries: ReadonlyMap<string, QuotaEntry>;
  /** By entry: when the last start was granted, in milliseconds of the monotonic clock. */
  readonly #startedAt = new Map<string, number>();
  #workers = Number.POSITIVE_INFINITY;

  constructor(entries: readonly QuotaEntry[]) {
    this.#entries = new Map(entries.map((entry) => [entry.name, entry]));
  }

  /** The ledger says how many workers there are. */
  learn(workers: number): void {
    this.#workers = Math.max(1, workers);
  }

  /** @param held slots that this worker has in the entry */
  hasSlot(name: string, held: number, isNew: boolean): boolean {
    const entry = this.#entries.get(name);
    if (entry === undefined) return false;
    return held < Math.floor((entry.streams - (isNew ? entry.reserve : 0)) / this.#workers);
  }

  /** Takes a start of the share, evenly spaced, if there is one. @param now milliseconds of the monotonic clock */
  takeStart(name: string, now: number): boolean {
    const share = (this.#entries.get(name)?.startsPerSecond ?? 0) / this.#workers;
    if (share === 0) return false;
    // A whole number of starts in a second: parts of one would add up to more than the quota over the workers.
    const everyMs = 1_000 / (share >= 1 ? Math.floor(share) : share);
    if (now - (this.#startedAt.get(name) ?? Number.NEGATIVE_INFINITY) < everyMs) return false;
    this.#startedAt.set(name, now);
    return true;
  }
}
