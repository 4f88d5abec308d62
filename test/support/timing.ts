import { setTimeout as delay } from 'node:timers/promises';

/** @param deadline milliseconds of the monotonic clock; one that has passed is not waited for */
export async function delayUntil(deadline: number): Promise<void> {
  const ms = deadline - performance.now();
  if (ms > 0) await delay(ms);
}
