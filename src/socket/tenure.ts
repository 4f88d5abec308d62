import type { Principal } from '../auth/principal.ts';

/** Node's timers take no more, in milliseconds. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

interface TenureListener {
  /** The token has ended. `graceMs` milliseconds later the connection ends, unless another comes. */
  expired(graceMs: number): void;
  /** No other has come. */
  over(): void;
}

/** How long a connection may stay: until its token ends, and a grace to bring another in. */
export class Tenure {
  readonly #graceMs: number;
  readonly #listener: TenureListener;
  #principal: Principal;
  #timer: NodeJS.Timeout | undefined;

  constructor(principal: Principal, graceMs: number, listener: TenureListener) {
    this.#graceMs = graceMs;
    this.#listener = listener;
    this.#principal = principal;
    this.#wait();
  }

  get principal(): Principal {
    return this.#principal;
  }

  /** Another token of the same principal has come. */
  renew(principal: Principal): void {
    this.#principal = principal;
    this.#wait();
  }

  close(): void {
    clearTimeout(this.#timer);
  }

  #wait(): void {
    clearTimeout(this.#timer);
    const { expiresAt } = this.#principal;
    if (expiresAt === undefined) return;
    const left = expiresAt - Date.now();
    this.#timer =
      left > LONGEST_TIMER_MS
        ? setTimeout(() => this.#wait(), LONGEST_TIMER_MS)
        : setTimeout(() => this.#expire(), Math.max(0, left));
    this.#timer.unref();
  }

  #expire(): void {
    this.#timer = setTimeout(() => this.#listener.over(), this.#graceMs);
    this.#timer.unref();
    this.#listener.expired(this.#graceMs);
  }
}
