import { timingSafeEqual } from 'node:crypto';

/** Whether two hashes of a secret are the same, in a time that does not tell how much of them is. */
export function isSameHash(a: Buffer, b: Buffer): boolean {
  return a.length === b.length && timingSafeEqual(a, b);
}
