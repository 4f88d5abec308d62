/**
 * The ledger of an account's quota, which all workers share: who holds a stream of which pool entry, who waits for one,
 * and which starts still count. Every verb is atomic.
 *
 * A **slot** is the right to one stream at a time in one entry. It belongs to a session, and to the **place** of whoever
 * has it now: a random name, so that a worker which has lost the session to another frees nothing of it. It is a lease:
 * one that is not renewed is free after `leaseMs`, whatever became of its worker. One that is given back counts for a
 * little longer where the service may hear late of the stream's end.
 *
 * A **ticket** is a session's place in the line. It moves with the session to another worker, and is dropped so long
 * after it was last asked for as it says itself. One that is not asked for every `blockMs` keeps its place, and blocks
 * nobody.
 *
 * **The order** of the line: sessions that bring a slot of their own (their stream is over, and they need another), then
 * those that go on, then new ones. Within each the tenant comes first which has the fewest slots, its own tickets ahead
 * counted; so long as `patienceMs` of waiting weighs as much as one slot. A free slot is kept for whoever is further
 * ahead, and the last slots of an entry, its reserve, for sessions that go on.
 *
 * **Starts** are counted from when they are granted until a second after they are known to have reached the service. So
 * no second there sees more of them than the quota, however long any of them was under way.
 *
 * Verbs throw `StoreUnavailableError` as those of the session store do; their effect is then unknown, and a repeat is
 * safe.
 */

/** One region or account, and what it grants. */
export interface QuotaEntry {
  /** Letters, digits, dots, hyphens and underscores. */
  readonly name: string;
  readonly streams: number;
  /** Of them, those that new sessions do not get. */
  readonly reserve: number;
  readonly startsPerSecond: number;
}

/** The same for all workers, times in milliseconds. */
export interface QuotaRules {
  readonly entries: readonly QuotaEntry[];
  readonly leaseMs: number;
  /** A start of which nothing more is heard does not count after so long. */
  readonly startMs: number;
  readonly blockMs: number;
  readonly patienceMs: number;
  /** New sessions that may wait. */
  readonly lineLength: number;
}

/** A session that wants to open a stream. Times are in milliseconds. */
export interface Ask {
  readonly sessionId: string;
  /** Name of the place that it gets; the same when the ask is repeated. */
  readonly place: string;
  readonly tenant: string;
  /** It was served before. */
  readonly continuation: boolean;
  /** Names of the entries that will do, the best first; at least one. */
  readonly entries: readonly string[];
  /** It has waited elsewhere, or for another entry, already. */
  readonly waitedMs: number;
  /** How long the stream of the slot that it brings, if any, may still count at the service. */
  readonly coolMs: number;
  /** How long the ticket outlives the last ask. */
  readonly keepMs: number;
}

export type AskAnswer =
  | { readonly kind: 'granted'; readonly entry: string }
  | {
      readonly kind: 'waiting';
      /** From 1. */
      readonly position: number;
      /** There is a slot for it, and no start yet. */
      readonly hasSlot: boolean;
      /** Mean time between slots that were freed lately, in milliseconds; undefined if none was. */
      readonly freedEveryMs: number | undefined;
    }
  /** The line is as long as it may be. */
  | { readonly kind: 'full' }
  /** The session went from this place to another, which alone may ask for it. */
  | { readonly kind: 'moved' };

/** A slot and whose it is. */
export interface HeldSlot {
  readonly sessionId: string;
  readonly place: string;
  readonly tenant: string;
  readonly entry: string;
}

/**
 * What has become of a place:
 * - `slot`: the session has no use for it; it counts for `coolMs` more.
 * - `start`: the stream that it was granted for has reached the service, or never will: it counts for `countsMs` more.
 * - `ticket`: the session waits no longer.
 */
export type QuotaNote =
  | { readonly kind: 'slot'; readonly sessionId: string; readonly place: string; readonly coolMs: number }
  | { readonly kind: 'start'; readonly entry: string; readonly place: string; readonly countsMs: number }
  | { readonly kind: 'ticket'; readonly sessionId: string; readonly place: string };

/** What is used of the quota. */
export interface QuotaState {
  /** Workers that renewed within a lease. */
  readonly workers: number;
  readonly waiting: number;
  /** Slots that count, by entry; 0 where absent. */
  readonly held: ReadonlyMap<string, number>;
}

export interface QuotaLedger {
  /** Asks for slots and answers in the same order. What is granted is held, and its start counts. */
  ask(asks: readonly Ask[]): Promise<AskAnswer[]>;
  /** Keeps the slots of a worker, and makes those anew that the ledger has lost. One that went to another place stays there. */
  renew(worker: string, slots: readonly HeldSlot[]): Promise<QuotaState>;
  note(notes: readonly QuotaNote[]): Promise<void>;
  /** The worker is no more; slots that it holds expire. */
  leave(worker: string): Promise<void>;
  /** Told when the ledger can be reached again, or not any more. Returns what ends that. */
  onAvailability(listener: (available: boolean) => void): () => void;
}
