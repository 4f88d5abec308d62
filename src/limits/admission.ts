import { randomBytes } from 'node:crypto';
import { GatewayError } from '../errors.ts';
import type { Logger } from '../log.ts';
import type { LimitName } from '../protocol/limit-codes.ts';
import type { AskAnswer, QuotaEntry, QuotaLedger, QuotaNote, QuotaState } from '../store/quota.ts';
import { StoreUnavailableError } from '../store/store.ts';
import { type Applicant, type LinePlace, NoStreamError } from './applicant.ts';
import { OwnShare } from './own-share.ts';
import { COOL_MS, StreamSlot } from './stream-slot.ts';

/** How often the ledger is asked while somebody waits, in milliseconds. */
const POLL_MS = 200;
/** A client hears of its place so often at most, in milliseconds. */
const TELL_MS = 1_000;
/** Of a lease, how often it is renewed. */
const RENEWALS = 3;
/** After a renewal that failed, in milliseconds: slots that were opened meanwhile are to be counted soon. */
const RENEW_AGAIN_MS = 500;
/** How long the ticket of a session that cannot go on elsewhere outlives its worker, in milliseconds. */
const BOUND_KEEP_MS = 2_000;

/** What there is to be shared out, and the bounds of waiting for it, in milliseconds. */
interface AdmissionLimits {
  readonly entries: readonly QuotaEntry[];
  readonly leaseMs: number;
  readonly queueTimeoutMs: number;
  /** How long the place of a session in the line outlives its worker. */
  readonly keepMs: number;
}

type QueueLimit = Extract<LimitName, 'queue_length' | 'queue_timeout'>;

/** What operators may want to know. Called synchronously; must not throw. */
interface AdmissionObserver {
  /** Of all workers, as of the last renewal. */
  quotaUsed(state: QuotaState): void;
  waiting(sessions: number): void;
  granted(waitedMs: number): void;
  refused(limit: QueueLimit): void;
}

interface AdmissionOptions {
  readonly ledger: QuotaLedger;
  readonly limits: AdmissionLimits;
  readonly observer: AdmissionObserver;
  readonly log: Logger;
}

/** What a session asks for. */
export interface Application {
  readonly applicant: Applicant;
  readonly continuation: boolean;
  /** Names of the entries that will do, the best first. */
  readonly entries: readonly string[];
  /** Whether it may wait; otherwise it is refused unless it is served at once. */
  readonly mayWait: boolean;
}

interface Waiter extends Application {
  readonly place: string;
  /** Milliseconds of the monotonic clock. */
  readonly since: number;
  readonly resolve: (slot: StreamSlot) => void;
  readonly reject: (error: unknown) => void;
  told: LinePlace | undefined;
  toldAt: number;
}

/**
 * Shares out the streams of this worker's sessions by the ledger: asks for all that wait in one call, several times a
 * second while there are any, and keeps the slots that they have.
 *
 * Without the ledger a session whose stream broke opens another in its own slot, and others are served within this
 * worker's share of the quota.
 */
export class Admission {
  readonly #options: AdmissionOptions;
  readonly #worker = randomName();
  readonly #waiting = new Map<string, Waiter>();
  /** By session. */
  readonly #slots = new Map<string, StreamSlot>();
  readonly #share: OwnShare;
  #notes: QuotaNote[] = [];
  #isAsking = false;
  #isAway = false;
  #pollTimer: NodeJS.Timeout | undefined;
  #renewTimer: NodeJS.Timeout | undefined;
  #stopListening: () => void = () => undefined;
  #closed = false;

  constructor(options: AdmissionOptions) {
    this.#options = options;
    this.#share = new OwnShare(options.limits.entries);
  }

  /** Makes this worker known to the others, and goes on keeping its slots. */
  async open(): Promise<void> {
    // A ledger that is back may have lost the slots that it knew, and would give them to others.
    this.#stopListening = this.#options.ledger.onAvailability((available) => available && void this.#renew());
    await this.#renew();
  }

  /**
   * Waits for a slot and a start.
   * @throws NoStreamError if there is none in time; GatewayError `store_unavailable` if nobody could be asked; the
   *   signal's reason when that is aborted
   */
  async admit(application: Application, signal: AbortSignal): Promise<StreamSlot> {
    signal.throwIfAborted();
    const { applicant } = application;
    const slot = Promise.withResolvers<StreamSlot>();
    const since = performance.now();
    const unheard = { told: undefined, toldAt: Number.NEGATIVE_INFINITY };
    const waiter: Waiter = { ...application, place: randomName(), since, ...slot, ...unheard };
    const onAbort = () => this.#giveUp(waiter, signal.reason);
    signal.addEventListener('abort', onAbort, { once: true });
    const earlier = this.#waiting.get(applicant.id);
    this.#waiting.set(applicant.id, waiter);
    // The session was claimed here anew before its earlier owner had heard of it.
    earlier?.reject(elsewhere());
    this.#options.observer.waiting(this.#waiting.size);
    void this.#poll();
    try {
      return await slot.promise;
    } finally {
      signal.removeEventListener('abort', onAbort);
      if (waiter.told !== undefined) applicant.queued(undefined);
    }
  }

