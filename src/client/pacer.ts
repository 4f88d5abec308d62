/** What may go out at once, in seconds of audio. */
const BURST_SECONDS = 1;

/** Holds kept audio to a multiple of real time, so that all the clients of a dead pod do not flood the others. */
export class Pacer {
  readonly #samplesPerMs: number;
  readonly #burst: number;
  #allowance: number;
  #at: number;

  /**
   * @param sampleRate hertz
   * @param speed times real time
   * @param now milliseconds
   */
  constructor(sampleRate: number, speed: number, now: number) {
    this.#samplesPerMs = (sampleRate * speed) / 1000;
    this.#burst = sampleRate * BURST_SECONDS;
    this.#allowance = this.#burst;
    this.#at = now;
  }

  /** Takes the samples if they may go now and returns 0; otherwise returns the milliseconds to wait, taking nothing. */
  take(samples: number, now: number): number {
    this.#allowance = Math.min(this.#burst, this.#allowance + (now - this.#at) * this.#samplesPerMs);
    this.#at = now;
    // A chunk longer than the burst goes when the burst is full.
    const needed = Math.min(samples, this.#burst);
    if (this.#allowance < needed) return Math.ceil((needed - this.#allowance) / this.#samplesPerMs);
    this.#allowance -= samples;
    return 0;
  }
}
