import { GatewayError, toGatewayError } from '../../errors.ts';

/** A `GatewayError` on its way to another process. */
export type SentError = Pick<
  GatewayError,
  'code' | 'message' | 'retryable' | 'retryAfterMs' | 'expected' | 'attempt' | 'cause'
>;

/** Any error in a form that can be sent; one that is none of ours becomes an `internal` one, as everywhere. */
export function toSentError(thrown: unknown): SentError {
  const { attempt, cause, code, expected, message, retryable, retryAfterMs } = toGatewayError(thrown);
  return { code, message, retryable, retryAfterMs, expected, attempt, cause: copyOf(cause) };
}

export function fromSentError({ code, message, ...options }: SentError): GatewayError {
  return new GatewayError(code, message, options);
}

/** What a log needs of a cause. What else hangs on it, its own cause too, may be something that cannot be sent. */
function copyOf(cause: unknown): Error | undefined {
  if (!(cause instanceof Error)) return undefined;
  const copy = new Error(cause.message);
  if (cause.stack !== undefined) copy.stack = cause.stack;
  return copy;
}
