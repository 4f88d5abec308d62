/**
 * Lets `limit` native calls run at once, in the order they were asked for. Each stream asks for one call at a time, so
 * the order is also a fair turn-taking between streams. Without the gate a process with many streams would exceed
 * koffi's bound on concurrent calls (64 by default), which throws.
 */
export class CallGate {
  readonly #limit: number;
  readonly #waiting: (() => void)[] = [];
  #running = 0;

  constructor(limit: number) {
    this.#limit = limit;
  }

  async run<Value>(call: () => Promise<Value>): Promise<Value> {
    if (this.#running < this.#limit) this.#running++;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
    try {
      return await call();
    } finally {
      // The place passes straight to the next in line, so that a newcomer cannot slip in between.
      const next = this.#waiting.shift();
      if (next === undefined) this.#running--;
      else next();
    }
  }
}
