import { GatewayError } from '../errors.ts';
import type { ResumeRequest } from '../protocol/resume-request.ts';
import type { StartRequest } from '../protocol/start-request.ts';
import type { ChunkPosition } from '../resume/chunk-order.ts';
import type { SessionSecrets } from '../resume/tokens.ts';
import { type Claim, type ClaimedSession, StoreUnavailableError } from '../store/store.ts';
import type { SessionOrigin } from './session-options.ts';

/** Suggested to clients that the store's absence refuses. */
const STORE_RETRY_AFTER_MS = 2_000;

/** What another worker needs to go on, as it is stored. */
export interface StoredRequest {
  readonly request: StartRequest;
  readonly acks: boolean;
}

export function recordOf({ resumeHash, watchHash }: SessionSecrets, principal: string, request: string, owner: string) {
  return { principal, resumeHash, watchHash, request, owner };
}

/** Where the client's audio goes on: at the watermark's chunk, or at the oldest that the client still holds. */
export function nextChunk({ watermark }: ClaimedSession, { oldest }: ResumeRequest): ChunkPosition {
  if (watermark.chunk === undefined || watermark.chunkEnd === undefined) return oldest;
  if (oldest.chunk > watermark.chunk + 1) return oldest;
  return { chunk: watermark.chunk + 1, offset: watermark.chunkEnd };
}

/** Where a session goes on that another worker had. */
export function originOf(claimed: ClaimedSession, next: ChunkPosition): SessionOrigin {
  return {
    // Audio before the watermark is dropped; what lies between it and a later chunk is reported as a gap.
    position: Math.max(claimed.watermark.offset, next.offset),
    ends: claimed.ends,
    finals: claimed.head,
  };
}

/** Whether the session that a claim found is as its journal here has it, so that its engine stream can go on. */
export function continuesAs(
  { claim, lastSeq }: { readonly claim: Claim; readonly lastSeq: number },
  claimed: ClaimedSession,
): boolean {
  return claimed.stopped === undefined && claimed.claim.epoch === claim.epoch + 1 && claimed.head <= lastSeq;
}

export function forbidden(): GatewayError {
  return new GatewayError('forbidden', 'resume_transcription: not the token of this session.');
}

export function expired(): GatewayError {
  return new GatewayError('resume_expired', 'resume_transcription: the session is not known any more.');
}

export function refused(attempt: number): GatewayError {
  const message = 'resume_transcription: a later attempt has the session.';
  return new GatewayError('resume_refused', message, { attempt });
}

export async function withStore<T>(call: () => Promise<T>): Promise<T> {
  try {
    return await call();
  } catch (error) {
    if (!(error instanceof StoreUnavailableError)) throw error;
    throw new GatewayError('store_unavailable', 'The session store cannot be reached.', {
      retryAfterMs: STORE_RETRY_AFTER_MS,
      cause: error,
    });
  }
}
