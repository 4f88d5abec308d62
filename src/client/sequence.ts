/** What places an entry among the others of its session. */
export interface EntryPlace {
  readonly seq: number;
  readonly epoch: number | undefined;
  /** Samples of the session. */
  readonly end: number;
  /** A gap for entries that the server does not hold any more: its number is the last of them. */
  readonly coversMissing: boolean;
  /** It answers our own resume, and may name the epoch in which it was committed. */
  readonly replayed: boolean;
}

/**
 * The entries of one session: each number is delivered once and in order, whatever was sent again.
 *
 * A provisional final (`durable: false`) counts like any other here, because the application has been given it: the
 * server must not send it again, and a store that does not know it takes the client's word. It does not count for
 * forgetting audio; only acknowledgements do.
 */
export class EntrySequence {
  #epoch = 0;
  #lastSeq = 0;
  #lastEnd = 0;

  /** The highest seen. */
  get epoch(): number {
    return this.#epoch;
  }

  /** Number of the last entry delivered, 0 for none. */
  get lastSeq(): number {
    return this.#lastSeq;
  }

  /** Where that entry ends, in samples of the session. */
  get lastEnd(): number {
    return this.#lastEnd;
  }

  sawEpoch(epoch: number | undefined): void {
    this.#epoch = Math.max(this.#epoch, epoch ?? 0);
  }

  /**
   * - `deliver`: it is the next one.
   * - `drop`: it was delivered before, or comes from an owner that has been replaced.
   * - `skipped`: one before it is missing; the session must be resumed.
   */
  take(entry: EntryPlace): 'deliver' | 'drop' | 'skipped' {
    if (!entry.replayed && entry.epoch !== undefined && entry.epoch < this.#epoch) return 'drop';
    if (entry.seq <= this.#lastSeq) return 'drop';
    if (entry.seq > this.#lastSeq + 1 && !entry.coversMissing) return 'skipped';
    this.sawEpoch(entry.epoch);
    this.#lastSeq = entry.seq;
    this.#lastEnd = entry.end;
    return 'deliver';
  }

  /** Whether a partial is news: not from a replaced owner, and not about audio that has its entry by now. */
  isFresh(partial: { readonly epoch: number | undefined; readonly afterSeq: number | undefined }): boolean {
    if (partial.epoch !== undefined && partial.epoch < this.#epoch) return false;
    return partial.afterSeq === undefined || partial.afterSeq === this.#lastSeq;
  }
}
