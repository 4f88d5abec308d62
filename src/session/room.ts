/** What senders wait for that are faster than speech. */
export class Room {
  readonly #isThere: () => boolean;
  #awaited: PromiseWithResolvers<void> | undefined;

  /** @param isThere whether there is room now */
  constructor(isThere: () => boolean) {
    this.#isThere = isThere;
  }

  /** Resolves when there is room. */
  async come(): Promise<void> {
    if (this.#isThere()) return;
    this.#awaited ??= Promise.withResolvers<void>();
    await this.#awaited.promise;
  }

  /** There may be room now. */
  check(): void {
    if (this.#awaited === undefined || !this.#isThere()) return;
    this.#awaited.resolve();
    this.#awaited = undefined;
  }
}
