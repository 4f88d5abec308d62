import type { EngineStream } from '../engines/engine.ts';
import { drainingError, GatewayError, toGatewayError } from '../errors.ts';
import type { LinePlace } from '../limits/applicant.ts';
import { type AudioFormat, BYTES_PER_SAMPLE, msToSamples, samplesToMs } from '../protocol/audio.ts';
import { AudioBuffer } from './audio-buffer.ts';
import { coverAllButPreRoll } from './coverage.ts';
import { Room } from './room.ts';
import { SessionCounts } from './session-counts.ts';
import type { GapReason, SessionEnd, SessionOptions, StopReason } from './session-options.ts';
import { SilenceTrimmer } from './silence-trimmer.ts';
import { type SessionState, transition } from './state.ts';
import { streamLimitsOf } from './stream-limits.ts';
import { type StreamEnd, StreamOpener } from './stream-opener.ts';
import { type ResultAges, StreamRun } from './stream-run.ts';
import { type PlacedResult, Timeline } from './timeline.ts';
import { Wake } from './wake.ts';

/** The engine may hang twice in a row while the session flushes; a third stream would only make the client wait. */
const MAX_STALLS_WHILE_STOPPING = 2;

/** The applicant of a session of which nobody says more. */
const ANYBODY = { tenant: '', isResumable: false, isAttended: () => true, moves: () => false };

/** Reasons of a stop that no client asked for. */
const OF_ITS_OWN_ACCORD = new Set<StopReason | undefined>(['draining', 'duration_exceeded', 'budget_exceeded']);

/** How a stream ended. */
interface Served extends StreamEnd {
  /** All audio that it was given is finalised; otherwise it must be given again. */
  readonly covered: boolean;
  /** It has shown words that no final has. */
  readonly hasOpenWords: boolean;
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
  /** Undefined where the engine is given all audio. */
  readonly #trimmer: SilenceTrimmer | undefined;
  readonly #timeline: Timeline;
  readonly #counts: SessionCounts;
  readonly #opener: StreamOpener;
  readonly #backlogLimit: number;
  readonly #resolveEnded: (end: SessionEnd) => void;
  readonly #aborted = new AbortController();
  #state: SessionState = 'starting';
  #stopReason: StopReason | undefined;
  #isAdmitted = false;
  /** The stream that serves the session now. */
  #run: StreamRun | undefined;
  #finals: number;
  /** Streams in a row that stalled and made no progress. */
  #stalls = 0;
  /** The time for a stop is used up: what the engine still owes is lost. */
  #gaveUp = false;
  /** Called when audio arrives, a stop is asked for or the client is gone: whatever a parked session waits for. */
  readonly #wake = new Wake();
  readonly #room = new Room(() => this.hasRoom);
  /** It waits in the line for a stream, or has waited for the one that opens. */
  #isQueued = false;
  #wasQueued = false;
  /** Since when a session that stops waits in the line, in milliseconds of the monotonic clock, and what ends that. */
  #stoppedAt: number | undefined;
  #lineTimer: NodeJS.Timeout | undefined;

  constructor(options: SessionOptions) {
    const { id, engine, from, limits, log, meter, metrics, request } = options;
    this.id = id;
    this.#options = options;
    const replayLimit = msToSamples(limits.replayMs, request.sampleRate);
    this.#buffer = new AudioBuffer(replayLimit, request.channels, from?.position);
    // Where nothing is paid for, nothing is saved.
    const trims = request.trimSilence === true && engine.capabilities.billing !== undefined;
    this.#trimmer = trims ? new SilenceTrimmer(this.#buffer, request) : undefined;
    const { capabilities } = engine;
    this.#counts = new SessionCounts({ capabilities, meter, metrics, sampleRate: request.sampleRate });
    this.#timeline = new Timeline(from?.position, from?.ends);
    this.#finals = from?.finals ?? 0;
    this.#backlogLimit = msToSamples(limits.backlogMs, request.sampleRate);
    const queued = (place: LinePlace | undefined) => this.#queued(place);
    const applicant = { ...(options.applicant ?? { ...ANYBODY, id }), queued };
    this.#opener = new StreamOpener({ engine, request, applicant, limits, metrics, log, signal: this.#aborted.signal });
    const ended = Promise.withResolvers<SessionEnd>();
    this.ended = ended.promise;
    this.#resolveEnded = ended.resolve;
  }

