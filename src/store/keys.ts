import { tagOf } from './session-id.ts';

/**
 * The keys of a session. Both carry its tag in braces, which is what a cluster hashes: so they are in one slot, together
 * with those of every other session of the same start key, and one script may touch them all.
 */
export interface SessionKeys {
  readonly record: string;
  readonly start: string;
}

/** @param sessionId one that `isSessionId` has let pass: braces in it would move the keys to other slots */
export function keysOf(prefix: string, sessionId: string): SessionKeys {
  const tag = `${prefix}{${tagOf(sessionId)}}`;
  return { record: `${tag}:${sessionId.slice(tagOf(sessionId).length + 1)}`, start: `${tag}:start` };
}

/** The session that a record belongs to. */
export function sessionIdOf(prefix: string, record: string): string {
  return record.slice(prefix.length + 1).replace('}:', '.');
}

/** The keys of the ledger of quotas, in one slot of a cluster. */
export function quotaKeysOf(prefix: string) {
  const tag = `${prefix}{quota}`;
  return {
    slots: `${tag}:slots`,
    line: `${tag}:line`,
    starts: `${tag}:starts`,
    freed: `${tag}:freed`,
    workers: `${tag}:workers`,
  };
}
