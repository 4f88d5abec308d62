/** What becomes of a session whose client is away. */
interface LingeringSteps {
  /** The client did not come back at once: what the session holds for a quick return is let go. */
  readonly onLingered: () => void;
  /** The client cannot come back any more. */
  readonly onExpired: () => void;
}

/** The time that a session waits for its client: first as it is, then without its engine stream. */
export class Lingering {
  readonly #lingerMs: number;
  readonly #windowMs: number;
  readonly #steps: LingeringSteps;
  #timer: NodeJS.Timeout | undefined;

  /**
   * @param lingerMs first part of the window, in milliseconds
   * @param windowMs the whole of it, in milliseconds
   */
  constructor(lingerMs: number, windowMs: number, steps: LingeringSteps) {
    this.#lingerMs = Math.min(lingerMs, windowMs);
    this.#windowMs = windowMs;
    this.#steps = steps;
  }

  /** The client is gone. */
  begin(): void {
    this.end();
    this.#timer = setTimeout(() => {
      this.#steps.onLingered();
      this.expire(this.#windowMs - this.#lingerMs);
    }, this.#lingerMs);
  }

  /** Only what is left of the session waits. @param inMs milliseconds until it expires; the whole window by default */
  expire(inMs: number = this.#windowMs): void {
    this.end();
    this.#timer = setTimeout(this.#steps.onExpired, inMs);
  }

  /** The client is back, or the session is over. Idempotent. */
  end(): void {
    clearTimeout(this.#timer);
  }
}
