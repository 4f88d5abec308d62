import type { HeldSlot, QuotaNote } from '../store/quota.ts';
import type { Applicant } from './applicant.ts';

/**
 * After its stream was ended here a slot counts for so long yet, in milliseconds: the service hears of the end later,
 * by a network's way and a server's turn.
 */
export const COOL_MS = 500;
/**
 * A start counts for so long once the service has answered, in milliseconds: the second that it counts there began
 * before, and clocks tick in whole ones.
 */
const START_COUNTS_MS = 1_010;
/**
 * How long the slot of a stream that broke is kept for the next, in milliseconds: the longest wait between two tries, and
 * then some.
 */
const KEPT_MS = 5_000;

interface StreamSlotOptions {
  readonly applicant: Applicant;
  /** Name of the place in the ledger. */
  readonly place: string;
  readonly entry: string;
  readonly note: (note: QuotaNote) => void;
  /** The slot is no more. */
  readonly onGone: () => void;
}

/**
 * The slot of one session in one pool entry. States:
 * - `starting`: a stream is being opened in it.
 * - `busy`: a stream is open.
 * - `kept`: the stream broke; the session will want another.
 * - `gone`: given back, or left to the session where that goes on.
 */
export class StreamSlot {
  readonly #options: StreamSlotOptions;
  #state: 'starting' | 'busy' | 'kept' | 'gone' = 'starting';
  #endedAt = 0;
  #timer: NodeJS.Timeout | undefined;
  readonly #onOver = () => {
    if (this.#state === 'kept') this.#giveBack();
  };

  constructor(options: StreamSlotOptions) {
    this.#options = options;
    options.applicant.over.addEventListener('abort', this.#onOver, { once: true });
  }

  get entry(): string {
    return this.#options.entry;
  }

  /** As the ledger knows it. */
  get held(): HeldSlot {
    const { applicant, entry, place } = this.#options;
    return { sessionId: applicant.id, place, tenant: applicant.tenant, entry };
  }

  /** For how long the stream that was in it may still count, in milliseconds. */
  get coolsMs(): number {
    return this.#state === 'kept' ? Math.max(0, COOL_MS - (performance.now() - this.#endedAt)) : COOL_MS;
  }

  /** The service has answered the start, or will not any more. */
  arrived(): void {
    if (this.#state !== 'starting') return;
    this.#state = 'busy';
    this.#noteStart(START_COUNTS_MS);
  }

  /** No start was tried. */
  unused(): void {
    if (this.#state !== 'starting') return;
    this.#noteStart(0);
    this.#endedAt = performance.now() - COOL_MS;
    this.#keep();
  }

  /** The stream is over. @param isComplete it ended in good order, so that none follows at once */
  ended(isComplete: boolean): void {
    if (this.#state === 'gone') return;
    this.arrived();
    this.#endedAt = performance.now();
    if (isComplete) this.#giveBack();
    else this.#keep();
  }

  /** The session has brought it to the ledger, for another: there is nothing to give back. */
  left(): void {
    this.#leave();
  }

  #keep(): void {
    this.#state = 'kept';
    if (this.#options.applicant.over.aborted) this.#giveBack();
    else this.#timer = setTimeout(() => this.#giveBack(), KEPT_MS).unref();
  }

  #giveBack(): void {
    const { applicant, note, place } = this.#options;
    if (this.#state === 'gone') return;
    const coolMs = Math.max(0, COOL_MS - (performance.now() - this.#endedAt));
    // It expires unless the session takes it up where it goes on.
    if (!applicant.moves()) note({ kind: 'slot', sessionId: applicant.id, place, coolMs });
    this.#leave();
  }

  #leave(): void {
    if (this.#state === 'gone') return;
    this.#state = 'gone';
    clearTimeout(this.#timer);
    this.#options.applicant.over.removeEventListener('abort', this.#onOver);
    this.#options.onGone();
  }

  #noteStart(countsMs: number): void {
    const { entry, note, place } = this.#options;
    note({ kind: 'start', entry, place, countsMs });
  }
}
