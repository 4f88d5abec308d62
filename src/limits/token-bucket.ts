/**
 * Lets things pass at a steady pace, and so many at once: the bucket holds what may pass at once, and fills at the pace.
 * Times are milliseconds of the monotonic clock; what passes is counted in whatever unit the caller likes.
 */
export class TokenBucket {
  readonly #perMs: number;
  readonly #burst: number;
  #level: number;
  #at: number;

  /**
   * @param perMs what comes in, per millisecond
   * @param burst what it holds; it is full at first
   */
  constructor(perMs: number, burst: number, now: number) {
    this.#perMs = perMs;
    this.#burst = burst;
    this.#level = burst;
    this.#at = now;
  }

  /** Takes so much and returns 0; or takes nothing, and returns the milliseconds until it would. */
  take(amount: number, now: number): number {
    const wait = this.waitFor(amount, now);
    if (wait === 0) this.#level -= amount;
    return wait;
  }

  /** Milliseconds until there is so much in it, or as much as it holds; 0 if there is. */
  waitFor(amount: number, now: number): number {
    this.#level = Math.min(this.#burst, this.#level + (now - this.#at) * this.#perMs);
    this.#at = now;
    const missing = Math.min(amount, this.#burst) - this.#level;
    return missing <= 0 ? 0 : Math.ceil(missing / this.#perMs);
  }
}
