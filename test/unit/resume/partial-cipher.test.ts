import { randomBytes } from 'node:crypto';
import { expect, it } from 'vitest';
import { openEntry } from '../../../src/resume/entry-cipher.ts';
import { openPartial, sealPartial } from '../../../src/resume/partial-cipher.ts';

const key = randomBytes(32);
const result = { startSample: 10, endSample: 20, text: 'hello' };

it('opens a partial with its key and for its place alone, and never as an entry', () => {
  const sealed = sealPartial(key, 'session', 4, result);
  expect(sealed.data.includes('hello')).toBe(false);
  expect(openPartial(key, 'session', sealed)).toEqual(result);
  for (const other of [{ afterSeq: 5 }, { startSample: 9 }, { endSample: 21 }]) {
    expect(() => openPartial(key, 'session', { ...sealed, ...other })).toThrow();
  }
  expect(() => openPartial(randomBytes(32), 'session', sealed)).toThrow();
  expect(() => openPartial(key, 'other', sealed)).toThrow();
  const place = { sessionId: 'session', seq: 4, startSample: 10, endSample: 20 };
  expect(() => openEntry(key, place, sealed.data)).toThrow();
});
