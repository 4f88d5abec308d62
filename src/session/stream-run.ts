import { setTimeout as delay } from 'node:timers/promises';
import type { EngineCapabilities, EngineResult, EngineStream } from '../engines/engine.ts';
import { GatewayError, toGatewayError } from '../errors.ts';
import { msToSamples, samplesToMs } from '../protocol/audio.ts';
import type { AudioBuffer, IsOpen } from './audio-buffer.ts';
import { Pace } from './pace.ts';
import { isSilent } from './silence.ts';
import type { PlacedResult, Timeline } from './timeline.ts';

/** Audio is joined to writes of this length: shorter ones cost an engine several times as much per second. */
const WRITE_MS = 100;
/** The longest write: while it catches up, fewer and larger writes are cheaper. */
const MAX_WRITE_MS = 1_000;
/** The same for an engine that wants its audio at about the speed of speech. */
const MAX_PACED_WRITE_MS = 200;
/** A backlog beyond this is not live any more: what the engine says then tells nothing about the newest audio. */
const LIVE_BACKLOG_MS = 1_000;
/** Audio kept before the end of a pause, so that a new stream does not begin in the middle of a sound. */
const PRE_ROLL_MS = 500;
/** Un-finalised audio up to which a moment without pending words is quiet enough to change streams. */
const QUIET_MS = 3_000;
/** Shares of the engine's maximum age: from here on a quiet moment is looked for, and here it is not waited for. */
const RETIRE_FROM = 0.85;
const RETIRE_SPREAD = 0.08;
const RETIRE_AT = 0.98;
/** Time-outs are looked at this many times while they run, and at least once a second. */
const TICKS_PER_TIMEOUT = 10;
/** Ages are looked at twice between the last moment to change streams and the engine's limit. */
const TICKS_PER_MARGIN = TICKS_PER_TIMEOUT / 2;

/** Bounds of one stream, in milliseconds; see the settings of the same names. */
export interface StreamLimits {
  readonly parkAfterMs: number;
  readonly stallTimeoutMs: number;
  readonly flushTimeoutMs: number;
  /** Milliseconds of audio per millisecond at which an engine that wants real time catches up. */
  readonly catchUpSpeed: number;
}

/**
 * Why a stream is over:
 * - `stopped`: no more audio comes, and its last final is given;
 * - `parked`: no audio came for a while, and its last final is given;
 * - `retired`: its age nears the engine's limit; what it has not finalised is given to the next;
 * - `broken`: it failed;
 * - `stalled`: it owed an answer, or took no audio, for too long.
 */
export type StreamOutcome =
  | { readonly how: 'stopped' | 'parked' | 'retired' }
  | { readonly how: 'broken' | 'stalled'; readonly error: GatewayError };

export interface StreamRunOptions {
  readonly stream: EngineStream;
  readonly capabilities: EngineCapabilities;
  readonly buffer: AudioBuffer;
  readonly timeline: Timeline;
  readonly limits: StreamLimits;
  /** Hertz. */
  readonly sampleRate: number;
  /** No more audio comes: what is there is given and the stream ended. */
  readonly stopping: boolean;
  /**
   * Called in order, with the watermark moved already.
   * @param latencyMs since the arrival of the last sample that the result covers; undefined if that is not known
   */
  readonly onResult: (result: PlacedResult, latencyMs: number | undefined) => void;
  /** A final came whose audio earlier ones cover. */
  readonly onDropped: () => void;
  /** The engine took audio. */
  readonly onWritten: () => void;
  /** The stream was given its end. */
  readonly onEnding: (why: 'stopped' | 'parked') => void;
}

/**
 * One engine stream in the service of a session: audio from the buffer in, results onto the timeline out, and the
 * watermark moved as far as what the engine says allows.
 */
export class StreamRun {
  readonly #options: StreamRunOptions;
  readonly #pace: Pace | undefined;
  readonly #openedAt = performance.now();
  /** When a quiet moment is looked for and when it is not waited for, in milliseconds of the monotonic clock. */
  readonly #retireFrom: number;
  readonly #retireAt: number;
  readonly #closed = new AbortController();
  /** By channel: the id of the utterance whose partial is open. */
  readonly #open = new Map<number, string>();
  /** By channel: the oldest answer without a word that words may still contradict, and the audio that it frees. */
  readonly #answers = new Map<number, { readonly settled: number; readonly at: number }>();
  readonly #isOpen: IsOpen = (channel) => this.#open.has(channel);
  #stopping: boolean;
  /** No audio came for so long that the stream is to end. */
  #parking = false;
  /** Set once the stream was given its end. */
  #ending: 'stopped' | 'parked' | undefined;
  /** Decided here, before the results ended. */
  #outcome: StreamOutcome | undefined;
  #lastAudioAt = this.#openedAt;
  /** The last result, write or request to stop. */
  #progressAt = this.#openedAt;
  #writingSince: number | undefined;
  /** Since when the engine has been given audio that is not silent without saying anything. */
  #owedSince: number | undefined;
  /** Since when the stream has been given all audio as it came. */
  #liveSince: number | undefined;
  /** Resolved when audio arrives, a stop is asked for, or the stream is gone: whatever the writer may wait for. */
  #wake = Promise.withResolvers<void>();