  /** Gives back what is left. Idempotent. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#stopListening();
    clearTimeout(this.#pollTimer);
    clearTimeout(this.#renewTimer);
    const closed = new GatewayError('engine_unavailable', 'The gateway is closing.', { retryable: false });
    for (const waiter of [...this.#waiting.values()]) this.#giveUp(waiter, closed);
    for (const slot of [...this.#slots.values()]) slot.ended(true);
    await this.#flush();
    await this.#options.ledger.leave(this.#worker).catch(ignoreAbsence);
  }

  /** Asks for all who wait, again and again while there are any. */
  async #poll(): Promise<void> {
    if (this.#isAsking || this.#closed) return;
    clearTimeout(this.#pollTimer);
    this.#isAsking = true;
    try {
      // Those who come while a call is under way are in the next.
      let asked: readonly Waiter[];
      do {
        asked = [...this.#waiting.values()];
        await this.#askFor(asked.filter(({ applicant }) => applicant.isAttended()));
        this.#endLongWaits(performance.now());
      } while ([...this.#waiting.values()].some((waiter) => !asked.includes(waiter)));
    } finally {
      this.#isAsking = false;
    }
    if (this.#waiting.size > 0) this.#pollTimer = setTimeout(() => void this.#poll(), POLL_MS).unref();
  }

  async #askFor(waiters: readonly Waiter[]): Promise<void> {
    if (waiters.length === 0) return;
    const { keepMs } = this.#options.limits;
    const asks = waiters.map(({ applicant, continuation, entries, mayWait, place, since }) => ({
      sessionId: applicant.id,
      place,
      tenant: applicant.tenant,
      continuation,
      entries,
      waitedMs: performance.now() - since,
      // Who may not wait may need its own slot again, which nobody else gets meanwhile.
      coolMs: mayWait ? (this.#slots.get(applicant.id)?.coolsMs ?? COOL_MS) : COOL_MS,
      keepMs: applicant.isResumable ? keepMs : BOUND_KEEP_MS,
    }));
    let answers: readonly AskAnswer[];
    try {
      answers = await this.#options.ledger.ask(asks);
    } catch (error) {
      ignoreAbsence(error);
      this.#isAway = true;
      this.#decideAlone(waiters);
      return;
    }
    this.#isAway = false;
    for (const [index, waiter] of waiters.entries()) {
      const answer = answers[index];
      if (answer !== undefined) this.#answered(waiter, answer);
    }
  }

  #answered(waiter: Waiter, answer: AskAnswer): void {
    const { applicant, place } = waiter;
    const own = this.#slots.get(applicant.id);
    if (answer.kind === 'waiting' && !waiter.mayWait) {
      this.#giveUp(waiter, new NoStreamError('The speech engine has no other stream free within its quota.'));
      if (own !== undefined) void this.#restore(own);
      return;
    }
    // The slot that it had is in the ledger's hands now.
    if (answer.kind !== 'full') own?.left();
    const isThere = this.#waiting.get(applicant.id) === waiter;
    switch (answer.kind) {
      case 'granted':
        if (isThere) this.#grant(waiter, answer.entry);
        else {
          // It left while it was asked for.
          this.#note({ kind: 'start', entry: answer.entry, place, countsMs: 0 });
          this.#note({ kind: 'slot', sessionId: applicant.id, place, coolMs: 0 });
        }
        break;
      case 'waiting':
        if (isThere) this.#tell(waiter, placeOf(answer, this.#startsPerSecond(waiter.entries)));
        break;
      case 'full':
        if (isThere)
          this.#refuse(waiter, 'queue_length', 'All streams of the speech engine are in use; try again later.');
        break;
      case 'moved':
        this.#giveUp(waiter, elsewhere());
        break;
      default:
        answer satisfies never;
    }
  }

  /** The ledger is away. Whoever has a slot opens another stream in it; others come within this worker's share. */
  #decideAlone(waiters: readonly Waiter[]): void {
    const now = performance.now();
    for (const waiter of waiters) {
      if (this.#waiting.get(waiter.applicant.id) !== waiter) continue;
      const own = this.#slots.get(waiter.applicant.id);
      const mayHave = (entry: string) =>
        (entry === own?.entry && own.coolsMs === 0) ||
        this.#share.hasSlot(entry, this.#heldIn(entry), !waiter.continuation);
      const entry = waiter.entries.find((one) => mayHave(one) && this.#share.takeStart(one, now));
      if (entry !== undefined) {
        own?.left();
        this.#grant(waiter, entry);
      } else if (!waiter.mayWait) this.#giveUp(waiter, unreachable());
    }
  }

  #grant(waiter: Waiter, entry: string): void {
    const { applicant, place, resolve, since } = waiter;
    this.#remove(waiter);
    const slot: StreamSlot = new StreamSlot({
      applicant,
      place,
      entry,
      note: (note) => this.#note(note),
      onGone: () => {
        if (this.#slots.get(applicant.id) === slot) this.#slots.delete(applicant.id);
      },
    });
    this.#slots.set(applicant.id, slot);
    this.#options.observer.granted(performance.now() - since);
    resolve(slot);
  }

  #tell(waiter: Waiter, place: LinePlace): void {
    const now = performance.now();
    if (waiter.told?.position === place.position || now - waiter.toldAt < TELL_MS) return;
    waiter.told = place;
    waiter.toldAt = now;
    waiter.applicant.queued(place);
  }

  #endLongWaits(now: number): void {
    for (const waiter of [...this.#waiting.values()]) {
      if (now - waiter.since < this.#options.limits.queueTimeoutMs) continue;
      if (this.#isAway) this.#giveUp(waiter, unreachable());
      else
        this.#refuse(waiter, 'queue_timeout', 'No stream of the speech engine became free in time; try again later.');
    }
  }

  #refuse(waiter: Waiter, limit: QueueLimit, message: string): void {
    this.#options.observer.refused(limit);
    this.#giveUp(waiter, new NoStreamError(message));
  }

  /** It waits no longer. Where it goes on elsewhere, its ticket is left for it there. */
  #giveUp(waiter: Waiter, reason: unknown): void {
    const { applicant, place, reject } = waiter;
    if (this.#waiting.get(applicant.id) === waiter) {
      this.#remove(waiter);
      if (!applicant.moves()) this.#note({ kind: 'ticket', sessionId: applicant.id, place });
    }
    reject(reason);
  }

  #remove({ applicant }: Waiter): void {
    this.#waiting.delete(applicant.id);
    this.#options.observer.waiting(this.#waiting.size);
  }

  /** Notes of one turn of the event loop go in one call. */
  #note(note: QuotaNote): void {
    this.#notes.push(note);
    if (this.#notes.length === 1) setImmediate(() => void this.#flush());
  }

  async #flush(): Promise<void> {
    const notes = this.#notes;
    this.#notes = [];
    // What cannot be noted expires.
    if (notes.length > 0) await this.#options.ledger.note(notes).catch(ignoreAbsence);
  }

  async #renew(): Promise<void> {
    const { ledger, limits, log, observer } = this.#options;
    clearTimeout(this.#renewTimer);
    let nextMs = limits.leaseMs / RENEWALS;
    try {
      const slots = [...this.#slots.values()].map((slot) => slot.held);
      const state = await ledger.renew(this.#worker, slots);
      this.#share.learn(state.workers);
      observer.quotaUsed(state);
    } catch (error) {
      ignoreAbsence(error);
      log.debug({ err: error }, 'slots of the quota not renewed');
      nextMs = RENEW_AGAIN_MS;
    }
    clearTimeout(this.#renewTimer);
    if (!this.#closed) this.#renewTimer = setTimeout(() => void this.#renew(), nextMs).unref();
  }

  /** A slot that was brought to the ledger in vain is its session's again. */
  async #restore({ held }: StreamSlot): Promise<void> {
    await this.#options.ledger.renew(this.#worker, [held]).catch(ignoreAbsence);
  }

  #heldIn(entry: string): number {
    return [...this.#slots.values()].filter((slot) => slot.entry === entry).length;
  }

  #startsPerSecond(names: readonly string[]): number {
    const known = this.#options.limits.entries.filter(({ name }) => names.includes(name));
    return known.reduce((sum, { startsPerSecond }) => sum + startsPerSecond, 0);
  }
}

function placeOf(
  { freedEveryMs, hasSlot, position }: Extract<AskAnswer, { kind: 'waiting' }>,
  startsPerSecond: number,
): LinePlace {
  const everyMs = hasSlot ? 1_000 / startsPerSecond : freedEveryMs;
  return { position, etaMs: everyMs === undefined ? undefined : Math.ceil(position * everyMs) };
}

function elsewhere(): GatewayError {
  return new GatewayError('engine_unavailable', 'The session goes on elsewhere.', { retryable: false });
}

function unreachable(): GatewayError {
  return new GatewayError('store_unavailable', 'The quota of the speech engine cannot be asked for; try again later.');
}

/** A ledger that is away says so by this, and whoever called goes on without it. @throws any other error */
function ignoreAbsence(error: unknown): void {
  if (!(error instanceof StoreUnavailableError)) throw error;
}

function randomName(): string {
  return randomBytes(9).toString('base64url');
}
