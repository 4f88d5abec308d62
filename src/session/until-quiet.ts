import { setTimeout as delay } from 'node:timers/promises';
import type { Session } from './session.ts';

/** How often a session that is to end is asked whether its client is silent, in milliseconds. */
const QUIET_CHECK_MS = 20;

/** Resolves when nothing is being said in a session, it has ended, or so many milliseconds are over. */
export async function untilQuiet(session: Session, withinMs: number): Promise<void> {
  const until = performance.now() + withinMs;
  while (!session.isQuiet && performance.now() < until) {
    await Promise.race([session.ended, delay(QUIET_CHECK_MS, undefined, { ref: false })]);
  }
}