  constructor(options: StreamRunOptions) {
    this.#options = options;
    this.#stopping = options.stopping;
    const { maxStreamMs = Number.POSITIVE_INFINITY, realTime } = options.capabilities;
    this.#pace = realTime ? new Pace(options.limits.catchUpSpeed, this.#openedAt) : undefined;
    // Spread, so that sessions which began together do not all change streams together.
    this.#retireFrom = this.#openedAt + maxStreamMs * (RETIRE_FROM + Math.random() * RETIRE_SPREAD);
    this.#retireAt = this.#openedAt + maxStreamMs * RETIRE_AT;
  }

  /** Serves the stream until it is over; call it once. Never rejects. The stream holds nothing afterwards. */
  async run(): Promise<StreamOutcome> {
    const { limits, stream } = this.#options;
    const { maxStreamMs = Number.POSITIVE_INFINITY } = this.#options.capabilities;
    const margin = maxStreamMs * (1 - RETIRE_AT);
    const shortest = Math.min(
      limits.parkAfterMs,
      limits.stallTimeoutMs,
      limits.flushTimeoutMs,
      margin * TICKS_PER_MARGIN,
    );
    const ticks = setInterval(() => this.#tick(), Math.min(1_000, Math.ceil(shortest / TICKS_PER_TIMEOUT)));
    const writing = this.#writeAll().catch((error: unknown) => this.#break(toGatewayError(error)));
    let error: GatewayError | undefined;
    try {
      for await (const result of stream.results) this.#take(result);
    } catch (thrown) {
      error = toGatewayError(thrown);
    } finally {
      clearInterval(ticks);
      this.#closed.abort();
      this.#wakeWriter();
      // Frees whatever the engine still holds for a stream that broke; a finished one does not mind.
      stream.abort();
    }
    await writing;
    this.#coverAnswered(performance.now());
    if (this.#outcome !== undefined) return this.#outcome;
    // Words that were shown and have no final yet: a server that shuts down ends its answer as if all were said.
    const isComplete = error === undefined && this.#open.size === 0;
    if (isComplete && this.#ending !== undefined) return { how: this.#ending };
    error ??= new GatewayError('engine_unavailable', 'The speech engine ended the stream early.');
    return { how: 'broken', error };
  }

  /** Words were shown that no final has yet. */
  get hasOpenWords(): boolean {
    return this.#open.size > 0;
  }

  /** More audio is in the buffer. */
  audioArrived(): void {
    this.#lastAudioAt = performance.now();
    this.#parking = false;
    this.#wakeWriter();
  }

  /** Ends the stream unless more audio comes before it has ended. */
  park(): void {
    this.#parking = true;
    this.#wakeWriter();
  }

  /** No more audio comes. */
  stop(): void {
    this.#stopping = true;
    this.#progressAt = performance.now();
    this.#wakeWriter();
  }

  /** Drops the stream at once; `run` resolves with whatever it was in. */
  abort(): void {
    this.#options.stream.abort();
    this.#closed.abort();
    this.#wakeWriter();
  }

  /** The writer: audio in order, then the end where no more comes or none has come for long. */
  async #writeAll(): Promise<void> {
    const { buffer, sampleRate, stream } = this.#options;
    const least = msToSamples(WRITE_MS, sampleRate);
    const most = msToSamples(this.#pace === undefined ? MAX_WRITE_MS : MAX_PACED_WRITE_MS, sampleRate);
    while (!this.#closed.signal.aborted) {
      const finishing = this.#stopping || this.#parking;
      if (buffer.backlog >= least || (finishing && buffer.backlog > 0)) {
        await this.#write(Math.min(buffer.backlog, most));
      } else if (finishing) {
        this.#ending = this.#stopping ? 'stopped' : 'parked';
        this.#progressAt = performance.now();
        this.#options.onEnding(this.#ending);
        stream.end();
        return;
      } else {
        await this.#wake.promise;
      }
    }
  }

  async #write(samples: number): Promise<void> {
    const { buffer, onWritten, sampleRate, stream } = this.#options;
    const waitMs = this.#pace?.spend(samplesToMs(samples, sampleRate), performance.now()) ?? 0;
    if (waitMs > 0) await delay(waitMs, undefined, { signal: this.#closed.signal }).catch(() => undefined);
    if (this.#closed.signal.aborted) return;
    const audio = buffer.read(samples);
    this.#writingSince = performance.now();
    if (!isSilent(audio)) this.#owedSince ??= this.#writingSince;
    await stream.write(audio);
    this.#writingSince = undefined;
    this.#progressAt = performance.now();
    const isLive = buffer.backlog <= msToSamples(LIVE_BACKLOG_MS, sampleRate);
    this.#liveSince = isLive ? (this.#liveSince ?? this.#progressAt) : undefined;
    if (isLive) buffer.coverSilence(buffer.cursor - msToSamples(PRE_ROLL_MS, sampleRate), this.#isOpen);
    buffer.trim(this.#isOpen);
    onWritten();
  }

  #take(result: EngineResult): void {
    const { buffer, onDropped, onResult, timeline } = this.#options;
    this.#progressAt = performance.now();
    this.#owedSince = undefined;
    const channel = result.channel ?? 0;
    if (result.isPartial && result.text !== '') this.#open.set(channel, result.resultId);
    else if (!result.isPartial || this.#open.get(channel) === result.resultId) this.#open.delete(channel);
    if (result.isPartial && result.text === '') {
      this.#noteAnswer(timeline.positionOf(result.endSample));
    } else {
      this.#answers.delete(channel);
      const placed = timeline.place(result, buffer.head);
      if (placed === undefined) {
        if (!result.isPartial && result.text !== '') onDropped();
      } else {
        const arrivedAt = buffer.arrivalOf(placed.endSample - 1);
        if (!placed.isPartial) buffer.cover(placed.endSample, result.channel);
        if (placed.text !== '') onResult(placed, arrivedAt && this.#progressAt - arrivedAt);
      }
    }
    this.#retireIfQuiet(this.#progressAt);
  }

  /**
   * The engine answers for audio up to `position` and shows no words: any that began earlier than the settle time before
   * it would have shown by now. That holds only for audio that came at the speed of speech, and only if the answer was
   * not held up on its way with words right behind it: they have another settle time to come.
   */
  #noteAnswer(position: number): void {
    const { buffer, capabilities, sampleRate } = this.#options;
    if (this.#liveSince === undefined || this.#progressAt - this.#liveSince < capabilities.settleMs) return;
    const settled = position - msToSamples(capabilities.settleMs, sampleRate);
    for (let channel = 0; channel < buffer.channels; channel++) {
      if (this.#isOpen(channel) || this.#answers.has(channel)) continue;
      this.#answers.set(channel, { settled, at: this.#progressAt });
    }
  }

  #coverAnswered(now: number): void {
    const { buffer, capabilities } = this.#options;
    for (const [channel, { settled, at }] of this.#answers) {
      if (now - at < capabilities.settleMs) continue;
      buffer.cover(settled, channel);
      this.#answers.delete(channel);
    }
  }

  #tick(): void {
    const now = performance.now();
    const { limits } = this.#options;
    this.#coverAnswered(now);
    if (this.#isStalled(now)) {
      const error = new GatewayError('engine_unavailable', 'The speech engine does not answer.');
      this.#decide({ how: 'stalled', error });
    } else if (now >= this.#retireAt) {
      this.#decide({ how: 'retired' });
    } else if (!this.#stopping && now - this.#lastAudioAt >= limits.parkAfterMs) {
      this.#parking = true;
      this.#wakeWriter();
    }
    this.#retireIfQuiet(now);
  }

  #isStalled(now: number): boolean {
    const { flushTimeoutMs, stallTimeoutMs } = this.#options.limits;
    if (this.#stopping || this.#ending !== undefined) return now - this.#progressAt > flushTimeoutMs;
    const since = Math.min(this.#writingSince ?? now, this.#owedSince ?? now);
    return now - since > stallTimeoutMs;
  }

  /** Changes streams where it costs a short replay and interrupts nobody. */
  #retireIfQuiet(now: number): void {
    const { buffer, sampleRate } = this.#options;
    if (now < this.#retireFrom || this.#ending !== undefined || this.#open.size > 0) return;
    if (buffer.cursor - buffer.watermark <= msToSamples(QUIET_MS, sampleRate)) this.#decide({ how: 'retired' });
  }

  #break(error: GatewayError): void {
    this.#decide({ how: 'broken', error });
  }

  #decide(outcome: StreamOutcome): void {
    this.#outcome ??= outcome;
    this.abort();
  }

  #wakeWriter(): void {
    this.#wake.resolve();
    this.#wake = Promise.withResolvers<void>();
  }
}

/** Leaves the end of a pause, after the last final, to be given again, so that a new stream does not begin in a sound. */
export function coverAllButPreRoll(buffer: AudioBuffer, sampleRate: number): void {
  buffer.cover(buffer.cursor - msToSamples(PRE_ROLL_MS, sampleRate));
}
