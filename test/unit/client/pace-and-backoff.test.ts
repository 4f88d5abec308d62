import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Backoff } from '../../../src/client/backoff.ts';
import { Pacer } from '../../../src/client/pacer.ts';

describe('the backoff', () => {
  it('doubles up to its bound, and begins again when the connection was good', () => {
    const backoff = new Backoff({ initialMs: 100, maxMs: 1_000, jitter: 0 });
    expect([1, 2, 3, 4, 5, 6].map(() => backoff.next())).toEqual([100, 200, 400, 800, 1_000, 1_000]);
    backoff.reset();
    expect(backoff.next()).toBe(100);
  });

  it('spreads its waits over the share that is random', () => {
    const waits = [0, 0.5, 0.998].map((random) => new Backoff({ initialMs: 1_000, jitter: 0.5 }, () => random).next());
    expect(waits).toEqual([1_000, 750, 501]);
  });

  it('waits for as long as the server asks, and rather longer', () => {
    expect(new Backoff({ jitter: 0 }).next(5_000)).toBe(5_000);
    expect(new Backoff({ jitter: 1 }, () => 1).next(5_000)).toBe(6_250);
  });
});

describe('the pacer', () => {
  it('lets a second go at once and then keeps to its speed', () => {
    const pacer = new Pacer(16_000, 2, 0);
    expect(pacer.take(16_000, 0)).toBe(0);
    expect(pacer.take(1_600, 0)).toBe(50);
    expect(pacer.take(1_600, 49)).toBe(1);
    expect(pacer.take(1_600, 50)).toBe(0);
  });

  it('never lets more go than its speed and its burst allow', () => {
    const step = fc.record({ ms: fc.integer({ min: 0, max: 400 }), samples: fc.integer({ min: 1, max: 16_000 }) });
    fc.assert(
      fc.property(fc.array(step), fc.integer({ min: 1, max: 5 }), (steps, speed) => {
        const pacer = new Pacer(16_000, speed, 0);
        let now = 0;
        let sent = 0;
        for (const { ms, samples } of steps) {
          now += ms;
          const wait = pacer.take(samples, now);
          if (wait === 0) sent += samples;
          else expect(pacer.take(samples, now + wait)).toBe(0);
          if (wait > 0) {
            now += wait;
            sent += samples;
          }
          expect(sent).toBeLessThanOrEqual(16_000 + now * 16 * speed + 1);
        }
      }),
      { seed: 7 },
    );
  });
});
