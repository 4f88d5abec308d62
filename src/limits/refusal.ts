import { GatewayError } from '../errors.ts';
import type { Metrics } from '../metrics/metrics.ts';
import type { ErrorCode } from '../protocol/error-codes.ts';

/** Every limit that refuses, as the metrics call it, with the code that a client gets. */
const LIMITS = {
  sessions_per_user: 'sessions_exceeded',
  sessions_per_tenant: 'sessions_exceeded',
  sessions_per_token: 'sessions_exceeded',
  connections_per_address: 'connections_exceeded',
  connects_per_address: 'rate_exceeded',
  auth_failures_per_address: 'rate_exceeded',
  resume_failures_per_address: 'rate_exceeded',
  resume_failures_per_connection: 'rate_exceeded',
} as const satisfies Record<string, ErrorCode>;

export type LimitName = keyof typeof LIMITS;

/**
 * Counts a refusal and makes the error that the client gets.
 * @param message for its developer: what the limit is, and what to do
 */
export function refusal(
  metrics: Pick<Metrics, 'limitRefusalsTotal'>,
  limit: LimitName,
  message: string,
  retryAfterMs?: number,
): GatewayError {
  metrics.limitRefusalsTotal.inc({ limit });
  return new GatewayError(LIMITS[limit], message, { retryAfterMs });
}
