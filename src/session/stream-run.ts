import { setTimeout as delay } from 'node:timers/promises';
import type { EngineCapabilities, EngineResult, EngineStream } from '../engines/engine.ts';
import { GatewayError, toGatewayError } from '../errors.ts';
import { msToSamples, samplesToMs } from '../protocol/audio.ts';
import type { AudioBuffer } from './audio-buffer.ts';
import { Coverage } from './coverage.ts';
import { Pace } from './pace.ts';
import { PauseKeeper } from './pause-keeper.ts';
import { isSilent } from './silence.ts';
import type { Plan, SilenceTrimmer } from './silence-trimmer.ts';
import type { PlacedResult, Timeline } from './timeline.ts';
import { Wake } from './wake.ts';

/** Audio is joined to writes of this length: shorter ones cost an engine several times as much per second. */
const WRITE_MS = 100;
/** The longest write: while it catches up, fewer and larger writes are cheaper. */
const MAX_WRITE_MS = 1_000;
/** The same for an engine that wants its audio at about the speed of speech. */
const MAX_PACED_WRITE_MS = 200;
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

/** How long ago what a result covers has arrived, in milliseconds. */
export interface ResultAges {
  /** Its first sample. */
  readonly firstMs: number | undefined;
  /** Its last sample. */
  readonly lastMs: number | undefined;
}

interface GivenAudio {
  /** Samples. */
  readonly given: number;
  /** Since the first of them arrived, in milliseconds, if that is known. */
  readonly waitedMs: number | undefined;
}

export interface StreamRunOptions {
  readonly stream: EngineStream;
  readonly capabilities: EngineCapabilities;
  readonly buffer: AudioBuffer;
  readonly timeline: Timeline;
  /** Cuts the middle of pauses; undefined where the engine is given everything. */
  readonly trimmer?: SilenceTrimmer | undefined;
  readonly limits: StreamLimits;
  /** Hertz. */
  readonly sampleRate: number;
  /** No more audio comes: what is there is given and the stream ended. */
  readonly stopping: boolean;
  /**
   * Called in order, with the watermark moved already.
   * @param ages since the arrival of what the result covers, where that is known
   */
  readonly onResult: (result: PlacedResult, ages: ResultAges) => void;
  /** A final came whose audio earlier ones cover. */
  readonly onDropped: () => void;
  /** The engine took audio, or need not be given it, in samples. */
  readonly onMoved: (moved: GivenAudio | { readonly cut: number }) => void;
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
  readonly #coverage: Coverage;
  readonly #pause: PauseKeeper;
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
  /** Samples that the stream was given. */
  #sent = 0;
  /** Called when audio arrives, a stop is asked for, or the stream is gone: whatever the writer may wait for. */
  readonly #wake = new Wake();

