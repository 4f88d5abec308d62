import type { Reply } from './redis-link.ts';
import { StoreUnavailableError } from './store.ts';

/** The items of a list as text; those that are lists themselves are left out. */
export function texts(reply: Reply | undefined): string[] {
  if (!Array.isArray(reply)) throw unexpected();
  return (reply as readonly Reply[]).filter((item) => Buffer.isBuffer(item) || typeof item === 'number').map(String);
}

/** A fault of ours, or a stranger under our prefix: as bad as no answer, and safe to repeat. */
export function unexpected(): StoreUnavailableError {
  return new StoreUnavailableError('Redis gave an answer that is not one of the script');
}
