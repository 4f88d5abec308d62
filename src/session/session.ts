import type { Engine, EngineResult, EngineStream } from '../engines/engine.ts';
import { GatewayError, toGatewayError } from '../errors.ts';
import type { Logger } from '../log.ts';
import type { Metrics } from '../metrics/metrics.ts';
import { BYTES_PER_SAMPLE, msToSamples, samplesToMs } from '../protocol/audio.ts';
import type { StartRequest } from '../protocol/start-request.ts';
import { AudioBuffer } from './audio-buffer.ts';
import { type SessionState, transition } from './state.ts';
import { StreamOpener } from './stream-opener.ts';
import { type PlacedResult, Timeline } from './timeline.ts';

/** Audio is joined to writes of this length: shorter ones cost an engine several times as much per second. */
const WRITE_MS = 100;
/** The longest write: while it catches up, fewer and larger writes are cheaper. */
const MAX_WRITE_MS = 1_000;

/** Where results go. Called in order, never after `ended`; none of the methods may throw. */
export interface SessionSink {
  /** The first engine stream is open. */
  started(): void;
  result(result: PlacedResult): void;
  /** Audio was lost. Positions are samples of the session. */
  gap(gap: SessionGap): void;
  ended(end: SessionEnd): void;
}

export interface SessionGap {
  readonly fromSample: number;
  readonly toSample: number;
  readonly reason: GapReason;
}

/** `replay_overflow`: more audio without a final than may be kept. `engine_failed`: no engine took it any more. */
export type GapReason = 'replay_overflow' | 'engine_failed';

export type StopReason = 'client_stop' | 'draining';

export interface SessionEnd {
  readonly reason: StopReason | 'disconnected' | 'error';
  /** Present exactly when the reason is `error`. */
  readonly error?: GatewayError;
  /** Samples received. */
  readonly samples: number;
  readonly finals: number;
}

/** Bounds of a session, in milliseconds; see the settings of the same names. */
export interface SessionLimits {
  readonly backlogMs: number;
  readonly replayMs: number;
  readonly startTimeoutMs: number;
  readonly recoveryTimeoutMs: number;
  readonly flushTimeoutMs: number;
}

export interface SessionOptions {
  readonly id: string;
  readonly request: StartRequest;
  readonly engine: Engine;
  readonly sink: SessionSink;
  readonly limits: SessionLimits;
  readonly metrics: Metrics;
  readonly log: Logger;
}

/**
 * One transcription: audio in by `push`, results out through the sink.
 *
 * It uses several engine streams in a row where one breaks; the client does not notice, because the audio since the
 * last final is kept and given to the next stream. The states are described in `state.ts`; `#moveTo` is their one
 * writer.
 */
export class Session {
  readonly id: string;
  /** Resolves once the session has ended, whatever the reason; never rejects. */
  readonly ended: Promise<SessionEnd>;

  readonly #options: SessionOptions;
  readonly #buffer: AudioBuffer;
  readonly #timeline = new Timeline();
  readonly #opener: StreamOpener;
  readonly #backlogLimit: number;
  readonly #resolveEnded: (end: SessionEnd) => void;
  readonly #aborted = new AbortController();
  #state: SessionState = 'starting';
  #stopReason: StopReason | undefined;
  #stream: EngineStream | undefined;
  #partialOpen = false;
  #finals = 0;
  /** Runs while a stop was asked for and a stream is open; each sign of progress starts it anew. */
  #flushTimer: NodeJS.Timeout | undefined;
  /** The time for a stop is used up: what the engine still owes is lost. */
  #gaveUp = false;
  /** Resolved when audio arrives, a stop is asked for, or the stream is gone: whatever the writer may wait for. */
  #writerWake = Promise.withResolvers<void>();
  /** Resolved when the backlog has sunk to half of its bound. */
  #room: PromiseWithResolvers<void> | undefined;

  constructor(options: SessionOptions) {
    const { id, engine, limits, log, metrics, request } = options;
    this.id = id;
    this.#options = options;
    this.#buffer = new AudioBuffer(msToSamples(limits.replayMs, request.sampleRate));
    this.#backlogLimit = msToSamples(limits.backlogMs, request.sampleRate);
    this.#opener = new StreamOpener({ engine, request, limits, metrics, log, signal: this.#aborted.signal });
    const ended = Promise.withResolvers<SessionEnd>();
    this.ended = ended.promise;
    this.#resolveEnded = ended.resolve;
  }

