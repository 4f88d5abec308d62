import { describe, expect, it } from 'vitest';
import { StreamBill } from '../../../src/session/stream-bill.ts';

const RATE = 16_000;

function bill() {
  const counted: number[] = [];
  return { counted, bill: new StreamBill({ minimumSeconds: 15 }, RATE, (seconds) => counted.push(seconds)) };
}

describe('StreamBill', () => {
  it('counts the minimum when the stream opens, and nothing more while it is not used up', () => {
    const { bill: one, counted } = bill();
    for (let n = 0; n < 150; n++) one.given(RATE / 10);
    one.close();
    expect(counted).toEqual([15]);
  });

  it('counts each second begun when the stream ends', () => {
    const { bill: one, counted } = bill();
    one.given(15 * RATE + 1);
    expect(counted).toEqual([15]);
    one.close();
    one.close();
    expect(counted).toEqual([15, 1]);
  });

  it('is never behind by more than a step while the stream runs', () => {
    const { bill: one, counted } = bill();
    for (let n = 1; n <= 1_000; n++) {
      one.given(RATE / 10);
      const sum = counted.reduce((total, seconds) => total + seconds, 0);
      expect(Math.max(15, Math.ceil(n / 10)) - sum).toBeLessThan(10);
    }
    one.close();
    expect(counted.reduce((total, seconds) => total + seconds, 0)).toBe(100);
    expect(counted.length).toBeLessThanOrEqual(10);
  });
});
