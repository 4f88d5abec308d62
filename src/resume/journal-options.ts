import type { GatewayError } from '../errors.ts';
import type {
  ChannelEnds,
  Claim,
  JournalEntry,
  SessionSnapshot,
  SessionStop,
  Store,
  Watermark,
} from '../store/store.ts';
import type { Numbered } from './entries.ts';

/** Viewers who are there renew their mark several times in it, in milliseconds. */
export const WATCH_MS = 10_000;

export interface JournalLimits {
  /** Entries that may wait for a store that is away. */
  readonly pendingEntries: number;
  /** Committed entries that the owner keeps, to make the record anew after the store lost it. */
  readonly tailEntries: number;
  /** A record that was not written for so long is renewed, in milliseconds. */
  readonly renewMs: number;
}

/** An entry that waits to be committed, with what is committed together with it. */
export interface Pending<Body> {
  readonly entry: Numbered<Body>;
  readonly sealed: JournalEntry;
  readonly ends: ChannelEnds;
  readonly watermark: Watermark;
}

/** Called in order. None may throw. */
interface JournalSink<Body> {
  /** An entry may be sent. Not durable: it is numbered and waits for a store that is away. */
  entry(entry: Numbered<Body>, durable: boolean): void;
  /** An entry is committed, and viewers watch the session. Called before `entry` where that was not shown yet. */
  published(entry: JournalEntry): void;
  /** Every entry up to some number is committed, and with them this watermark. */
  committed(watermark: Watermark): void;
  /** The end of the session is committed, or (not durable) waits for the store. */
  stopped(stop: SessionStop, durable: boolean): void;
  /** The store had lost the record, or a part of it, and has it anew. */
  rebuilt(): void;
  /** Another claim holds the session. Nothing follows. */
  fenced(epoch: number): void;
  /** The session cannot go on here: the store was away for too long, or contradicts us. Nothing follows. */
  failed(error: GatewayError): void;
}

export interface JournalOptions<Body> {
  readonly store: Store;
  readonly claim: Claim;
  readonly key: Buffer;
  readonly head: number;
  readonly ends: ChannelEnds;
  readonly watermark: Watermark;
  /** The last entries up to the head that are known here, in order and without holes. */
  readonly tail?: readonly JournalEntry[] | undefined;
  readonly limits: JournalLimits;
  readonly sink: JournalSink<Body>;
  /** What the record holds besides the journal; undefined while it may not be made anew (no client is attached). */
  readonly record: () => Omit<SessionSnapshot, keyof JournalState> | undefined;
  /** Whether the other claim that holds the session is one of our own, whose answer was lost; undefined if not. */
  readonly reclaim?: () => Promise<Claim | undefined>;
}

/** The part of a record that the journal knows. */
export type JournalState = Pick<SessionSnapshot, 'claim' | 'head' | 'ends' | 'watermark' | 'entries'>;
