import { describe, expect, it } from 'vitest';
import { EventGate } from '../../../src/limits/event-gate.ts';
import { TokenBucket } from '../../../src/limits/token-bucket.ts';

describe('a token bucket', () => {
  it('lets its burst pass at once, then so much in a time, and says how long the next has to wait', () => {
    const bucket = new TokenBucket(0.1, 3, 0);
    expect([1, 1, 1].map((amount) => bucket.take(amount, 0))).toEqual([0, 0, 0]);
    expect(bucket.take(1, 0)).toBe(10);
    expect(bucket.take(1, 9)).toBe(1);
    expect(bucket.take(1, 10)).toBe(0);
    expect(bucket.take(2, 10)).toBe(20);
  });

  it('takes nothing for what it refuses, and holds no more than its burst', () => {
    const bucket = new TokenBucket(0.1, 3, 0);
    expect(bucket.take(3, 1_000_000)).toBe(0);
    for (let n = 0; n < 100; n++) bucket.take(1, 1_000_000);
    expect(bucket.take(1, 1_000_010)).toBe(0);
  });

  it('lets more than the burst pass when it is full', () => {
    const bucket = new TokenBucket(1, 10, 0);
    expect(bucket.take(15, 0)).toBe(0);
    expect(bucket.take(1, 0)).toBe(6);
  });
});

describe('a gate for events', () => {
  it('takes ten seconds of audio events at once, then refuses with a wait, and cuts who goes on', () => {
    const gate = new EventGate(10, 0);
    const verdicts = Array.from({ length: 201 }, () => gate.check(true, 0));
    expect(verdicts.filter((verdict) => verdict === 'take')).toHaveLength(100);
    expect(verdicts.slice(100, 200)).toEqual(Array(100).fill({ waitMs: 100 }));
    expect(verdicts[200]).toBe('cut');
  });

  it('takes them again at the pace, and forgives what was refused', () => {
    const gate = new EventGate(10, 0);
    for (let n = 0; n < 150; n++) gate.check(true, 0);
    expect(gate.check(true, 100)).toBe('take');
    expect(gate.check(true, 100)).toEqual({ waitMs: 100 });
    for (let now = 200; now < 60_000; now += 100) {
      expect(gate.check(true, now)).toBe('take');
      expect(gate.check(true, now)).not.toBe('cut');
    }
  });

  it('keeps room for other events, however much audio comes', () => {
    const gate = new EventGate(10, 0);
    for (let n = 0; n < 150; n++) gate.check(true, 0);
    const verdicts = Array.from({ length: 11 }, () => gate.check(false, 0));
    expect(verdicts.filter((verdict) => verdict === 'take')).toHaveLength(10);
    expect(verdicts[10]).toEqual({ waitMs: 1_000 });
  });

  it('takes everything where there is no limit', () => {
    const gate = new EventGate(0, 0);
    for (let n = 0; n < 100_000; n++) expect(gate.check(true, 0)).toBe('take');
  });
});
