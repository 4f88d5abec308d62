/**
 * How often something may happen in a window of time, counted by the workers of a cluster together. A window of a key
 * begins with the first thing that is counted in it.
 *
 * Nothing is refused because the store is away: each worker then counts for itself.
 */
export interface Rate {
  /**
   * Counts one more; never rejects.
   * @param key whose it is; may name somebody: the store keeps a hash of it
   * @returns 0 while there are no more than may be, else the milliseconds until the window ends
   */
  count(key: string): Promise<number>;
}

export interface RateOptions {
  /** Of what is counted; part of the keys. */
  readonly name: string;
  /** How often it may happen in a window. */
  readonly most: number;
  /** Length of a window, in whole seconds. */
  readonly seconds: number;
  /** Told of each that this worker counted by itself because the store is away. */
  readonly onFallback: () => void;
}

/** Makes the rates that the workers of a cluster share. */
export type MakeRate = (options: RateOptions) => Rate;
