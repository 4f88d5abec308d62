import { createHash } from 'node:crypto';
import { expect, it } from 'vitest';
import { isSameHash } from '../../src/same-hash.ts';

const hash = (text: string) => createHash('sha256').update(text).digest();

it('two hashes are the same if every byte is, and if there are as many', () => {
  expect(isSameHash(hash('a'), hash('a'))).toBe(true);
  expect(isSameHash(hash('a'), hash('b'))).toBe(false);
  expect(isSameHash(hash('a'), hash('a').subarray(1))).toBe(false);
});
