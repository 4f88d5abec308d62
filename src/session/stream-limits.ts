import type { EngineCapabilities } from '../engines/engine.ts';
import type { StreamLimits } from './stream-run.ts';

/** Each stall in a row doubles the wait for the next, up to this factor: silence of an engine is weak evidence. */
const MAX_STALL_FACTOR = 8;
/** Share of the engine's own limit after which a stream without audio is parked. */
const PARK_BEFORE_LIMIT = 0.8;

/**
 * The bounds of the next stream of a session.
 * @param stalls streams in a row that stalled and made no progress
 */
export function streamLimitsOf(
  { catchUpSpeed, flushTimeoutMs, parkAfterMs, stallTimeoutMs }: StreamLimits,
  { maxSilenceMs = Number.POSITIVE_INFINITY }: Pick<EngineCapabilities, 'maxSilenceMs'>,
  stalls: number,
): StreamLimits {
  return {
    flushTimeoutMs,
    stallTimeoutMs: stallTimeoutMs * Math.min(MAX_STALL_FACTOR, 2 ** stalls),
    parkAfterMs: Math.min(parkAfterMs, maxSilenceMs * PARK_BEFORE_LIMIT),
    catchUpSpeed,
  };
}
