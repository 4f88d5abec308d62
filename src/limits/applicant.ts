import { GatewayError } from '../errors.ts';

/** Where a session stands that waits for a stream. */
export interface LinePlace {
  /** From 1. */
  readonly position: number;
  /** About when its turn comes, in milliseconds; undefined where nothing tells. */
  readonly etaMs: number | undefined;
}

/** A session, as whoever shares out streams sees it. */
export interface Applicant {
  readonly id: string;
  readonly tenant: string;
  /** It can go on in another worker, and its place in the line with it. */
  readonly isResumable: boolean;
  /** Its client is there, or was until a moment ago: otherwise nobody asks for it. */
  isAttended(): boolean;
  /** It goes on elsewhere: what it has here is left for it there. */
  moves(): boolean;
  /** Aborted when it opens no stream any more: what is kept for it is given back. */
  readonly over: AbortSignal;
  /** It has to wait, or its place has changed; undefined when it waits no longer. Must not throw. */
  queued(place: LinePlace | undefined): void;
}

/** Suggested to those who found the line full, or left it unserved, in milliseconds. */
const RETRY_AFTER_MS = 5_000;

/** There was no stream for a session, and will be none soon. Another try of the same session would be as long. */
export class NoStreamError extends GatewayError {
  constructor(message: string) {
    super('quota_exhausted', message, { retryAfterMs: RETRY_AFTER_MS });
  }
}
