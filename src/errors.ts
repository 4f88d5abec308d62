import { ERROR_CODES, type ErrorCode } from './protocol/error-codes.ts';

interface GatewayErrorOptions {
  /** Overrides the default of the code. */
  retryable?: boolean | undefined;
  /** Earliest sensible retry, in milliseconds. */
  retryAfterMs?: number | undefined;
  /** Of `chunk_gap`: number of the chunk that must come next. */
  expected?: number | undefined;
  /** Of `resume_refused`: the attempt that holds the session. */
  attempt?: number | undefined;
  cause?: unknown;
}

/**
 * An error that carries its decision: callers branch on `code` and `retryable`, never on the message.
 * The message is meant for the client's developer and therefore must not hold secrets or paths.
 */
export class GatewayError extends Error {
  override readonly name = 'GatewayError';
  readonly code: ErrorCode;
  readonly retryable: boolean;
  readonly retryAfterMs: number | undefined;
  readonly expected: number | undefined;
  readonly attempt: number | undefined;

  constructor(code: ErrorCode, message: string, options: GatewayErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.retryable = options.retryable ?? ERROR_CODES[code].retryable;
    this.retryAfterMs = options.retryAfterMs;
    this.expected = options.expected;
    this.attempt = options.attempt;
  }
}

/** About how long a balancer takes to hear that a gateway drains, in milliseconds. */
const DRAINING_RETRY_MS = 500;

/** What everybody is told who comes while this gateway goes. */
export function drainingError(): GatewayError {
  const message = 'This gateway is shutting down; connect again.';
  return new GatewayError('draining', message, { retryAfterMs: DRAINING_RETRY_MS });
}

/** Returns `error` itself if it is one of ours, otherwise an `internal` error that keeps it as its cause. */
export function toGatewayError(error: unknown): GatewayError {
  if (error instanceof GatewayError) return error;
  return new GatewayError('internal', 'The gateway met an unexpected fault.', { cause: error });
}
