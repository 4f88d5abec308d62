import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { EntrySequence } from '../../../src/client/sequence.ts';

const entry = (seq: number, more: object = {}) => ({
  seq,
  epoch: 1,
  end: seq * 100,
  coversMissing: false,
  replayed: false,
  ...more,
});

describe('the sequence of entries', () => {
  it('delivers each number once and in order', () => {
    const sequence = new EntrySequence();
    expect([1, 1, 3, 2, 1, 3].map((seq) => sequence.take(entry(seq)))).toEqual([
      'deliver',
      'drop',
      'skipped',
      'deliver',
      'drop',
      'deliver',
    ]);
    expect([sequence.lastSeq, sequence.lastEnd]).toEqual([3, 300]);
  });

  it('lets one gap stand for numbers that were trimmed', () => {
    const sequence = new EntrySequence();
    expect(sequence.take(entry(7, { coversMissing: true }))).toBe('deliver');
    expect(sequence.take(entry(7))).toBe('drop');
    expect(sequence.take(entry(8))).toBe('deliver');
  });

  it('drops what a replaced owner says, except what it said to the journal', () => {
    const sequence = new EntrySequence();
    sequence.sawEpoch(3);
    expect(sequence.take(entry(1, { epoch: 2 }))).toBe('drop');
    expect(sequence.take(entry(1, { epoch: 2, replayed: true }))).toBe('deliver');
    expect(sequence.epoch).toBe(3);
    expect(sequence.take(entry(2, { epoch: 4 }))).toBe('deliver');
    expect(sequence.epoch).toBe(4);
  });

  it('takes a partial for news only after the last entry and from the present owner', () => {
    const sequence = new EntrySequence();
    sequence.take(entry(1, { epoch: 2 }));
    expect(sequence.isFresh({ epoch: 2, afterSeq: 1 })).toBe(true);
    expect(sequence.isFresh({ epoch: undefined, afterSeq: undefined })).toBe(true);
    expect(sequence.isFresh({ epoch: 2, afterSeq: 0 })).toBe(false);
    expect(sequence.isFresh({ epoch: 1, afterSeq: 1 })).toBe(false);
  });

  it('delivers every number exactly once, whatever is repeated and left out, if a resume fills the holes', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 30 }), { maxLength: 200 }), (numbers) => {
        const sequence = new EntrySequence();
        const delivered: number[] = [];
        const give = (seq: number, replayed: boolean) => {
          const verdict = sequence.take(entry(seq, { replayed }));
          if (verdict === 'deliver') delivered.push(seq);
          return verdict;
        };
        for (const number of numbers) {
          if (give(number, false) !== 'skipped') continue;
          for (let seq = sequence.lastSeq; seq <= number; seq += 1) give(seq, true);
        }
        expect(delivered).toEqual(Array.from({ length: Math.max(0, ...numbers) }, (_, index) => index + 1));
      }),
      { seed: 7 },
    );
  });
});
