/** The time that the engine has for a stream. It stands still while the session waits in a line. */
export class StartTimeout {
  readonly #ms: number;
  readonly #controller = new AbortController();
  #timer: NodeJS.Timeout | undefined;

  /** @param ms milliseconds, counted from now on */
  constructor(ms: number) {
    this.#ms = ms;
    this.restart();
  }

  /** Aborted when the time is over. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** The whole time begins anew. */
  restart(): void {
    this.stop();
    this.#timer = setTimeout(() => this.#controller.abort(), this.#ms);
  }

  /** Idempotent. */
  stop(): void {
    clearTimeout(this.#timer);
  }
}
