import { GatewayError } from '../errors.ts';
import type { Metrics } from '../metrics/metrics.ts';
import { LIMITS, type LimitName } from '../protocol/limit-codes.ts';

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
