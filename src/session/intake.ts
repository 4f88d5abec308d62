import { setTimeout as delay } from 'node:timers/promises';
import { GatewayError } from '../errors.ts';
import { TokenBucket } from '../limits/token-bucket.ts';
import type { Logger } from '../log.ts';
import type { Metrics } from '../metrics/metrics.ts';
import { type AudioFormat, frameBytes, msToSamples } from '../protocol/audio.ts';
import { ChunkOrder, type ChunkPosition } from '../resume/chunk-order.ts';
import { SampleRateWatch } from './sample-rate-watch.ts';
import type { Session } from './session.ts';

/** How much audio a session takes, and how fast. */
export interface IntakeLimits {
  readonly replayMs: number;
  /** Both in milliseconds of audio per millisecond. */
  readonly audioSpeed: number;
  readonly catchUpSpeed: number;
  /** Audio that may come at once, in milliseconds. */
  readonly audioBurstMs: number;
}

interface IntakeOptions {
  readonly session: Session;
  /** Where the audio goes on. */
  readonly next: ChunkPosition;
  readonly limits: IntakeLimits;
  /** Audio of the session at most, in milliseconds; 0 for any amount. */
  readonly mostAudioMs: number;
  /** Something is wrong with the audio, and the session goes on. */
  readonly warn: (warning: GatewayError) => void;
  readonly metrics: Metrics;
  readonly log: Logger;
}

/** How the audio of a client comes into its session: in order, and no more or faster than may be. */
export class Intake {
  readonly chunks: ChunkOrder;
  readonly #options: IntakeOptions;
  readonly #mostSamples: number;
  /** Holds milliseconds of audio. */
  readonly #rate: TokenBucket;
  readonly #burstMs: number;
  readonly #watch: SampleRateWatch;

  constructor(options: IntakeOptions) {
    const { limits, mostAudioMs, next, session } = options;
    const { sampleRate } = session.format;
    this.#options = options;
    this.chunks = new ChunkOrder(next);
    this.#mostSamples = mostAudioMs === 0 ? Number.POSITIVE_INFINITY : msToSamples(mostAudioMs, sampleRate);
    // What clients are told that they may send is let in.
    this.#burstMs = Math.max(limits.audioBurstMs, limits.replayMs);
    this.#rate = new TokenBucket(Math.max(limits.audioSpeed, limits.catchUpSpeed), this.#burstMs, performance.now());
    this.#watch = new SampleRateWatch(sampleRate, limits.catchUpSpeed);
  }

  /**
   * Takes a chunk of audio.
   * @param seq its number, from a client that numbers them
   * @param decode called if the chunk is taken; throws if it is bad, which uses up its number
   * @throws GatewayError `chunk_gap`, `audio_rate_exceeded`, what `decode` throws, or what `Session.push` throws
   */
  take(seq: number | undefined, decode: (format: AudioFormat) => Buffer): void {
    const { session } = this.#options;
    // The client is not to blame. What is not taken is not acknowledged, and goes to the next owner if there is one.
    if (session.endsByItself || !this.chunks.accepts(seq)) return;
    const bytes = frameBytes(session.format);
    let audio: Buffer;
    try {
      audio = decode(session.format);
    } catch (error) {
      if (seq !== undefined) this.chunks.taken(0);
      throw error;
    }
    const samples = audio.length / bytes;
    if (this.chunks.next.offset + samples > this.#mostSamples) {
      this.#options.metrics.limitRefusalsTotal.inc({ limit: 'session_audio' });
      session.stop('duration_exceeded');
      return;
    }
    const audioMs = (samples * 1000) / session.format.sampleRate;
    const now = performance.now();
    this.#assertPace(audioMs, now);
    // A client goes on at the beginning of a chunk, and the watermark may lie within it.
    const covered = Math.min(samples, Math.max(0, session.head - this.chunks.next.offset));
    if (covered < samples) session.push(audio.subarray(covered * bytes));
    this.chunks.taken(samples);
    this.#rate.take(audioMs, now);
    this.#listen(audioMs, now);
  }

  /** Resolves when there is room for more: the pace for senders faster than speech. */
  async room(): Promise<void> {
    await this.#options.session.room();
    const holdMs = this.#holdMs(performance.now());
    if (holdMs > 0) await delay(holdMs, undefined, { ref: false });
  }

  /** The client has another connection now. What it sends at first it has kept. */
  resumed(): void {
    this.#watch.end();
  }

  /** A client that does not wait for its acknowledgements is refused at last. */
  #assertPace(audioMs: number, now: number): void {
    const wait = this.#rate.waitFor(audioMs, now);
    if (wait === 0) return;
    this.#options.metrics.limitRefusalsTotal.inc({ limit: 'audio_speed' });
    const message = 'Audio arrives faster than it may, and for too long; the chunk was not taken.';
    throw new GatewayError('audio_rate_exceeded', message, { retryAfterMs: wait });
  }

  /** Acknowledgements are held back from half of the burst on, as they are from half of the backlog on. */
  #holdMs(now: number): number {
    return this.#rate.waitFor(this.#burstMs / 2, now);
  }

  #listen(audioMs: number, now: number): void {
    const { log, session, warn } = this.#options;
    // Whoever waits for us has our pace, not that of a recorder.
    if (!session.hasRoom || this.#holdMs(now) > 0) {
      this.#watch.reset();
      return;
    }
    const likely = this.#watch.heard(audioMs, now);
    if (likely === undefined) return;
    const { sampleRate } = session.format;
    log.warn({ sample_rate: sampleRate, likely_sample_rate: likely }, 'audio has another sample rate than it should');
    const pace = (likely / sampleRate).toFixed(2);
    const message = `Audio arrives at ${pace} times the speed of speech: it seems to be recorded at ${likely} Hz, and is taken as ${sampleRate} Hz.`;
    warn(new GatewayError('bad_audio', `${message} Resample it, or name its rate where the engine takes that.`));
  }
}
