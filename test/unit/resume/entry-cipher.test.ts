import { randomBytes } from 'node:crypto';
import { expect, it } from 'vitest';
import { openEntry, sealEntry } from '../../../src/resume/entry-cipher.ts';

const PLACE = { sessionId: 'session', seq: 1, startSample: 0, endSample: 16_000 };

it('a sealed entry holds no memory but its own', () => {
  const key = randomBytes(32);
  const sealed = sealEntry(key, PLACE, Buffer.from('well said'));
  expect(openEntry(key, PLACE, sealed).toString()).toBe('well said');
  expect(sealed.buffer.byteLength).toBe(sealed.length);
});
