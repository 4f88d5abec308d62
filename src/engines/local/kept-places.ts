/**
 * Longer than a session pauses between two attempts (2 s at most) and than a process takes to be replaced (1 to 2 s), and
 * short enough that the place of a session which does not come back is soon free.
 */
const KEPT_MS = 10_000;

/**
 * Places of sessions whose stream broke and which are about to continue on another one, so that new sessions are not
 * admitted into them. Each is kept for a bounded time, because a session that was given up meanwhile tells nobody.
 */
export class KeptPlaces {
  /** When each place is forgotten, in the order in which they were kept. */
  readonly #forgetAt: number[] = [];

  get count(): number {
    const now = performance.now();
    for (let [first] = this.#forgetAt; first !== undefined && first <= now; [first] = this.#forgetAt) {
      this.#forgetAt.shift();
    }
    return this.#forgetAt.length;
  }

  /** The stream of a session broke. */
  keep(): void {
    this.#forgetAt.push(performance.now() + KEPT_MS);
  }

  /** A session has its stream again. Whose place it was makes no difference to their number. */
  takeBack(): void {
    this.#forgetAt.shift();
  }
}
