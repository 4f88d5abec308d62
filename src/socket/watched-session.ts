import type { Server } from 'socket.io';
import { GatewayError, toGatewayError } from '../errors.ts';
import type { Logger } from '../log.ts';
import type { Metrics } from '../metrics/metrics.ts';
import type { ClientToServerEvents, ResultEvent, ServerToClientEvents } from '../protocol/events.ts';
import type { StartRequest } from '../protocol/start-request.ts';
import { type Numbered, openEntries } from '../resume/entries.ts';
import { WATCH_MS } from '../resume/journal-options.ts';
import { openPartial } from '../resume/partial-cipher.ts';
import type { WatchSecrets } from '../resume/tokens.ts';
import type { ShownPartial } from '../session/audience.ts';
import type { EntryBody, EntryNote } from '../session/session-view.ts';
import type { PlacedResult } from '../session/timeline.ts';
import { type JournalEntry, type ReadSession, type Store, StoreUnavailableError } from '../store/store.ts';
import type { LiveEvent, PodBus } from './pod-bus.ts';
import { type GapFacts, Presenter, type SessionFacts } from './presenter.ts';
import type { Viewer } from './viewer.ts';

/** How often the journal is looked at for what was not heard, and the session marked as watched, in milliseconds. */
const CHECK_MS = WATCH_MS / 5;
/** Entries that are kept for viewers who come while others are read. */
const RECENT_ENTRIES = 64;
/** Suggested to viewers that the store's absence refuses. */
const STORE_RETRY_AFTER_MS = 2_000;

/** What all watched sessions of a process have in common. */
export interface WatchParts {
  readonly store: Store;
  readonly bus: PodBus;
  /** How long a session that the store does not know any more may come back, in milliseconds. */
  readonly resumeWindowMs: number;
  readonly engineName: string;
  readonly metrics: Metrics;
  readonly log: Logger;
}

interface WatchedSessionOptions extends WatchParts {
  readonly io: Io;
  readonly sessionId: string;
  readonly secrets: WatchSecrets;
  /** Called when nobody watches any more. */
  readonly onIdle: () => void;
}

type Entry = Numbered<EntryBody>;
type Io = Server<ClientToServerEvents, ServerToClientEvents>;
type Emitter = Viewer['socket'] | ReturnType<Io['to']>;

/** Entries that are not held any more, for viewers who miss them. */
interface Missing {
  readonly lastSeq: number;
  /** Where the last of them ends, in samples. */
  readonly end: number;
  readonly reason: string;
}

/**
 * One session with its viewers in this process. Live entries are shown in the order of their numbers; where one is
 * missing, and every few seconds, the journal is read. So the journal alone decides what viewers get, and messages of
 * its owner only make it quick. A viewer that comes gets its part of the next read, then all that the others get.
 */
export class WatchedSession {
  readonly #options: WatchedSessionOptions;
  readonly #presenter = new Presenter(2, '');
  readonly #room: string;
  readonly #viewers = new Map<Viewer, PromiseWithResolvers<void>>();
  readonly #leaveBus: () => void;
  readonly #timer: NodeJS.Timeout;
  #facts: SessionFacts | undefined;
  #epoch = 0;
  /** Number of the last entry that live viewers have, and where it ends; undefined before the first read. */
  #last: number | undefined;
  #lastEnd = 0;
  /** The last of them, in order and without holes. */
  #recent: Entry[] = [];
  /** The newest that was shown since the last entry. */
  #partial: { readonly epoch: number; readonly order: number; readonly event: ResultEvent } | undefined;
  /** The newest of what follows an entry that was not heard: it can be shown once that is read. */
  #early: ShownPartial | undefined;
  #isReading = false;
  #readAgain = false;
  #unknownSince: number | undefined;
  #closed = false;

  constructor(options: WatchedSessionOptions) {
    this.#options = options;
    this.#room = `watch ${options.sessionId}`;
    this.#leaveBus = options.bus.join(options.sessionId, (event) => this.#hear(event));
    this.#timer = setInterval(() => this.#read(), CHECK_MS);
    this.#timer.unref();
  }

