import { ERROR_CODES, type ErrorCode } from '../protocol/error-codes.ts';
import type { ErrorEvent } from '../protocol/events.ts';

/** Faults that only the client can see, beside the codes of the gateway. */
const CLIENT_CODES = {
  /** The gateway cannot be reached, or the connection broke. */
  unreachable: true,
  /** The gateway is connected and does not answer. */
  no_answer: true,
  /** The `token` function failed. */
  token_failed: true,
  /** The server speaks version 1 only. */
  unsupported_server: false,
  /** Another device goes on with the session. */
  taken_over: false,
  /** A reader of the entries was too slow, and its bounded queue is full. */
  reader_overflow: false,
  /** The platform has no source of random numbers; the message says what to install. */
  no_random: false,
  /** A call that makes no sense in the present state, or with such an argument. */
  bad_usage: false,
  /** `close()` was called. */
  closed: false,
} as const;

export type TranscriptionErrorCode = ErrorCode | keyof typeof CLIENT_CODES;

interface TranscriptionErrorOptions {
  readonly retryable?: boolean | undefined;
  readonly retryAfterMs?: number | undefined;
  readonly connectionId?: string | undefined;
  readonly sessionId?: string | undefined;
  readonly cause?: unknown;
}

/** Every fault that the library reports. Branch on `code` and `retryable`, never on the message. */
export class TranscriptionError extends Error {
  override readonly name = 'TranscriptionError';
  /** A code of the gateway's table or one of the client's own. */
  readonly code: TranscriptionErrorCode;
  /** Whether the same can succeed later. While a transcription runs, the library retries such faults by itself. */
  readonly retryable: boolean;
  /** Earliest sensible retry, in milliseconds. */
  readonly retryAfterMs: number | undefined;
  /** What the gateway's log calls the connection and the session, where the gateway says so. */
  readonly connectionId: string | undefined;
  readonly sessionId: string | undefined;

  constructor(code: TranscriptionErrorCode, message: string, options: TranscriptionErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.retryable = options.retryable ?? retryableByDefault(code);
    this.retryAfterMs = options.retryAfterMs;
    this.connectionId = options.connectionId;
    this.sessionId = options.sessionId;
  }
}

function retryableByDefault(code: TranscriptionErrorCode): boolean {
  return code in CLIENT_CODES
    ? CLIENT_CODES[code as keyof typeof CLIENT_CODES]
    : ERROR_CODES[code as ErrorCode].retryable;
}

/** An `error` event of a gateway. A code that this version does not know counts as `internal`, as retryable as it says. */
export function errorOf(event: Partial<ErrorEvent>): TranscriptionError {
  const { code, message = 'The gateway reported a fault.', retryable, retry_after_ms: retryAfterMs } = event;
  const { connection_id: connectionId, session_id: sessionId } = event;
  const known = code !== undefined && code in ERROR_CODES ? code : 'internal';
  return new TranscriptionError(known, message, { retryable, retryAfterMs, connectionId, sessionId });
}
