export interface BackoffOptions {
  /** First wait, in milliseconds; default 200. */
  readonly initialMs?: number;
  /** Longest wait, in milliseconds; default 10,000. */
  readonly maxMs?: number;
  /** Each wait is so many times the one before; default 2. */
  readonly factor?: number;
  /** Share of a wait that is random, 0 to 1; default 0.5. It keeps clients from coming back all at once. */
  readonly jitter?: number;
  /** After so many milliseconds without a session the transcription fails; default: never. */
  readonly giveUpAfterMs?: number;
}

/** Jittered exponential waits between attempts. */
export class Backoff {
  readonly #options: Required<Omit<BackoffOptions, 'giveUpAfterMs'>>;
  readonly #random: () => number;
  #failures = 0;

  constructor(options: BackoffOptions = {}, random: () => number = Math.random) {
    const { factor = 2, initialMs = 200, jitter = 0.5, maxMs = 10_000 } = options;
    this.#options = { initialMs, maxMs, factor, jitter };
    this.#random = random;
  }

  /** The next wait, in milliseconds; never less than the server asks for. */
  next(retryAfterMs = 0): number {
    const { factor, initialMs, jitter, maxMs } = this.#options;
    const full = Math.min(maxMs, initialMs * factor ** this.#failures);
    this.#failures += 1;
    // What the server asks for is spread as well, but only upwards: it told many clients the same.
    const asked = retryAfterMs * (1 + (jitter / 4) * this.#random());
    return Math.round(Math.max(full * (1 - jitter * this.#random()), asked));
  }

  /** The connection has proved to be healthy: the next wait is the first again. */
  reset(): void {
    this.#failures = 0;
  }
}
