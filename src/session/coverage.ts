import type { EngineCapabilities, EngineResult } from '../engines/engine.ts';
import { msToSamples } from '../protocol/audio.ts';
import type { AudioBuffer, IsOpen, IsQuiet } from './audio-buffer.ts';
import type { SilenceTrimmer } from './silence-trimmer.ts';
import type { Timeline } from './timeline.ts';

/** A backlog beyond this is not live any more: what the engine says then tells nothing about the newest audio. */
const LIVE_BACKLOG_MS = 1_000;
/** Audio kept before the end of a pause, so that a new stream does not begin in the middle of a sound. */
const PRE_ROLL_MS = 500;

export interface CoverageOptions {
  readonly buffer: AudioBuffer;
  readonly timeline: Timeline;
  readonly trimmer?: SilenceTrimmer | undefined;
  readonly capabilities: Pick<EngineCapabilities, 'settleMs'>;
  /** Hertz. */
  readonly sampleRate: number;
}

/**
 * How far one stream moves the watermark without a final: over silence, and over audio that the engine answers for
 * without a word. Both only while no words are pending, and while the engine has the audio as it comes. Times are
 * milliseconds of the monotonic clock.
 */
export class Coverage {
  readonly #options: CoverageOptions;
  readonly #settle: number;
  readonly #preRoll: number;
  /** By channel: the id of the utterance whose partial is open. */
  readonly #open = new Map<number, string>();
  /** By channel: the oldest answer without a word that words may still contradict, and the audio that it frees. */
  readonly #answers = new Map<number, { readonly settled: number; readonly at: number }>();
  readonly #isOpen: IsOpen = (channel) => this.#open.has(channel);
  /** Since when the stream has been given all audio as it came. */
  #liveSince: number | undefined;

  constructor(options: CoverageOptions) {
    this.#options = options;
    this.#settle = msToSamples(options.capabilities.settleMs, options.sampleRate);
    this.#preRoll = msToSamples(PRE_ROLL_MS, options.sampleRate);
  }

  /** Words were shown that no final has yet. */
  get hasOpenWords(): boolean {
    return this.#open.size > 0;
  }

  /**
   * Takes note of what the engine says.
   * @returns false if it says only that it answers: there is nothing to place
   */
  heard(result: EngineResult, now: number): boolean {
    const channel = result.channel ?? 0;
    if (result.isPartial && result.text !== '') this.#open.set(channel, result.resultId);
    else if (!result.isPartial || this.#open.get(channel) === result.resultId) this.#open.delete(channel);
    if (result.isPartial && result.text === '') {
      this.#noteAnswer(result.endSample, now);
      return false;
    }
    this.#answers.delete(channel);
    return true;
  }

  /** The cursor has moved on, over audio that was given or that is not to be. */
  moved(now: number): void {
    const { buffer, sampleRate } = this.#options;
    const isLive = buffer.backlog <= msToSamples(LIVE_BACKLOG_MS, sampleRate);
    this.#liveSince = isLive ? (this.#liveSince ?? now) : undefined;
    const isQuiet = this.#isQuietAt(now);
    if (isLive) buffer.coverSilence(buffer.cursor - this.#preRoll, this.#isOpen, isQuiet);
    buffer.trim(this.#isOpen, isQuiet);
  }

  /** Covers what time alone has settled. */
  settle(now: number): void {
    const { buffer, capabilities } = this.#options;
    for (const [channel, { settled, at }] of this.#answers) {
      if (now - at < capabilities.settleMs) continue;
      buffer.cover(settled, channel);
      this.#answers.delete(channel);
    }
  }

  /**
   * The engine answers for audio up to a sample of the stream and shows no words: any that began earlier than the settle
   * time before it would have shown by now. That holds only for audio that came at the speed of speech, and only if the
   * answer was not held up on its way with words right behind it: they have another settle time to come.
   */
  #noteAnswer(streamSample: number, now: number): void {
    const { buffer, timeline } = this.#options;
    if (!this.#isLiveLongEnough(now)) return;
    // Counted in what the stream was given: what was cut gave the engine no time.
    const settled = timeline.endOf(streamSample - this.#settle);
    for (let channel = 0; channel < buffer.channels; channel++) {
      if (this.#isOpen(channel) || this.#answers.has(channel)) continue;
      this.#answers.set(channel, { settled, at: now });
    }
  }

  #isLiveLongEnough(now: number): boolean {
    return this.#liveSince !== undefined && now - this.#liveSince >= this.#options.capabilities.settleMs;
  }

  /**
   * Where the trimmer hears no sound, neither does the engine, unless it has shown words within its settle time. Silence
   * of the digital kind needs no such proof.
   */
  #isQuietAt(now: number): IsQuiet {
    const { buffer, capabilities, trimmer } = this.#options;
    if (trimmer === undefined || !this.#isLiveLongEnough(now)) return () => false;
    return (from, to) => now - (buffer.arrivalOf(to - 1) ?? now) >= capabilities.settleMs && trimmer.isQuiet(from, to);
  }
}

/** Leaves the end of a pause, after the last final, to be given again, so that a new stream does not begin in a sound. */
export function coverAllButPreRoll(buffer: AudioBuffer, sampleRate: number): void {
  buffer.cover(buffer.cursor - msToSamples(PRE_ROLL_MS, sampleRate));
}
