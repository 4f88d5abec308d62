const FIRST_MS = 250;
const LONGEST_MS = 30_000;

/** A worker that served this long was healthy: the next failure starts with the shortest delay again. */
export const HEALTHY_AFTER_MS = 60_000;

/**
 * How long to wait before a worker is started again, in milliseconds. Doubles with each failure; the jitter keeps
 * workers that died together, of one cause, from starting together.
 */
export function respawnDelayMs(failures: number, random: () => number = Math.random): number {
  return Math.min(LONGEST_MS, FIRST_MS * 2 ** failures) * (0.5 + random() / 2);
}