  /** Resolves when the viewer has all that there was. @throws GatewayError `watch_refused` or `store_unavailable` */
  join(viewer: Viewer): Promise<void> {
    const joined = Promise.withResolvers<void>();
    this.#viewers.set(viewer, joined);
    this.#options.metrics.viewers.inc();
    this.#read();
    return joined.promise;
  }

  leave(viewer: Viewer): void {
    viewer.close();
    this.#remove(viewer)?.resolve();
  }

  #hear(event: LiveEvent): void {
    // The first read gives all that was committed before it; what comes in between, another one.
    if (this.#last === undefined) {
      this.#readAgain = true;
      return;
    }
    switch (event.kind) {
      case 'entry':
        this.#hearEntry(event.epoch, event.entry, this.#last);
        return;
      case 'partial':
        this.#hearPartial(event.partial, this.#last);
        return;
      case 'stopped':
        this.#read();
        return;
      default:
        event satisfies never;
    }
  }

  #hearEntry(epoch: number, sealed: JournalEntry, last: number): void {
    this.#epoch = Math.max(this.#epoch, epoch);
    if (sealed.seq <= last) return;
    const [entry] = sealed.seq === last + 1 ? (this.#open([sealed]) ?? []) : [];
    if (entry === undefined) this.#read();
    else this.#show(entry);
  }

  #hearPartial(partial: ShownPartial, last: number): void {
    const { afterSeq, epoch, order } = partial;
    const facts = this.#facts;
    if (facts === undefined || epoch < this.#epoch || afterSeq < last) return;
    this.#epoch = epoch;
    if (afterSeq > last) {
      this.#early = partial;
      this.#read();
      return;
    }
    // Redis may deliver late what it was given before it went away.
    if (this.#partial?.epoch === epoch && order <= this.#partial.order) return;
    const result = this.#tryTo(() =>
      openPartial<PlacedResult>(this.#options.secrets.journalKey, this.#options.sessionId, partial),
    );
    if (result === undefined) return;
    const event = this.#presenter.partial(facts, result, epoch, afterSeq);
    this.#partial = { epoch, order, event };
    const busy: string[] = [];
    for (const viewer of this.#viewers.keys()) {
      if (!viewer.isLive || !viewer.isBusy) continue;
      busy.push(viewer.id);
      this.#options.metrics.viewerPartialsSkippedTotal.inc();
      viewer.sendLater(() => {
        // An entry that came meanwhile says more.
        if (this.#partial !== undefined) viewer.socket.emit('transcription_result', this.#partial.event);
      });
    }
    this.#options.io.to(this.#room).except(busy).emit('transcription_result', event);
  }

  /** The next entry, for all live viewers. */
  #show(entry: Entry): void {
    this.#partial = undefined;
    this.#last = entry.seq;
    this.#lastEnd = entry.endSample;
    this.#recent.push(entry);
    if (this.#recent.length > RECENT_ENTRIES) this.#recent.shift();
    this.#emit(this.#options.io.to(this.#room), entry, false);
  }

  #emit(to: Emitter, { body, seq }: Entry, replayed: boolean): void {
    const note = { seq, epoch: this.#epoch, durable: true, replayed };
    if (body.kind === 'final') to.emit('transcription_result', this.#presenter.final(this.#known, body.result, note));
    else this.#emitGap(to, body.gap, note);
  }

  #emitGap(to: Emitter, gap: GapFacts, note: EntryNote): void {
    const event = this.#presenter.gap(this.#known, gap, note);
    if (event !== undefined) to.emit('transcription_gap', event);
  }

  get #known(): SessionFacts {
    if (this.#facts === undefined) throw new Error('the session was not read yet');
    return this.#facts;
  }

  #read(): void {
    if (this.#isReading || this.#closed) {
      this.#readAgain = true;
      return;
    }
    this.#isReading = true;
    void this.#readAll();
  }

  async #readAll(): Promise<void> {
    try {
      do {
        this.#readAgain = false;
        await this.#readOnce();
      } while (this.#readAgain && !this.#closed);
    } catch (thrown) {
      const error = toGatewayError(thrown);
      this.#options.log.error({ err: error }, 'a watched session failed');
      this.#endWith(error);
    } finally {
      this.#isReading = false;
    }
  }

  async #readOnce(): Promise<void> {
    const { metrics, secrets, sessionId, store } = this.#options;
    const joining = [...this.#viewers.keys()].filter((viewer) => !viewer.isLive);
    const afterSeq = Math.min(this.#last ?? Number.MAX_SAFE_INTEGER, ...joining.map(({ sent }) => sent));
    try {
      const answer = await store.read({ sessionId, watchHash: secrets.watchHash, afterSeq, watchMs: WATCH_MS });
      metrics.viewerReadsTotal.inc({ outcome: answer.kind });
      if (this.#closed) return;
      if (answer.kind === 'read') this.#take(answer.session, joining);
      else this.#refused(joining);
    } catch (error) {
      if (!(error instanceof StoreUnavailableError)) throw error;
      metrics.viewerReadsTotal.inc({ outcome: 'unavailable' });
      const message = 'The session store cannot be reached.';
      // Those who are there wait for it.
      this.#reject(joining, new GatewayError('store_unavailable', message, { retryAfterMs: STORE_RETRY_AFTER_MS }));
    }
  }

  #take(session: ReadSession, joining: readonly Viewer[]): void {
    this.#unknownSince = undefined;
    const entries = this.#open(session.entries);
    if (entries === undefined) {
      this.#endWith(new GatewayError('internal', 'The journal of the session cannot be read.'));
      return;
    }
    this.#facts ??= this.#factsOf(session);
    // A later claim that knows less has made void what came after: the store had lost it.
    if (this.#last !== undefined && session.epoch > this.#epoch && session.head < this.#last) {
      this.#last = session.head;
      this.#recent = [];
    }
    if (session.epoch > this.#epoch) {
      this.#epoch = session.epoch;
      this.#options.bus.announce(this.#options.sessionId);
    }
    this.#showUnheard(session, entries);
    for (const viewer of joining) if (this.#viewers.has(viewer)) this.#catchUp(viewer, session, entries);
    if (session.stopped !== undefined) this.#stopped(session);
  }

  /** What live viewers have not heard. */
  #showUnheard(session: ReadSession, entries: readonly Entry[]): void {
    if (this.#last === undefined) {
      this.#last = session.head;
      this.#recent = entries.slice(-RECENT_ENTRIES);
      this.#lastEnd = entries.at(-1)?.endSample ?? session.trimmedEnd;
      return;
    }
    const missing = missingIn(session, this.#last);
    if (missing !== undefined) {
      this.#partial = undefined;
      this.#emitMissing(this.#options.io.to(this.#room), missing, this.#lastEnd);
      this.#last = missing.lastSeq;
      this.#lastEnd = missing.end;
      this.#recent = [];
    }
    for (const entry of entries) if (entry.seq > this.#last) this.#show(entry);
    const early = this.#early;
    this.#early = undefined;
    if (early !== undefined) this.#hearPartial(early, this.#last);
  }

  /** Gives a viewer that has come what it does not have; it is live then. */
  #catchUp(viewer: Viewer, session: ReadSession, entries: readonly Entry[]): void {
    const missing = missingIn(session, viewer.sent);
    if (missing !== undefined) {
      this.#emitMissing(viewer.socket, missing, viewer.end);
      viewer.sent = missing.lastSeq;
      viewer.end = missing.end;
    }
    for (const entry of [...entries, ...this.#recent]) {
      if (entry.seq !== viewer.sent + 1) continue;
      this.#emit(viewer.socket, entry, true);
      viewer.sent = entry.seq;
      viewer.end = entry.endSample;
    }
    // More came while this was read than is kept for it.
    if (viewer.sent < (this.#last ?? 0)) {
      this.#readAgain = true;
      return;
    }
    viewer.isLive = true;
    void viewer.socket.join(this.#room);
    if (this.#partial !== undefined) viewer.socket.emit('transcription_result', this.#partial.event);
    this.#viewers.get(viewer)?.resolve();
  }

  #stopped({ head, stopped }: ReadSession): void {
    if (stopped === undefined || this.#readAgain) return;
    const note = { ...stopped, lastSeq: head, durable: true };
    const event = this.#presenter.stopped(this.#known, note);
    for (const viewer of [...this.#viewers.keys()]) {
      if (!viewer.isLive) continue;
      viewer.socket.emit('transcription_stopped', event);
      this.#remove(viewer);
      viewer.over(undefined);
    }
  }

  /** The store does not know the session, or not with this token. */
  #refused(joining: readonly Viewer[]): void {
    this.#reject(
      joining,
      new GatewayError('watch_refused', 'watch_transcription: not a session that this token opens.'),
    );
    // Its owner makes a record anew that was lost; meanwhile viewers wait.
    this.#unknownSince ??= performance.now();
    if (performance.now() - this.#unknownSince < this.#options.resumeWindowMs) return;
    this.#endWith(new GatewayError('watch_refused', 'The session is not known any more.'));
  }

  #endWith(error: GatewayError): void {
    for (const viewer of [...this.#viewers.keys()]) {
      const joined = this.#remove(viewer);
      if (viewer.isLive) viewer.over(error);
      else joined?.reject(error);
    }
  }

  #reject(viewers: readonly Viewer[], error: GatewayError): void {
    for (const viewer of viewers) this.#remove(viewer)?.reject(error);
  }

  #emitMissing(to: Emitter, { end, lastSeq, reason }: Missing, fromSample: number) {
    const gap = { fromSample, toSample: Math.max(fromSample, end), reason };
    this.#emitGap(to, gap, { seq: lastSeq, epoch: this.#epoch, durable: true, replayed: true });
  }

  #open(entries: readonly JournalEntry[]): Entry[] | undefined {
    const { secrets, sessionId } = this.#options;
    return this.#tryTo(() => openEntries<EntryBody>(secrets.journalKey, sessionId, entries));
  }

  /** Undefined for what was not sealed with the key of the session: a stranger in Redis. */
  #tryTo<T>(open: () => T): T | undefined {
    try {
      return open();
    } catch (error) {
      this.#options.log.error({ err: error }, 'an entry for viewers does not open');
      return undefined;
    }
  }

  #factsOf({ request }: ReadSession): SessionFacts {
    const { languageCode, sampleRate } = (JSON.parse(request) as { readonly request: StartRequest }).request;
    return { sessionId: this.#options.sessionId, languageCode, sampleRate, engine: this.#options.engineName };
  }

  #remove(viewer: Viewer): PromiseWithResolvers<void> | undefined {
    const joined = this.#viewers.get(viewer);
    if (joined === undefined) return undefined;
    this.#viewers.delete(viewer);
    this.#options.metrics.viewers.dec();
    void viewer.socket.leave(this.#room);
    if (this.#viewers.size === 0) this.#close();
    return joined;
  }

  #close(): void {
    this.#closed = true;
    clearInterval(this.#timer);
    this.#leaveBus();
    this.#options.onIdle();
  }
}

/** What of the entries after `seq` is gone; undefined if all are held. */
function missingIn({ entries, head, lostSeq, trimmedEnd }: ReadSession, seq: number): Missing | undefined {
  const next = entries.find((entry) => entry.seq > seq);
  const lastSeq = (next?.seq ?? head + 1) - 1;
  if (lastSeq <= seq) return undefined;
  return { lastSeq, end: trimmedEnd, reason: lastSeq <= lostSeq ? 'not_durable' : 'journal_trimmed' };
}
