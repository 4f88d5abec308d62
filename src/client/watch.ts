import type { AckReply, GapEvent, ResultEvent } from '../protocol/events.ts';
import { Emitter } from './emitter.ts';
import { EntryReaders } from './entry-reader.ts';
import { errorOf, TranscriptionError } from './errors.ts';
import type { Entry, Final, Gap, PartialResult, Retry } from './events.ts';
import { Lifeline, type Phase } from './lifeline.ts';
import type { LinkEvents } from './link.ts';
import { type LineOptions, lineSettingsOf } from './options.ts';
import { promiseParts } from './promise-parts.ts';
import { Timeline } from './timeline.ts';

export interface WatchOptions extends LineOptions {
  /** What is watched; the speaker's `session` event tells both. */
  readonly sessionId: string;
  /** The right to read that session, and nothing else. */
  readonly watchToken: string;
  /** The last entry that is here already; default 0, for all that the gateway still holds. */
  readonly afterSeq?: number;
}

/** As of a transcription: `live` while what is said comes in, `resuming` while a lost connection is made anew. */
export type WatchState = 'idle' | 'connecting' | 'live' | 'resuming' | 'stopped';

export interface WatchEvents {
  partial: PartialResult;
  final: Final;
  gap: Gap;
  state: { readonly state: WatchState; readonly previous: WatchState };
  /** The speaker has ended the session: nothing follows. */
  stopped: { readonly reason: string | undefined };
  /** A fault that passes: nothing needs to be done. */
  retry: Retry;
  /** A fault that does not: the watch is over. */
  error: TranscriptionError;
}

/**
 * Follows a session that somebody else speaks: captions for viewers. It connects again by itself and goes on after the
 * last entry that it was given, on whichever gateway.
 *
 * Entries come in order of `seq`, each once. Only where the gateway's store has lost data may a number come again, with
 * the words that took its place.
 */
export class Watch extends Emitter<WatchEvents> implements AsyncIterable<Entry> {
  readonly #options: WatchOptions;
  readonly #line: Lifeline;
  readonly #readers = new EntryReaders<Entry>();
  // Milliseconds are the gateway's: the session is watched from its own beginning, whatever its rate.
  readonly #timeline = new Timeline({ chunks: 0, samples: 0, entries: 0 }, undefined);
  readonly #started = promiseParts<void>();
  #state: WatchState = 'idle';
  #wasLive = false;
  #lastSeq: number;
  /** The highest epoch of an entry. */
  #epoch = 0;
  #outcome: { readonly error: TranscriptionError | undefined } | undefined;

