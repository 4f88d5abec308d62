import { describe, expect, it } from 'vitest';
import { partOf, WHOLE } from '../../../src/engines/share.ts';

describe('the parts of a number', () => {
  it('add up to it, and differ by one at most', () => {
    for (const total of [0, 1, 3, 4, 7, 12, 100]) {
      for (const of of [1, 2, 3, 4, 7]) {
        const parts = Array.from({ length: of }, (_, index) => partOf(total, { index, of }));
        expect(parts.reduce((sum, part) => sum + part)).toBe(total);
        expect(Math.max(...parts) - Math.min(...parts)).toBeLessThanOrEqual(1);
      }
    }
    expect(partOf(5, WHOLE)).toBe(5);
  });
});