  get state(): SessionState {
    return this.#state;
  }

  /** True once a stop was asked for, or the session has ended: no more audio is taken. */
  get stopping(): boolean {
    return this.#stopReason !== undefined || this.#state === 'ended';
  }

  /** Runs the session to its end; call it once. Never rejects: the outcome goes to the sink. */
  async run(): Promise<void> {
    const { sink } = this.#options;
    try {
      let stream = await this.#opener.first();
      this.#moveTo('live');
      sink.started();
      for (;;) {
        const broken = await this.#drive(stream);
        if (broken === undefined) break;
        this.#moveTo('recovering');
        stream = await this.#opener.next(broken);
        this.#moveTo('live');
        this.#rewind();
      }
      this.#end({ reason: this.#stopReason ?? 'client_stop' });
    } catch (error) {
      if (this.#gaveUp) this.#end({ reason: this.#stopReason ?? 'draining' });
      else if (this.#aborted.signal.aborted) this.#end({ reason: 'disconnected' });
      else this.#fail(toGatewayError(error));
    }
  }

  /**
   * Takes whole samples of audio.
   * @throws GatewayError `no_session` once a stop was asked for; `audio_rate_exceeded` when the bounded backlog has no
   *   room, in which case nothing of the chunk was taken
   */
  push(audio: Buffer): void {
    if (this.stopping) throw new GatewayError('no_session', 'The session is stopping; it takes no more audio.');
    const samples = audio.length / BYTES_PER_SAMPLE;
    const { sampleRate } = this.#options.request;
    if (this.#buffer.fresh + samples > this.#backlogLimit) {
      const waiting = samplesToMs(this.#buffer.fresh, sampleRate);
      const message = `Audio arrives faster than it can be transcribed: ${waiting} ms are waiting; the chunk was not taken.`;
      throw new GatewayError('audio_rate_exceeded', message, { retryAfterMs: Math.ceil(waiting / 2) });
    }
    this.#buffer.append(audio, performance.now());
    this.#options.metrics.audioSecondsTotal.inc(samples / sampleRate);
    this.#wakeWriter();
  }

  /** Resolves when the backlog is at most half full, or the session has ended: the pace for senders faster than speech. */
  async room(): Promise<void> {
    if (this.#state === 'ended' || this.#buffer.fresh <= this.#backlogLimit / 2) return;
    this.#room ??= Promise.withResolvers<void>();
    await this.#room.promise;
  }

  /** Takes no more audio, flushes the engine and ends. The first reason stands. */
  stop(reason: StopReason): void {
    if (this.stopping) return;
    this.#stopReason = reason;
    this.#awaitProgress();
    this.#wakeWriter();
  }

  /** Drops everything at once: the client is gone. */
  abort(): void {
    if (this.#state === 'ended') return;
    this.#aborted.abort();
    this.#stream?.abort();
    this.#wakeWriter();
  }

  /** Ends the session without waiting for the engine any longer, and says what is lost by that. */
  giveUp(): void {
    if (this.#state === 'ended' || this.#gaveUp) return;
    this.#gaveUp = true;
    this.#options.log.warn({ audio_ms: this.#ms(this.#buffer.head) }, 'engine did not finish in time');
    this.#reportLoss(this.#buffer.watermark, this.#buffer.head);
    this.abort();
  }

  /**
   * Serves one stream until it has given its last final.
   * @returns undefined when it ended as asked, otherwise why it broke
   */
  async #drive(stream: EngineStream): Promise<GatewayError | undefined> {
    this.#stream = stream;
    this.#partialOpen = false;
    this.#awaitProgress();
    const closed = new AbortController();
    const writing = this.#writeAll(stream, closed.signal);
    let broken: GatewayError | undefined;
    try {
      for await (const result of stream.results) {
        this.#awaitProgress();
        this.#deliver(result);
      }
      if (this.#state !== 'flushing') {
        broken = new GatewayError('engine_unavailable', 'The speech engine ended the stream early.');
      }
    } catch (error) {
      broken = toGatewayError(error);
    } finally {
      this.#stream = undefined;
      clearTimeout(this.#flushTimer);
      closed.abort();
      this.#wakeWriter();
      // Frees whatever the engine still holds for a stream that broke; a finished one does not mind.
      stream.abort();
      this.#opener.closed();
    }
    await writing;
    this.#aborted.signal.throwIfAborted();
    return broken;
  }

  /** The writer of one stream: audio in order, then the end once a stop was asked for. */
  async #writeAll(stream: EngineStream, closed: AbortSignal): Promise<void> {
    const { sampleRate } = this.#options.request;
    const writeSamples = msToSamples(WRITE_MS, sampleRate);
    while (!closed.aborted) {
      if (this.#buffer.backlog >= writeSamples || (this.stopping && this.#buffer.backlog > 0)) {
        await stream.write(this.#buffer.read(msToSamples(MAX_WRITE_MS, sampleRate)));
        this.#awaitProgress();
        this.#buffer.trim(this.#partialOpen);
        this.#releaseRoom();
      } else if (this.stopping) {
        this.#moveTo('flushing');
        stream.end();
        return;
      } else {
        await this.#writerWake.promise;
      }
    }
  }

  /** Gives the engine so long from now to take more audio or to say something, once a stop was asked for. */
  #awaitProgress(): void {
    clearTimeout(this.#flushTimer);
    if (this.#stopReason === undefined || this.#stream === undefined) return;
    this.#flushTimer = setTimeout(() => this.giveUp(), this.#options.limits.flushTimeoutMs);
  }

  #deliver(result: EngineResult): void {
    const { metrics, sink } = this.#options;
    const placed = this.#timeline.place(result, this.#buffer.head);
    this.#partialOpen = result.isPartial && result.text !== '';
    if (placed === undefined) {
      if (!result.isPartial && result.text !== '') metrics.finalsDroppedTotal.inc();
      return;
    }
    if (placed.text !== '') {
      const type = placed.isPartial ? 'partial' : 'final';
      const arrived = this.#buffer.arrivalOf(placed.endSample - 1);
      if (arrived !== undefined) metrics.resultLatencySeconds.observe({ type }, (performance.now() - arrived) / 1000);
      if (!placed.isPartial) this.#finals++;
      sink.result(placed);
    }
    if (!placed.isPartial) this.#buffer.advanceWatermark(placed.endSample);
  }

  /** A new stream is open: give it the audio since the last final again. */
  #rewind(): void {
    const forgotten = this.#buffer.rewind();
    if (forgotten !== undefined) {
      this.#timeline.skipTo(forgotten.to);
      this.#reportGap(forgotten.from, forgotten.to, 'replay_overflow');
    }
    this.#timeline.openStream(this.#buffer.cursor);
  }

  /** Reports audio that no engine will hear any more, unless it was silence. */
  #reportLoss(from: number, to: number): void {
    if (from < to && !this.#buffer.isSilentBetween(from, to)) this.#reportGap(from, to, 'engine_failed');
  }

  #reportGap(fromSample: number, toSample: number, reason: GapReason): void {
    const { log, metrics, request, sink } = this.#options;
    metrics.gapSecondsTotal.inc({ reason }, (toSample - fromSample) / request.sampleRate);
    log.error({ from_ms: this.#ms(fromSample), to_ms: this.#ms(toSample), reason }, 'audio was lost');
    sink.gap({ fromSample, toSample, reason });
  }

  #fail(error: GatewayError): void {
    this.#options.log.warn({ code: error.code, err: error }, 'session failed');
    // Audio that arrived before the first stream opened was never acknowledged by a start; there is nothing to report.
    if (this.#state !== 'starting') this.#reportLoss(this.#buffer.watermark, this.#buffer.head);
    this.#end({ reason: 'error', error });
  }

  #end(end: Pick<SessionEnd, 'reason' | 'error'>): void {
    this.#moveTo('ended');
    this.#room?.resolve();
    const summary: SessionEnd = { ...end, samples: this.#buffer.head, finals: this.#finals };
    this.#options.sink.ended(summary);
    this.#resolveEnded(summary);
  }

  #moveTo(state: SessionState): void {
    this.#state = transition(this.#state, state);
  }

  #wakeWriter(): void {
    this.#writerWake.resolve();
    this.#writerWake = Promise.withResolvers<void>();
  }

  #releaseRoom(): void {
    if (this.#room === undefined || this.#buffer.fresh > this.#backlogLimit / 2) return;
    this.#room.resolve();
    this.#room = undefined;
  }

  #ms(samples: number): number {
    return samplesToMs(samples, this.#options.request.sampleRate);
  }
}
