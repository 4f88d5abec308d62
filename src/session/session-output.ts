import type { GatewayError } from '../errors.ts';
import { failpoint } from '../failpoints.ts';
import type { LinePlace } from '../limits/applicant.ts';
import type { Metrics } from '../metrics/metrics.ts';
import type { Numbered } from '../resume/entries.ts';
import type { Journal } from '../resume/journal.ts';
import { sealPartial } from '../resume/partial-cipher.ts';
import type { SessionStop } from '../store/store.ts';
import type { Audience } from './audience.ts';
import type { Durability } from './ownership.ts';
import type { EntryBody, SessionView } from './session-view.ts';
import type { PlacedResult } from './timeline.ts';

export interface SessionOutputOptions {
  /** Of the session. */
  readonly id: string;
  readonly audience: Audience;
  /** Both undefined for a session that is not journaled. */
  readonly durability: Pick<Durability, 'acks' | 'secrets'> | undefined;
  readonly journal: () => Journal<EntryBody> | undefined;
  readonly metrics: Pick<Metrics, 'deliverySeconds' | 'entriesTotal'>;
}

/**
 * The one way out of a session: to the connection that is attached, if any, and to viewers. Partials wait behind an entry
 * that is being committed; only the newest is kept.
 */
export class SessionOutput {
  readonly #options: SessionOutputOptions;
  #view: SessionView | undefined;
  /** A partial that waits for an entry before it to be committed. */
  #heldPartial: PlacedResult | undefined;
  /** When the engine gave what is being committed, in milliseconds of the monotonic clock. */
  readonly #givenAt = new WeakMap<EntryBody, number>();
  /** Partials that viewers were shown. */
  #shownPartials = 0;

  /** @param view of the connection that began the session, or goes on with it */
  constructor(options: SessionOutputOptions, view: SessionView) {
    this.#options = options;
    this.#view = view;
  }

  /** The connection that is attached. */
  get view(): SessionView | undefined {
    return this.#view;
  }

  attach(view: SessionView): void {
    this.#view = view;
  }

  /** From now on nobody is told but viewers. */
  detach(): void {
    this.#view = undefined;
  }

  /** The session waits for an engine stream; the client of one that cannot be resumed hears nothing of it. */
  queued(place: LinePlace): void {
    const secrets = this.#options.durability?.secrets;
    if (secrets !== undefined) this.#view?.queued(place, this.#epoch, secrets);
  }

  partial(result: PlacedResult): void {
    const journal = this.#options.journal();
    if (journal?.holdsBack) this.#heldPartial = result;
    else this.#partial(result, journal?.lastShown);
  }

  /** A final or a gap is about to be committed: what the partial that waits says is in it, or comes again. */
  awaitEntry(body: EntryBody): void {
    this.#heldPartial = undefined;
    this.#givenAt.set(body, performance.now());
  }

  entry({ body, seq }: Numbered<EntryBody>, durable: boolean): void {
    this.#options.metrics.entriesTotal.inc({ kind: body.kind, durable: durable ? 'true' : 'false' });
    if (this.#view !== undefined) {
      this.#view.entry(body, { seq, epoch: this.#epoch, durable, replayed: false });
      const givenAt = this.#givenAt.get(body);
      if (givenAt !== undefined) {
        this.#options.metrics.deliverySeconds.observe((performance.now() - givenAt) / 1000);
      }
    }
    const partial = this.#heldPartial;
    if (partial === undefined || this.#options.journal()?.holdsBack) return;
    this.#heldPartial = undefined;
    this.#partial(partial, seq);
  }

  /** Says how much audio the client need not keep any more. */
  acknowledge(): void {
    const watermark = this.#options.journal()?.watermark;
    if (watermark === undefined || this.#view === undefined || !this.#options.durability?.acks) return;
    failpoint('ack.before');
    this.#view.acked(watermark);
    failpoint('ack.after');
  }

  /** The end; nothing follows to the connection. @param failure why, if the session failed */
  stopped(stop: SessionStop, durable: boolean, failure: GatewayError | undefined): void {
    const { audience, id } = this.#options;
    const journal = this.#options.journal();
    if (durable && journal?.isWatched) audience.stopped(id);
    if (failure === undefined) this.#view?.stopped({ ...stop, durable, ...(journal && { lastSeq: journal.lastSeq }) });
    else this.#view?.failed(failure);
    this.detach();
  }

  get #epoch(): number {
    return this.#options.journal()?.claim.epoch ?? 0;
  }

  #partial(result: PlacedResult, afterSeq: number | undefined): void {
    this.#view?.partial(result, this.#epoch, afterSeq);
    const { audience, durability, id } = this.#options;
    const journal = this.#options.journal();
    const key = durability?.secrets.journalKey;
    // Viewers get committed entries only, and what is said after those.
    if (key === undefined || !journal?.isWatched || afterSeq !== journal.head) return;
    const sealed = sealPartial(key, id, afterSeq, result);
    audience.partial(id, { ...sealed, epoch: this.#epoch, order: ++this.#shownPartials });
  }
}
