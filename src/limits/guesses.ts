import { GatewayError } from '../errors.ts';
import type { ErrorCode } from '../protocol/error-codes.ts';
import type { DoorLimits } from './door-limits.ts';

/** What a connection is answered that asks for a session which is not its own. */
const WRONG: ReadonlySet<ErrorCode> = new Set(['forbidden', 'resume_expired', 'watch_refused']);
/** So many wrong ones a connection may ask for in a window. More than that, at a time, it has no use for. */
const MOST = 20;
const WINDOW_MS = 60_000;

/**
 * Keeps a connection from guessing tokens of sessions. They are too long to be guessed; but each guess costs the store a
 * question, and a client that is lost asks for ever.
 */
export class Guesses {
  readonly #doors: DoorLimits;
  readonly #address: string | undefined;
  #failed = 0;
  /** When the window ends, in milliseconds of the monotonic clock. */
  #until = 0;

  /** @param address as `countedAddress` gives it */
  constructor(doors: DoorLimits, address: string | undefined) {
    this.#doors = doors;
    this.#address = address;
  }

  /**
   * Asks for a session.
   * @param ask throws one of the codes above if it is not the client's
   * @throws GatewayError `rate_exceeded` without asking, or what `ask` throws
   */
  async attempt<T>(ask: () => Promise<T>): Promise<T> {
    const now = performance.now();
    if (now >= this.#until) {
      this.#until = now + WINDOW_MS;
      this.#failed = 0;
    }
    if (this.#failed >= MOST) throw this.#doors.tooManyGuesses(Math.ceil(this.#until - now));
    this.#doors.assertMayResume(this.#address);
    try {
      return await ask();
    } catch (error) {
      if (error instanceof GatewayError && WRONG.has(error.code)) {
        this.#failed += 1;
        await this.#doors.resumeFailed(this.#address);
      }
      throw error;
    }
  }
}
