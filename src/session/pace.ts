/** Audio that may be given at once, in milliseconds, so that live audio is never held back by its own jitter. */
const BURST_MS = 1_000;

/** Holds audio to a multiple of the speed of speech: a token bucket that fills with the audio that may be given. */
export class Pace {
  readonly #speed: number;
  #allowedMs = BURST_MS;
  #at: number;

  /**
   * @param speed milliseconds of audio per millisecond
   * @param now milliseconds of the monotonic clock
   */
  constructor(speed: number, now: number) {
    this.#speed = speed;
    this.#at = now;
  }

  /** Takes note that `audioMs` milliseconds of audio are given, and returns how long to wait before it, in milliseconds. */
  spend(audioMs: number, now: number): number {
    this.#allowedMs = Math.min(BURST_MS, this.#allowedMs + (now - this.#at) * this.#speed) - audioMs;
    this.#at = now;
    return Math.max(0, -this.#allowedMs / this.#speed);
  }
}
