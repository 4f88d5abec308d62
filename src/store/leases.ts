/**
 * Places that holders have for a while: so many sessions of a user, so many connections from an address. A place is kept
 * by renewing it, so that whatever dies leaves nothing behind for longer than its term. Nothing is counted up and down.
 *
 * A **grip** tells apart those who say that they keep the same place, one after the other: a session that was resumed
 * elsewhere has the place that it had, and its earlier owner can neither give that away nor take it back.
 *
 * Verbs are atomic for each scope. A store that cannot be reached makes them throw `StoreUnavailableError`; their effect is
 * then unknown, and a repeat is safe. All leases of one scope are given the same term.
 */
export interface Lease {
  /** Whose places they are. May name somebody: the store keeps a hash of it. */
  readonly scope: string;
  /** Who has the place, whatever worker keeps it; at most one place in each scope. */
  readonly holder: string;
  /** Random: who keeps it. */
  readonly grip: string;
}

/**
 * - `granted`: the holder has a place now, or had one already; `held` are in use with it.
 * - `refused`: as many are in use as there may be. Unless one is given back before, the next one ends in `retryAfterMs`
 *   milliseconds, if nobody renews it.
 */
export type LeaseAnswer =
  | { readonly kind: 'granted'; readonly held: number }
  | { readonly kind: 'refused'; readonly held: number; readonly retryAfterMs: number };

/**
 * - `kept`: for another term, also where the store had lost it.
 * - `lost`: somebody else keeps the holder's place now.
 * - `unavailable`: the store did not answer for this one (nodes of a cluster).
 */
export type RenewAnswer = 'kept' | 'lost' | 'unavailable';

/** Places as the workers of a cluster share them; see the head of this file for what every verb promises. */
export interface Leases {
  /**
   * Takes a place, or takes the holder's place over.
   * @param most places that there are; undefined where it must not be refused
   * @param ttlMs the term, in milliseconds
   * @throws StoreUnavailableError
   */
  acquire(lease: Lease, most: number | undefined, ttlMs: number): Promise<LeaseAnswer>;

  /**
   * Keeps places for another term: those of a whole worker in one round trip. Refuses none, however many there are.
   * @returns an answer for each, in order
   * @throws StoreUnavailableError if none was answered
   */
  renew(leases: readonly Lease[], ttlMs: number): Promise<RenewAnswer[]>;

  /** Gives a place back; nothing if another grip has it. @throws StoreUnavailableError */
  release(lease: Lease): Promise<void>;

  /** False while the store cannot be reached. */
  readonly available: boolean;

  /** Tells each change of `available`, until the returned function is called. */
  onAvailability(listener: (available: boolean) => void): () => void;
}
