import { setTimeout as delay } from 'node:timers/promises';

/** @param deadline milliseconds of the monotonic clock; one that has passed is not waited for */
export async function delayUntil(deadline: number): Promise<void> {
  const ms = deadline - performance.now();
  if (ms > 0) await delay(ms);
}

/** Waits for a promise up to the deadline, and leaves no timer behind. */
export async function waitUntil(deadline: number, promise: Promise<unknown>): Promise<void> {
  const over = new AbortController();
  const timer = delay(Math.max(0, deadline - performance.now()), undefined, { signal: over.signal });
  try {
    await Promise.race([promise, timer.catch(() => undefined)]);
  } finally {
    over.abort();
  }
}
