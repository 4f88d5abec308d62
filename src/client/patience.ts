import { Backoff, type BackoffOptions } from './backoff.ts';
import { now } from './clock.ts';
import type { TranscriptionError } from './errors.ts';

/** A connection that has held for so long resets the backoff, in milliseconds. */
const HEALTHY_MS = 5_000;
/** Repairs in a row that did not help; then the session is given up and a new one started. */
const MAX_VAIN_REPAIRS = 3;

/** How long and how often it is tried again. */
export class Patience {
  readonly #backoff: Backoff;
  readonly #giveUpAfterMs: number;
  #downSince = now();
  #isUp = false;
  #vainRepairs = 0;
  #healthyTimer: ReturnType<typeof setTimeout> | undefined;

  constructor(options: BackoffOptions) {
    this.#backoff = new Backoff(options);
    this.#giveUpAfterMs = options.giveUpAfterMs ?? Number.POSITIVE_INFINITY;
  }

  /** The server serves us, or at least lets us wait. */
  up(): void {
    this.#isUp = true;
    clearTimeout(this.#healthyTimer);
    this.#healthyTimer = setTimeout(() => this.healthy(), HEALTHY_MS);
  }

  /** It does not any more. */
  down(): void {
    clearTimeout(this.#healthyTimer);
    if (!this.#isUp) return;
    this.#isUp = false;
    this.#downSince = now();
  }

  /** The connection has done what it is for. One that was only made may break again at once, and must not be hammered. */
  healthy(): void {
    this.#backoff.reset();
    this.#vainRepairs = 0;
  }

  /** Milliseconds until the next attempt; undefined when it is time to give up. */
  next(error: TranscriptionError): number | undefined {
    if (!this.#isUp && now() - this.#downSince > this.#giveUpAfterMs) return undefined;
    return this.#backoff.next(error.retryAfterMs);
  }

  /** Whether one more repair is worth it. */
  mayRepair(): boolean {
    this.#vainRepairs += 1;
    if (this.#vainRepairs <= MAX_VAIN_REPAIRS) return true;
    this.#vainRepairs = 0;
    return false;
  }
}