  get state(): SessionState {
    return this.#state;
  }

  /** What the audio given to `push` must be. */
  get format(): AudioFormat {
    return this.#options.request;
  }

  /** True once this gateway ends the session of its own accord: the client cannot know, and may still speak. */
  get endsByItself(): boolean {
    return OF_ITS_OWN_ACCORD.has(this.#stopReason);
  }

  /** The backlog is at most half full, or the session has ended. */
  get hasRoom(): boolean {
    return this.#state === 'ended' || this.#buffer.fresh <= this.#backlogLimit / 2;
  }

  /** True once a stop was asked for, or the session has ended: no more audio is taken. */
  get stopping(): boolean {
    return this.#stopReason !== undefined || this.#state === 'ended';
  }

  /** Nothing is being said: all words have their finals, and nothing but silence has come since. */
  get isQuiet(): boolean {
    if (this.#state === 'ended' || this.stopping) return true;
    const isUp = this.#state === 'live' || this.#state === 'parked';
    if (!isUp || this.#run?.hasOpenWords === true) return false;
    return this.#buffer.isSilentBetween(this.#buffer.watermark, this.#buffer.head);
  }

  /** How long audio has waited for the session and for nothing else, in milliseconds: more than a moment is a fault of ours. */
  idleMs(now: number): number {
    return this.#state === 'parked' ? this.#wake.unheardMs(now) : (this.#run?.idleMs(now) ?? 0);
  }

  /** Position after the last sample received. */
  get head(): number {
    return this.#buffer.head;
  }

  /** Everything before it is covered by finals or holds no speech. */
  get watermark(): number {
    return this.#buffer.watermark;
  }

  /** By channel: end of the last final, in samples. */
  get ends(): readonly number[] {
    const { ends } = this.#timeline;
    return Array.from({ length: this.#options.request.channels }, (_, channel) => ends[channel] ?? 0);
  }

  /**
   * Runs the session to its end; call it once. Never rejects: the outcome goes to the sink.
   * @param admitted awaited before the first stream is opened; if it rejects the session fails with that
   */
  async run(admitted?: Promise<unknown>): Promise<void> {
    const { from, sink } = this.#options;
    try {
      await admitted;
      this.#isAdmitted = true;
      this.#aborted.signal.throwIfAborted();
      // A session that goes on was admitted before, and is owed the patience of one whose stream broke.
      let stream = await (from === undefined ? this.#opener.first() : this.#opener.next({ progressed: true }));
      this.#wasQueued = false;
      this.#moveTo('live');
      sink.started();
      for (;;) {
        const last = await this.#serve(stream);
        if (!(await this.#needsStream(last))) break;
        this.#moveTo('reopening');
        stream = await this.#opener.next(last);
        this.#moveTo('live');
        if (this.#wasQueued) sink.started();
        this.#wasQueued = false;
        this.#rewind();
      }
      this.#end({ reason: this.#stopReason ?? 'client_stop' });
    } catch (error) {
      if (this.#gaveUp && this.#owesAnEnd) this.#end({ reason: this.#stopReason ?? 'draining' });
      else if (this.#gaveUp) this.#fail(drainingError());
      else if (this.#aborted.signal.aborted) this.#end({ reason: 'disconnected' });
      else this.#fail(toGatewayError(error));
    }
  }

  /**
   * Takes whole samples of audio, of all channels.
   * @throws GatewayError `no_session` once a stop was asked for; `audio_rate_exceeded` when the bounded backlog has no
   *   room, in which case nothing of the chunk was taken
   */
  push(audio: Buffer): void {
    if (this.stopping) throw new GatewayError('no_session', 'The session is stopping; it takes no more audio.');
    const { channels, sampleRate } = this.#options.request;
    const samples = audio.length / (BYTES_PER_SAMPLE * channels);
    if (this.#buffer.fresh + samples > this.#backlogLimit) {
      const waiting = samplesToMs(this.#buffer.fresh, sampleRate);
      const message = `Audio arrives faster than it can be transcribed: ${waiting} ms are waiting; the chunk was not taken.`;
      throw new GatewayError('audio_rate_exceeded', message, { retryAfterMs: Math.ceil(waiting / 2) });
    }
    this.#buffer.append(audio, performance.now());
    this.#trimmer?.hear(audio);
    this.#counts.received(samples);
    this.#run?.audioArrived();
    this.#wake.call();
  }

  /** Resolves when `hasRoom` is true. */
  room(): Promise<void> {
    return this.#room.come();
  }

  /** Lets the engine finalise what it has and ends its stream, until more audio comes. */
  park(): void {
    this.#run?.park();
  }

  /** Takes no more audio, flushes the engine and ends. The first reason stands. */
  stop(reason: StopReason): void {
    if (this.stopping) return;
    this.#stopReason = reason;
    this.#run?.stop();
    this.#wake.call();
    this.#boundWait();
  }

  /** Drops everything at once: the client is gone. */
  abort(): void {
    if (this.#state === 'ended') return;
    this.#aborted.abort();
    this.#run?.abort();
    this.#wake.call();
  }

  /** Ends the session without waiting for the engine any longer, and says what is lost by that. */
  giveUp(): void {
    if (this.#state === 'ended' || this.#gaveUp) return;
    this.#gaveUp = true;
    this.#options.log.warn({ audio_ms: this.#ms(this.#buffer.head) }, 'engine did not finish in time');
    this.#reportLoss();
    this.abort();
  }

  /**
   * Serves one stream until it is over.
   * @returns how it ended
   */
  async #serve(stream: EngineStream): Promise<Served> {
    const { engine, limits, metrics, request } = this.#options;
    const watermark = this.#buffer.watermark;
    const bill = this.#counts.bill();
    const run = new StreamRun({
      stream,
      capabilities: engine.capabilities,
      buffer: this.#buffer,
      timeline: this.#timeline,
      trimmer: this.#trimmer,
      limits: streamLimitsOf(limits, engine.capabilities, this.#stalls),
      sampleRate: request.sampleRate,
      stopping: this.stopping,
      onResult: (result, ages) => this.#deliver(result, ages),
      onDropped: () => metrics.finalsDroppedTotal.inc(),
      onMoved: (moved) => {
        if ('given' in moved) {
          bill?.given(moved.given);
          this.#counts.given(moved.waitedMs);
        } else this.#counts.trimmed(moved.cut);
        this.#room.check();
      },
      onEnding: (why) => this.#moveTo(why === 'stopped' ? 'flushing' : 'parking'),
    });
    this.#run = run;
    // The client may have left while the stream was handed over.
    if (this.#aborted.signal.aborted) run.abort();
    const outcome = await run.run();
    bill?.close();
    this.#run = undefined;
    this.#opener.closed(outcome);
    this.#aborted.signal.throwIfAborted();
    const covered = outcome.how === 'stopped' || outcome.how === 'parked';
    if (covered) coverAllButPreRoll(this.#buffer, request.sampleRate);
    const progressed = this.#buffer.watermark > watermark;
    this.#stalls = outcome.how !== 'stalled' ? 0 : progressed ? 1 : this.#stalls + 1;
    if (this.stopping && this.#stalls >= MAX_STALLS_WHILE_STOPPING) this.giveUp();
    this.#aborted.signal.throwIfAborted();
    return { ...('error' in outcome && { error: outcome.error }), progressed, covered, hasOpenWords: run.hasOpenWords };
  }

  /**
   * Waits, parked, until there is audio for another stream.
   * @returns false when the session was stopped and nothing is owed
   */
  async #needsStream(last: Served): Promise<boolean> {
    for (;;) {
      this.#wake.look();
      this.#aborted.signal.throwIfAborted();
      if (this.#isOwed(last)) return true;
      if (this.stopping) return false;
      if (this.#state !== 'parked') this.#moveTo('parked');
      await this.#wake.wait();
    }
  }

  /** Whether there is audio that a stream must be given. Silence that none need be given is passed over. */
  #isOwed({ covered, hasOpenWords }: Served): boolean {
    const buffer = this.#buffer;
    if (this.#trimmer === undefined) return covered ? buffer.fresh > 0 : buffer.watermark < buffer.head;
    const samples = this.#trimmer.idle(covered ? buffer.cursor : buffer.watermark, this.stopping);
    // Words that were shown may be so soft that they are no sound here.
    if (samples === undefined || hasOpenWords) return true;
    buffer.skip(samples);
    this.#counts.trimmed(samples);
    coverAllButPreRoll(buffer, this.#options.request.sampleRate);
    this.#room.check();
    return false;
  }

  #deliver(result: PlacedResult, ages: ResultAges): void {
    this.#counts.heard(result, ages);
    if (!result.isPartial) this.#finals++;
    this.#options.sink.result(result);
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

  /** Reports the audio that no engine will hear any more, unless it is silence. */
  #reportLoss(): void {
    const { head, watermark } = this.#buffer;
    if (this.#owesAnEnd && this.#owesWords) this.#reportGap(watermark, head, 'engine_failed');
  }

  /** There is audio that is not silent and has no finals. */
  get #owesWords(): boolean {
    const { head, watermark } = this.#buffer;
    return watermark < head && !this.#buffer.isSilentBetween(watermark, head);
  }

  /** Audio from before the first stream was never acknowledged by a start, unless the client stopped while it waited. */
  get #owesAnEnd(): boolean {
    if (this.#state !== 'starting') return true;
    return this.#isAdmitted && this.#stopReason !== undefined && this.#stopReason !== 'draining';
  }

  #queued(place: LinePlace | undefined): void {
    if (place !== undefined && !this.#isQueued) this.#options.log.info('session waits for an engine stream');
    this.#isQueued = place !== undefined;
    this.#wasQueued ||= this.#isQueued;
    this.#options.sink.queued(place);
    this.#boundWait();
  }

  /** A session that stops waits in the line only if it owes words, and no longer than for those of an engine. */
  #boundWait(): void {
    clearTimeout(this.#lineTimer);
    if (!this.#isQueued || !this.stopping) return;
    const { flushTimeoutMs } = this.#options.limits;
    this.#stoppedAt ??= performance.now();
    const leftMs = this.#owesWords ? flushTimeoutMs - (performance.now() - this.#stoppedAt) : 0;
    this.#lineTimer = setTimeout(() => this.giveUp(), leftMs);
  }

  #reportGap(fromSample: number, toSample: number, reason: GapReason): void {
    const { log, sink } = this.#options;
    this.#counts.lost(toSample - fromSample, reason);
    log.error({ from_ms: this.#ms(fromSample), to_ms: this.#ms(toSample), reason }, 'audio was lost');
    sink.gap({ fromSample, toSample, reason });
  }

  #fail(error: GatewayError): void {
    this.#options.log.warn({ code: error.code, err: error }, 'session failed');
    if (!this.#options.clientKeepsAudio) this.#reportLoss();
    this.#end({ reason: 'error', error });
  }

  #end(end: Pick<SessionEnd, 'reason' | 'error'>): void {
    this.#moveTo('ended');
    // What an engine keeps for the next stream is given back.
    this.#aborted.abort();
    clearTimeout(this.#lineTimer);
    this.#room.check();
    const summary: SessionEnd = { ...end, samples: this.#buffer.head, finals: this.#finals };
    this.#options.sink.ended(summary);
    this.#resolveEnded(summary);
  }

  #moveTo(state: SessionState): void {
    this.#state = transition(this.#state, state);
  }

  #ms(samples: number): number {
    return samplesToMs(samples, this.#options.request.sampleRate);
  }
}
