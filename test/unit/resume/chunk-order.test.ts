import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ChunkOrder } from '../../../src/resume/chunk-order.ts';

describe('ChunkOrder', () => {
  it('takes each chunk once and in order, whatever comes, and asks once for each gap', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 12 }), { maxLength: 80 }), (arriving) => {
        const order = new ChunkOrder({ chunk: 1, offset: 0 });
        let expected = 1;
        let told = false;
        for (const seq of arriving) {
          if (seq === expected) {
            expect(order.accepts(seq)).toBe(true);
            order.taken(10);
            expected++;
            told = false;
          } else if (seq < expected || told) {
            expect(order.accepts(seq)).toBe(false);
          } else {
            expect(() => order.accepts(seq)).toThrow(expect.objectContaining({ code: 'chunk_gap', expected }));
            told = true;
          }
        }
        expect(order.next).toEqual({ chunk: expected, offset: (expected - 1) * 10 });
      }),
    );
  });

  it('numbers the chunks of a client that does not', () => {
    const order = new ChunkOrder({ chunk: 1, offset: 0 });
    for (const samples of [100, 50]) {
      expect(order.accepts(undefined)).toBe(true);
      order.taken(samples);
    }
    expect(order.next).toEqual({ chunk: 3, offset: 150 });
    expect(order.watermarkAt(150)).toEqual({ offset: 150, chunk: 2, chunkEnd: 150 });
  });

  it('names the last chunk that a position covers, and where the next one begins', () => {
    const order = new ChunkOrder({ chunk: 5, offset: 1000 });
    expect(order.watermarkAt(1050)).toEqual({ offset: 1050, chunk: 4, chunkEnd: 1000 });
    for (let n = 0; n < 4; n++) order.taken(100);
    expect(order.watermarkAt(1099)).toEqual({ offset: 1099, chunk: 4, chunkEnd: 1000 });
    expect(order.watermarkAt(1100)).toEqual({ offset: 1100, chunk: 5, chunkEnd: 1100 });
    expect(order.watermarkAt(1350)).toEqual({ offset: 1350, chunk: 7, chunkEnd: 1300 });
  });

  it('lets a bad chunk use up its number without samples', () => {
    const order = new ChunkOrder({ chunk: 1, offset: 0 });
    order.taken(0);
    expect(order.next).toEqual({ chunk: 2, offset: 0 });
    expect(order.watermarkAt(0)).toEqual({ offset: 0, chunk: 1, chunkEnd: 0 });
  });

  it('is complete when the last chunk has come', () => {
    const order = new ChunkOrder({ chunk: 1, offset: 0 });
    order.assertComplete(undefined);
    order.assertComplete(0);
    expect(() => order.assertComplete(1)).toThrow(expect.objectContaining({ code: 'chunk_gap', expected: 1 }));
    order.taken(10);
    order.assertComplete(1);
  });
});
