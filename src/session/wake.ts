/** Wakes a loop that waits for something to do. What it is, the loop finds out by itself. */
export class Wake {
  #next = Promise.withResolvers<void>();
  /** Since when the loop has been called and has not looked, in milliseconds of the monotonic clock. */
  #calledSince: number | undefined;

  /** Something may have to be done. */
  call(): void {
    this.#calledSince ??= performance.now();
    this.#next.resolve();
    this.#next = Promise.withResolvers<void>();
  }

  /** The loop looks at everything now, as it does at each of its turns. */
  look(): void {
    this.#calledSince = undefined;
  }

  /** Resolves with the next call; none may come between the look and this. */
  wait(): Promise<void> {
    return this.#next.promise;
  }

  /** How long the loop has not looked since it was called, in milliseconds; 0 if it has. */
  unheardMs(now: number): number {
    return now - (this.#calledSince ?? now);
  }
}