  constructor(options: StreamRunOptions) {
    this.#options = options;
    this.#stopping = options.stopping;
    this.#coverage = new Coverage(options);
    this.#pause = new PauseKeeper(options.capabilities, options.sampleRate, this.#openedAt);
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
      this.#wake.call();
      // Frees whatever the engine still holds for a stream that broke; a finished one does not mind.
      stream.abort();
    }
    await writing;
    this.#coverage.settle(performance.now());
    if (this.#outcome !== undefined) return this.#outcome;
    // Words that were shown and have no final yet: a server that shuts down ends its answer as if all were said.
    const isComplete = error === undefined && !this.hasOpenWords;
    if (isComplete && this.#ending !== undefined) return { how: this.#ending };
    error ??= new GatewayError('engine_unavailable', 'The speech engine ended the stream early.');
    return { how: 'broken', error };
  }

  /** Words were shown that no final has yet. */
  get hasOpenWords(): boolean {
    return this.#coverage.hasOpenWords;
  }

  /** How long audio has waited for the writer and for nothing else, in milliseconds: an engine may let it wait for long. */
  idleMs(now: number): number {
    return this.#writingSince !== undefined || this.#ending !== undefined ? 0 : this.#wake.unheardMs(now);
  }

  /** More audio is in the buffer. */
  audioArrived(): void {
    const { buffer, trimmer } = this.#options;
    this.#lastAudioAt = performance.now();
    // Silence that is not given anyway is no reason to go on.
    if (trimmer === undefined || trimmer.hasSoundFrom(buffer.cursor)) this.#parking = false;
    this.#wake.call();
  }

  /** Ends the stream unless more audio comes before it has ended. */
  park(): void {
    this.#parking = true;
    this.#wake.call();
  }

  /** No more audio comes. */
  stop(): void {
    this.#stopping = true;
    this.#progressAt = performance.now();
    this.#wake.call();
  }

  /** Drops the stream at once; `run` resolves with whatever it was in. */
  abort(): void {
    this.#options.stream.abort();
    this.#closed.abort();
    this.#wake.call();
  }

  /** The writer: audio in order, then the end where no more comes or none has come for long. */
  async #writeAll(): Promise<void> {
    const { sampleRate, stream } = this.#options;
    const least = msToSamples(WRITE_MS, sampleRate);
    const most = msToSamples(this.#pace === undefined ? MAX_WRITE_MS : MAX_PACED_WRITE_MS, sampleRate);
    while (!this.#closed.signal.aborted) {
      this.#wake.look();
      const finishing = this.#stopping || this.#parking;
      const { cut, give, isWhole } = this.#plan(finishing);
      if (cut > 0) this.#cut(cut);
      if (give >= least || (give > 0 && (finishing || isWhole))) {
        await this.#write(Math.min(give, most));
      } else if (finishing) {
        const { head } = this.#options.buffer;
        // Results that have ended before the stream was given its end came to it too early: they are noticed by then.
        await new Promise(setImmediate);
        const isFinished = (this.#stopping || this.#parking) && this.#options.buffer.head === head;
        if (!isFinished || this.#closed.signal.aborted) continue;
        this.#ending = this.#stopping ? 'stopped' : 'parked';
        this.#progressAt = performance.now();
        this.#options.onEnding(this.#ending);
        stream.end();
        return;
      } else {
        await this.#wake.wait();
      }
    }
  }

  /** What to do with the audio that waits. */
  #plan(finishing: boolean): Plan {
    const { buffer, trimmer } = this.#options;
    if (trimmer === undefined) return { cut: 0, give: buffer.backlog, isWhole: false, isPause: false };
    // An engine that has words pending needs silence to end them by.
    const wanted = this.hasOpenWords ? Number.POSITIVE_INFINITY : this.#pause.due;
    const plan = trimmer.plan({ all: finishing, wanted });
    if (!plan.isPause) this.#pause.end();
    else if (plan.give === 0) this.#pause.begin(performance.now(), this.#sent);
    return plan;
  }

  #cut(samples: number): void {
    const { buffer, onMoved, timeline } = this.#options;
    buffer.skip(samples);
    timeline.cut(this.#sent, samples);
    this.#coverage.moved(performance.now());
    onMoved({ cut: samples });
  }

  async #write(samples: number): Promise<void> {
    const { buffer, onMoved, sampleRate, stream } = this.#options;
    const waitMs = this.#pace?.spend(samplesToMs(samples, sampleRate), performance.now()) ?? 0;
    if (waitMs > 0) await delay(waitMs, undefined, { signal: this.#closed.signal }).catch(() => undefined);
    if (this.#closed.signal.aborted) return;
    const from = buffer.cursor;
    const arrivedAt = buffer.arrivalOf(from);
    const audio = buffer.read(samples);
    this.#sent += samples;
    this.#writingSince = performance.now();
    const waitedMs = ageAt(this.#writingSince, arrivedAt);
    this.#pause.given(samples, this.#writingSince);
    if (this.#isAudible(audio, from)) this.#owedSince ??= this.#writingSince;
    await stream.write(audio);
    this.#writingSince = undefined;
    this.#progressAt = performance.now();
    this.#coverage.moved(this.#progressAt);
    onMoved({ given: samples, waitedMs });
  }

  /** Whether the engine owes an answer for it. */
  #isAudible(audio: Buffer, from: number): boolean {
    return !isSilent(audio) && this.#options.trimmer?.hasSoundFrom(from) !== false;
  }

  #take(result: EngineResult): void {
    const { buffer, onDropped, onResult, timeline } = this.#options;
    this.#progressAt = performance.now();
    this.#owedSince = undefined;
    const placed = this.#coverage.heard(result, this.#progressAt) ? timeline.place(result, buffer.head) : undefined;
    if (placed === undefined) {
      if (!result.isPartial && result.text !== '') onDropped();
    } else {
      const ageOf = (sample: number) => ageAt(this.#progressAt, buffer.arrivalOf(sample));
      const ages = {
        firstMs: ageOf(placed.items?.[0]?.startSample ?? placed.startSample),
        lastMs: ageOf(placed.endSample - 1),
      };
      if (!placed.isPartial) buffer.cover(placed.endSample, result.channel);
      if (placed.text !== '') onResult(placed, ages);
    }
    // It may want more of a pause now, or nothing more.
    if (this.#options.trimmer !== undefined) this.#wake.call();
    this.#retireIfQuiet(this.#progressAt);
  }

  #tick(): void {
    const now = performance.now();
    const { limits } = this.#options;
    this.#coverage.settle(now);
    if (this.#isStalled(now)) {
      const error = new GatewayError('engine_unavailable', 'The speech engine does not answer.');
      this.#decide({ how: 'stalled', error });
    } else if (now >= this.#retireAt) {
      this.#decide({ how: 'retired' });
    } else if (!this.#stopping && now - this.#lastAudioAt >= limits.parkAfterMs) {
      this.park();
    } else if (this.#pause.isDue(now)) this.#keepOrPark(now);
    this.#retireIfQuiet(now);
  }

  /** The stream would soon end for want of audio. */
  #keepOrPark(now: number): void {
    const { buffer, trimmer } = this.#options;
    const isCovered = trimmer?.hasSoundFrom(buffer.watermark) !== true;
    if (this.#pause.choose(now, this.#sent, isCovered) === 'park') this.#parking = true;
    this.#wake.call();
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
    if (now < this.#retireFrom || this.#ending !== undefined || this.hasOpenWords) return;
    if (buffer.cursor - buffer.watermark <= msToSamples(QUIET_MS, sampleRate)) this.#decide({ how: 'retired' });
  }

  #break(error: GatewayError): void {
    this.#decide({ how: 'broken', error });
  }

  #decide(outcome: StreamOutcome): void {
    this.#outcome ??= outcome;
    this.abort();
  }
}

function ageAt(now: number, then: number | undefined): number | undefined {
  return then && now - then;
}
