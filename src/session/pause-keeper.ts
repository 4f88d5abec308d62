import type { EngineCapabilities } from '../engines/engine.ts';
import { msToSamples } from '../protocol/audio.ts';
import { choosePause, type PauseChoice } from './pause-choice.ts';

/** Share of the engine's own limit, or without one the time in milliseconds, after which a stream is due some audio. */
const DUE_SHARE = 0.6;
const DUE_MS = 9_000;
/** So much keeps a stream alive. */
const KEEP_MS = 100;
/** With so much more than its settle time, an engine has answered for what came before. */
const PROBE_MARGIN_MS = 1_000;

/** What is under way while a stream is not given the silence of a pause. Times are of the monotonic clock. */
interface Pause {
  readonly since: number;
  /** Samples that the stream was given before. */
  readonly sentBefore: number;
  isProbed: boolean;
}

/** Gives one stream what it needs of the pauses that are cut, and says when it is better ended. */
export class PauseKeeper {
  readonly #capabilities: Pick<EngineCapabilities, 'billing' | 'settleMs'>;
  readonly #sampleRate: number;
  readonly #dueMs: number;
  #pause: Pause | undefined;
  #givenAt: number;
  #due = 0;

  /** @param now milliseconds of the monotonic clock */
  constructor(
    capabilities: Pick<EngineCapabilities, 'billing' | 'maxSilenceMs' | 'settleMs'>,
    sampleRate: number,
    now: number,
  ) {
    this.#capabilities = capabilities;
    this.#sampleRate = sampleRate;
    this.#givenAt = now;
    const { maxSilenceMs } = capabilities;
    this.#dueMs = maxSilenceMs === undefined ? DUE_MS : maxSilenceMs * DUE_SHARE;
  }

  /** Samples of the pause that the stream is to be given. */
  get due(): number {
    return this.#due;
  }

  /** The stream is in a pause: nothing, where it was before. @param sent samples that it was given so far */
  begin(now: number, sent: number): void {
    this.#pause ??= { since: now, sentBefore: sent, isProbed: false };
  }

  /** There is a sound. */
  end(): void {
    this.#pause = undefined;
    this.#due = 0;
  }

  given(samples: number, now: number): void {
    this.#givenAt = now;
    this.#due = Math.max(0, this.#due - samples);
  }

  /** Whether the stream is in a pause and has been given nothing for so long that something must be done. */
  isDue(now: number): boolean {
    return this.#pause !== undefined && this.#due === 0 && now - this.#givenAt >= this.#dueMs;
  }

  /**
   * What is to be done; what the stream is to be given is in `due` then.
   * @param sent samples that it was given so far
   * @param isCovered all that was said before the pause is covered
   */
  choose(now: number, sent: number, isCovered: boolean): PauseChoice {
    const { billing = { minimumSeconds: 0 }, settleMs } = this.#capabilities;
    const pause = this.#pause;
    if (pause === undefined) return 'keep';
    const { isProbed, sentBefore, since } = pause;
    const rate = this.#sampleRate;
    const facts = {
      lasts: (now - since) / 1000,
      sent: sentBefore / rate,
      given: (sent - sentBefore) / rate,
      isCovered,
      isProbed,
    };
    const choice = choosePause(facts, billing);
    if (choice === 'keep') this.#due = msToSamples(KEEP_MS, rate);
    if (choice === 'probe') {
      pause.isProbed = true;
      this.#due = msToSamples(settleMs + PROBE_MARGIN_MS, rate);
    }
    return choice;
  }
}
