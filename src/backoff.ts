/** Bounds of a growing wait, in milliseconds. */
interface BackoffBounds {
  readonly firstMs: number;
  readonly longestMs: number;
}

/** A process that served this long was healthy: the next failure starts with the shortest delay again. */
export const HEALTHY_AFTER_MS = 60_000;

/** Of processes that are started again: soon after a crash, and seldom where they die at once. */
const RESPAWN: BackoffBounds = { firstMs: 250, longestMs: 30_000 };

/**
 * How long to wait before another attempt, in milliseconds. Doubles with each failure up to the longest; the jitter over
 * the upper half keeps those that failed together, of one cause, from coming back together.
 * @param failures how many there were before this one
 */
export function backoffMs(
  failures: number,
  { firstMs, longestMs }: BackoffBounds,
  random: () => number = Math.random,
): number {
  return Math.min(longestMs, firstMs * 2 ** failures) * (0.5 + random() / 2);
}

/** How long to wait before a process is started again, in milliseconds. */
export function respawnDelayMs(failures: number, random?: () => number): number {
  return backoffMs(failures, RESPAWN, random);
}
