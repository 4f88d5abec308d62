import { GatewayError } from '../errors.ts';
import { failpoint } from '../failpoints.ts';
import {
  type ChannelEnds,
  type Claim,
  type JournalEntry,
  type SessionStop,
  StoreUnavailableError,
  type Update,
  type UpdateAnswer,
  type Watermark,
  type WriteAnswer,
} from '../store/store.ts';
import { type Draft, type Numbered, openEntries, sealNumbered } from './entries.ts';
import { type JournalOptions, type Pending, WATCH_MS } from './journal-options.ts';

/**
 * Entries that may wait for a store that is there. More in a burst than people can say in an hour is a fault of the
 * engine.
 */
const MAX_BURST = 10_000;
/** After a failed call, when the store says that it is there: it may have lost one answer only. In milliseconds. */
const RETRY_MS = 250;

/**
 * The owner's side of a session's journal: numbers entries, commits them in order, and lets them out. An entry is
 * committed before it is sent, unless the store is away: then it is sent as not durable and committed later.
 */
export class Journal<Body> {
  readonly #options: JournalOptions<Body>;
  #claim: Claim;
  /** Number of the last entry that is known to be committed. */
  #head: number;
  #ends: ChannelEnds;
  #watermark: Watermark;
  #writtenAt = performance.now();
  #pending: Pending<Body>[] = [];
  /** So many of them, the first ones, were given to the sink as not durable. */
  #shown = 0;
  /** Until when viewers are taken to be there, in milliseconds of the monotonic clock. */
  #watchedUntil = 0;
  #stop: SessionStop | undefined;
  #stopShown = false;
  /** In order and without holes, up to the head: what a record is made anew from, and a client gets without the store. */
  readonly #tail: JournalEntry[];
  #pumping: Promise<void> | undefined;
  #pumpAgain = false;
  #held = false;
  #closed = false;
  #retry: NodeJS.Timeout | undefined;
  #drained: PromiseWithResolvers<void> | undefined;

  constructor(options: JournalOptions<Body>) {
    this.#options = options;
    this.#claim = options.claim;
    this.#head = options.head;
    this.#ends = options.ends;
    this.#watermark = options.watermark;
    this.#tail = (options.tail ?? []).slice(-options.limits.tailEntries);
  }

  get claim(): Claim {
    return this.#claim;
  }

  /** Number of the last entry that is known to be committed. */
  get head(): number {
    return this.#head;
  }

  /** The watermark that is committed. */
  get watermark(): Watermark {
    return this.#watermark;
  }

  /** Number of the last entry, committed or not. */
  get lastSeq(): number {
    return this.#head + this.#pending.length;
  }

  /** Number of the last entry that was given to the sink. */
  get lastShown(): number {
    return this.#head + this.#shown;
  }

  /** True while entries wait that the sink has not been given. */
  get holdsBack(): boolean {
    return this.#shown < this.#pending.length;
  }

  /** Whether viewers are there, as far as is known. */
  get isWatched(): boolean {
    return this.#watchedUntil > performance.now();
  }

  /** True while something waits to be committed. */
  get busy(): boolean {
    return this.#pending.length > 0 || this.#stop !== undefined;
  }