  constructor(options: WatchOptions) {
    super();
    this.#options = options;
    this.#lastSeq = options.afterSeq ?? 0;
    this.#line = new Lifeline(lineSettingsOf(options), {
      link: () => this.#events(),
      dropped: () => undefined,
      phase: (phase) => this.#phase(phase),
    });
  }

  get state(): WatchState {
    return this.#state;
  }

  /** Number of the last entry that was given. */
  get lastSeq(): number {
    return this.#lastSeq;
  }

  /**
   * May be called once.
   * @returns resolves when all that was said before has been given
   * @throws TranscriptionError `watch_refused` when the token does not open the session, or what else ended the watch
   */
  start(): Promise<void> {
    if (this.#state !== 'idle') return Promise.reject(new TranscriptionError('bad_usage', 'start: called before.'));
    this.#line.connect();
    return this.#started.promise;
  }

  /** Does not wait for the next attempt to connect. */
  retryNow(): void {
    if (this.#line.phase === 'waiting') this.#line.connect();
  }

  /** Ends the watch. Idempotent. */
  close(): void {
    this.#end(new TranscriptionError('closed', 'The watch was closed.'));
  }

  /** Finals and gaps in order, from now on; ends with the session, or throws what ended the watch. Bounded as a transcription's. */
  [Symbol.asyncIterator](): AsyncIterableIterator<Entry, undefined> {
    return this.#readers.add();
  }

  #events(): LinkEvents {
    const ignore = () => undefined;
    return {
      connected: () => this.#ask(),
      transcription_result: (event) => this.#result(event),
      transcription_gap: (event) => this.#gap(event),
      transcription_stopped: (event) => {
        if (!this.#isOurs(event)) return;
        this.emit('stopped', { reason: event.reason });
        this.#end(undefined);
      },
      server_draining: (event) => this.#line.leave(event),
      token_expired: () => this.#line.renewToken(),
      error: (event) => this.#refused(errorOf(event)),
      closed: (error) => this.#refused(error),
      transcription_started: ignore,
      transcription_queued: ignore,
      transcription_resumed: ignore,
      audio_ack: ignore,
      taken_over: ignore,
    };
  }

  #ask(): void {
    if (this.#line.phase !== 'connecting') return;
    this.#line.moveTo('asking');
    const { sessionId, watchToken } = this.#options;
    const request = { session_id: sessionId, watch_token: watchToken, after_seq: this.#lastSeq };
    // What was owed since the connection is owed until this is answered.
    this.#line.link?.emit('watch_transcription', request, (reply: AckReply | undefined) => {
      // What went wrong is told by an `error` as well.
      if (reply?.ok !== true) return;
      this.#line.link?.settle();
      this.#line.moveTo('live');
    });
  }

  #result(event: ResultEvent): void {
    if (!this.#isOurs(event)) return;
    if (event.is_partial) {
      const isStale = (event.epoch ?? 0) < this.#epoch || (event.after_seq ?? this.#lastSeq) < this.#lastSeq;
      if (!isStale) this.emit('partial', this.#timeline.partial(event));
      return;
    }
    const seq = event.seq ?? this.#lastSeq + 1;
    if (!this.#take(seq, event.epoch, false)) return;
    const final = this.#timeline.final(event, seq);
    this.emit('final', final);
    this.#readers.push(final);
  }

  #gap(event: GapEvent): void {
    if (!this.#isOurs(event)) return;
    const seq = event.seq ?? this.#lastSeq + 1;
    // Those for entries that are not held any more have the number of the last.
    if (!this.#take(seq, event.epoch, event.reason === 'journal_trimmed' || event.reason === 'not_durable')) return;
    const gap = this.#timeline.gap(event, seq);
    this.emit('gap', gap);
    this.#readers.push(gap);
  }

  /** Whether an entry is news. A hole is asked for again. */
  #take(seq: number, epoch = this.#epoch, coversMissing: boolean): boolean {
    // A later owner gives a number anew only if the store has lost what had it.
    if (seq <= this.#lastSeq && epoch <= this.#epoch) return false;
    if (seq > this.#lastSeq + 1 && !coversMissing) {
      this.#retry(new TranscriptionError('internal', 'The gateway skipped an entry.', { retryable: true }));
      return false;
    }
    this.#epoch = Math.max(this.#epoch, epoch);
    this.#lastSeq = seq;
    this.#line.healthy();
    return true;
  }

  #isOurs(event: { session_id?: string }): boolean {
    return event.session_id === undefined || event.session_id === this.#options.sessionId;
  }

  #refused(error: TranscriptionError): void {
    const mayRetry = error.code === 'unauthorized' ? this.#line.refuseToken() : error.retryable;
    if (mayRetry) this.#retry(error);
    else this.#end(error);
  }

  #retry(error: TranscriptionError): void {
    if (this.#outcome !== undefined) return;
    const delayMs = this.#line.retry(error);
    if (delayMs === undefined) this.#end(error);
    else this.emit('retry', { error, delayMs });
  }

  #phase(phase: Phase): void {
    if (phase === 'live') {
      this.#wasLive = true;
      this.#started.resolve();
    }
    this.#updateState();
  }

  #updateState(): void {
    const state = this.#stateNow();
    const previous = this.#state;
    if (state === previous) return;
    this.#state = state;
    this.emit('state', { state, previous });
  }

  #stateNow(): WatchState {
    const { phase } = this.#line;
    if (this.#outcome !== undefined) return 'stopped';
    if (phase === 'idle' || phase === 'live') return phase;
    return this.#wasLive ? 'resuming' : 'connecting';
  }

  #end(error: TranscriptionError | undefined): void {
    if (this.#outcome !== undefined) return;
    this.#outcome = { error };
    this.#line.end();
    if (error === undefined) this.#started.resolve();
    else this.#started.reject(error);
    this.#readers.end(error);
    this.#updateState();
    if (error !== undefined && error.code !== 'closed') this.emit('error', error);
  }
}

/** Makes a watch; nothing happens until `start`. See `Watch`. */
export function createWatch(options: WatchOptions): Watch {
  return new Watch(options);
}
