/**
 * What tenants and their users have used in a day, UTC, by the clock of the store. A figure is forgotten a while after its
 * day has ended.
 *
 * What a worker has counted it books in batches, each under the next number. A batch whose answer was lost is booked again
 * under the same number, with the same amounts: it counts once. Verbs are atomic for each tenant. A store that cannot be
 * reached makes them throw `StoreUnavailableError`.
 */
export interface Batch {
  /** Names somebody: the ledger keeps a hash of it. */
  readonly tenant: string;
  /** Random: the process that books. */
  readonly writer: string;
  /** From 1, rising by one with each batch of the writer for the tenant. */
  readonly number: number;
  readonly billedSeconds: number;
  readonly audioMs: number;
  /** The parts of users in `audioMs`; what nobody asks after may be missing. */
  readonly users: readonly { readonly user: string; readonly audioMs: number }[];
}

/** What a tenant has used today. */
export interface UsedToday {
  readonly kind: 'used';
  /** Days since 1970. */
  readonly day: number;
  /** Milliseconds until the day ends. */
  readonly endsInMs: number;
  readonly billedSeconds: number;
  readonly audioMs: number;
  /** By user, in the order in which they were asked for: milliseconds of audio. */
  readonly users: readonly number[];
}

export interface Ledger {
  /** Adds a batch, unless it is there already; then says how much it is. @throws StoreUnavailableError */
  book(batch: Batch): Promise<UsedToday>;

  /** @throws StoreUnavailableError */
  read(tenant: string, users: readonly string[]): Promise<UsedToday>;

  /** False while the store cannot be reached. */
  readonly available: boolean;
}