  /** Numbers an entry and commits it after those before it. */
  append(draft: Draft<Body>, ends: ChannelEnds, watermark: Watermark): void {
    if (this.#closed) return;
    const isAway = this.#shown > 0;
    if (this.#pending.length >= (isAway ? this.#options.limits.pendingEntries : MAX_BURST)) {
      this.close();
      this.#options.sink.failed(new GatewayError('store_unavailable', 'The session store was away for too long.'));
      return;
    }
    const entry = { ...draft, seq: this.lastSeq + 1 };
    const sealed = sealNumbered(this.#options.key, this.#claim.sessionId, entry);
    this.#pending.push({ entry, sealed, ends, watermark });
    this.#pump();
  }

  /** Ends the session after the entries before. */
  stop(stop: SessionStop): void {
    if (this.#closed) return;
    this.#stop = stop;
    this.#pump();
  }

  /** Resolves once nothing waits to be committed, or nothing will be. */
  drained(): Promise<void> {
    if (!this.busy || this.#closed) return Promise.resolve();
    this.#drained ??= Promise.withResolvers<void>();
    return this.#drained.promise;
  }

  /** A viewer has come; the store says with each write whether any are there still. */
  watch(): void {
    this.#watchedUntil = performance.now() + WATCH_MS;
  }

  /** The store is there again, or a client is: goes on where it stopped. */
  wake(): void {
    this.#pump();
  }

  /**
   * What an update of the record must say now; undefined if nothing. A watermark that may rest on entries which are not
   * committed yet goes with them instead.
   * @param now milliseconds of the monotonic clock
   */
  update(now: number, watermark: Watermark): Update | undefined {
    if (this.#closed || this.#held) return undefined;
    const moved = !this.busy && watermark.offset > this.#watermark.offset;
    const { renewMs } = this.#options.limits;
    // Of a watched session the answer is wanted: whether it still is.
    if (!moved && now - this.#writtenAt < (this.isWatched ? Math.min(renewMs, WATCH_MS / 2) : renewMs))
      return undefined;
    return { claim: this.#claim, head: this.#head, watermark: moved ? watermark : undefined };
  }

  /** The store's answer to an update. */
  updated({ claim, watermark }: Update, answer: UpdateAnswer): void {
    if (this.#closed || claim.claimId !== this.#claim.claimId) return;
    switch (answer.kind) {
      case 'ok':
        this.#written(answer);
        if (watermark === undefined || watermark.offset <= this.#watermark.offset) return;
        this.#watermark = watermark;
        this.#options.sink.committed(watermark);
        return;
      case 'fenced':
        if (answer.epoch < this.#claim.epoch) void this.rebuild().catch(() => undefined);
        else void this.#settleFence(answer.epoch).catch(() => undefined);
        return;
      case 'absent':
      case 'behind':
        // Whatever comes of it shows with the next write.
        void this.rebuild().catch(() => undefined);
        return;
      // An entry is being written, or the end.
      case 'conflict':
      case 'stopped':
      case 'unavailable':
        return;
      default:
        answer satisfies never;
    }
  }

  /**
   * Makes the record anew that the store has lost, or a part of it.
   * @param record what it holds besides; undefined if it may not be made anew
   */
  async rebuild(record = this.#options.record()): Promise<WriteAnswer | undefined> {
    if (record === undefined) return undefined;
    const { sink, store } = this.#options;
    const answer = await store.rebuild({
      ...record,
      claim: this.#claim,
      head: this.#head,
      ends: this.#ends,
      watermark: this.#watermark,
      entries: this.#tail,
    });
    if (answer.kind === 'ok') sink.rebuilt();
    return answer;
  }

  /**
   * Starts no further write until `adopt`, so that a new claim of this worker does not cross one.
   * @returns once no write is under way
   */
  async hold(): Promise<void> {
    this.#held = true;
    await this.#pumping;
  }

  /**
   * Goes on after `hold`.
   * @param claim the new claim of this worker; undefined to go on under the old one
   * @param head the record's, with the client's knowledge: what waits up to there is known
   * @param clientSeq the last entry that the client has or was given; what waits after it is shown again
   */
  adopt(claim: Claim | undefined, head: number, clientSeq: number): void {
    this.#claim = claim ?? this.#claim;
    while ((this.#pending[0]?.entry.seq ?? Number.POSITIVE_INFINITY) <= head) this.#takeNext();
    this.#shown = Math.max(0, Math.min(this.#pending.length, clientSeq - this.#head));
    this.#stopShown = false;
    this.release();
  }

  /** Goes on after `hold` as before. */
  release(): void {
    this.#held = false;
    this.#pump();
  }

  /** The committed entries after `seq` that are held here: the end of the tail. */
  committedSince(seq: number): Numbered<Body>[] {
    const entries = this.#tail.filter((entry) => entry.seq > seq);
    return openEntries<Body>(this.#options.key, this.#claim.sessionId, entries);
  }

  /** All entries after `seq` that are held here: of the committed ones the tail, and those that wait. */
  since(seq: number): Numbered<Body>[] {
    const waiting = this.#pending.flatMap(({ entry }) => (entry.seq > seq ? [entry] : []));
    return [...this.committedSince(seq), ...waiting];
  }

  /** Nothing is committed or shown any more. Idempotent. */
  close(): void {
    this.#closed = true;
    clearTimeout(this.#retry);
    this.#drained?.resolve();
  }

  #pump(): void {
    if (this.#held || this.#closed) return;
    if (this.#pumping !== undefined) {
      // It may have looked for the last time already.
      this.#pumpAgain = true;
      return;
    }
    clearTimeout(this.#retry);
    this.#pumpAgain = false;
    this.#pumping = this.#commitAll().finally(() => {
      this.#pumping = undefined;
      if (!this.busy) this.#drained?.resolve();
      if (this.#pumpAgain) this.#pump();
    });
  }

  async #commitAll(): Promise<void> {
    while (!this.#held && !this.#closed && this.busy) {
      if (!this.#options.store.available) {
        this.#showProvisional();
        return;
      }
      try {
        failpoint('commit.before');
        const answer = await this.#commitNext();
        failpoint('commit.after');
        if (this.#closed) return;
        if (!(await this.#settle(answer))) return;
      } catch (error) {
        if (!(error instanceof StoreUnavailableError)) throw error;
        if (this.#closed) return;
        this.#showProvisional();
        this.#retry = setTimeout(() => this.#pump(), RETRY_MS);
        this.#retry.unref();
        return;
      }
    }
  }

  async #commitNext(): Promise<WriteAnswer> {
    const { store } = this.#options;
    const [next] = this.#pending;
    if (next !== undefined) {
      const { ends, sealed, watermark } = next;
      return store.append(this.#claim, sealed, { ends, watermark });
    }
    return store.stop(this.#claim, this.#head, this.#stop as SessionStop);
  }

  /** @returns false when nothing can be committed for now */
  async #settle(answer: WriteAnswer): Promise<boolean> {
    switch (answer.kind) {
      case 'ok':
        this.#written(answer);
        this.#committed();
        return true;
      case 'fenced':
        // A claim before ours: the store has lost ours.
        if (answer.epoch < this.#claim.epoch) return this.#settleLoss();
        return this.#settleFence(answer.epoch);
      case 'stopped':
        // Ended by somebody else under the same claim: a later start with the same key.
        this.#fenced(this.#claim.epoch + 1);
        return false;
      case 'absent':
      case 'behind':
        return this.#settleLoss();
      case 'conflict':
        // The record is ours and holds what we never wrote: nothing that we would add could be trusted.
        this.close();
        this.#options.sink.failed(new GatewayError('internal', 'The session store contradicts the session.'));
        return false;
      default:
        return answer satisfies never;
    }
  }

  /** The store has lost what we know. @returns false when nothing can be committed for now */
  async #settleLoss(): Promise<boolean> {
    const rebuilt = await this.rebuild();
    if (this.#closed) return false;
    if (rebuilt === undefined) this.#showProvisional();
    return rebuilt?.kind === 'ok' || (rebuilt !== undefined && this.#settle(rebuilt));
  }

  /** Another claim holds the session. @returns true if it is ours, and the write may be repeated under it */
  async #settleFence(epoch: number): Promise<boolean> {
    const before = this.#claim;
    const ours = await this.#options.reclaim?.();
    if (this.#closed) return false;
    // Meanwhile a client has come back, or another write has found the same.
    if (this.#claim !== before) return true;
    if (ours !== undefined) this.#claim = ours;
    else this.#fenced(epoch);
    return ours !== undefined;
  }

  #fenced(epoch: number): void {
    this.close();
    this.#options.sink.fenced(epoch);
  }

  #written({ watched }: { readonly watched?: true }): void {
    this.#writtenAt = performance.now();
    this.#watchedUntil = watched === undefined ? 0 : this.#writtenAt + WATCH_MS;
  }

  #committed(): void {
    const { sink } = this.#options;
    const done = this.#takeNext();
    if (done === undefined) {
      const stop = this.#stop as SessionStop;
      this.close();
      sink.stopped(stop, true);
      return;
    }
    if (this.isWatched) sink.published(done.sealed);
    if (this.#shown === 0) sink.entry(done.entry, true);
    else this.#shown--;
    sink.committed(this.#watermark);
  }

  /** The first of those that wait is known to the store or to the client, and so is the audio behind it. */
  #takeNext(): Pending<Body> | undefined {
    const next = this.#pending.shift();
    if (next === undefined) return undefined;
    this.#head = next.entry.seq;
    this.#ends = next.ends;
    this.#tail.push(next.sealed);
    if (this.#tail.length > this.#options.limits.tailEntries) this.#tail.shift();
    if (next.watermark.offset > this.#watermark.offset) this.#watermark = next.watermark;
    return next;
  }

  /** The store is away: the client need not wait for it. */
  #showProvisional(): void {
    const { sink } = this.#options;
    while (this.#shown < this.#pending.length) {
      const next = this.#pending[this.#shown++];
      if (next !== undefined) sink.entry(next.entry, false);
    }
    if (this.#stop === undefined || this.#stopShown) return;
    this.#stopShown = true;
    sink.stopped(this.#stop, false);
  }
}
