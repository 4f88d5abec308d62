import type { Claim, ClaimRequest, Store } from '../store/store.ts';

/** A claim for the client that is attached which had no answer: the store may have carried it out, or may do so yet. */
export class LostClaim {
  #request: ClaimRequest | undefined;

  keep(request: ClaimRequest): void {
    this.#request = request;
  }

  forget(): void {
    this.#request = undefined;
  }

  /**
   * Makes it again: a store that has carried it out answers as it did then.
   * @param lastSeq number of the last entry that is known here
   * @returns undefined if there is none, or the session went on elsewhere
   */
  async repeat(store: Store, lastSeq: number): Promise<Claim | undefined> {
    const lost = this.#request;
    const answer = lost && (await store.claim(lost));
    // Meanwhile another one took its place.
    if (lost !== this.#request) return undefined;
    this.#request = undefined;
    if (answer?.kind !== 'claimed' || answer.session.stopped !== undefined) return undefined;
    return answer.session.head <= lastSeq ? answer.session.claim : undefined;
  }
}
