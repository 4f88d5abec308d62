import type { GatewayError } from '../errors.ts';
import type { LinePlace } from '../limits/applicant.ts';
import type { ChunkPosition } from '../resume/chunk-order.ts';
import type { SessionSecrets } from '../resume/tokens.ts';
import type { SessionStop, Watermark } from '../store/store.ts';
import type { SessionGap } from './session-options.ts';
import type { PlacedResult } from './timeline.ts';

/** What is journaled: a final or a gap. */
export type EntryBody =
  | { readonly kind: 'final'; readonly result: PlacedResult }
  | { readonly kind: 'gap'; readonly gap: SessionGap };

/** How an entry is sent; undefined for a session without a journal. */
export interface EntryNote {
  readonly seq: number;
  readonly epoch: number;
  readonly durable: boolean;
  readonly replayed: boolean;
}

export interface StopNote extends SessionStop {
  /** Number of the last entry, where there is a journal. */
  readonly lastSeq?: number;
  readonly durable: boolean;
}

/**
 * A connection, as its session sees it. Called in order; none of the methods may throw. After `stopped`, `failed` and
 * `takenOver` nothing follows.
 */
export interface SessionView {
  /** The session waits for an engine stream, or its place in the line has changed. `started` follows. */
  queued(place: LinePlace, epoch: number, secrets: SessionSecrets): void;
  /** The first engine stream is open, or one that the client was told to wait for. `secrets` are for the client alone; undefined where it cannot resume. */
  started(epoch: number, secrets: SessionSecrets | undefined): void;
  /** @param afterSeq number of the last entry before it, where there is a journal */
  partial(result: PlacedResult, epoch: number, afterSeq: number | undefined): void;
  entry(body: EntryBody, note: EntryNote | undefined): void;
  /** Entries of these numbers were trimmed before the client came for them. Positions are samples. */
  trimmed(lastSeq: number, epoch: number, fromSample: number, toSample: number): void;
  /** Something is wrong that does not end the session. */
  warned(warning: GatewayError): void;
  acked(watermark: Watermark): void;
  resumed(epoch: number, next: ChunkPosition, missed: number): void;
  stopped(stop: StopNote): void;
  failed(error: GatewayError): void;
  takenOver(epoch: number): void;
}
