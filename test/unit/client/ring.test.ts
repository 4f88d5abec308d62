import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { AudioRing } from '../../../src/client/ring.ts';

const BOUNDS = { bytes: 1_000, ageMs: 1_000 };

function filled(chunks: number, bounds = BOUNDS): AudioRing {
  const ring = new AudioRing(bounds, 2);
  for (let chunk = 0; chunk < chunks; chunk += 1) ring.push(new Uint8Array(100).fill(chunk + 1), chunk);
  return ring;
}

describe('the ring of kept chunks', () => {
  it('numbers chunks from 1 and places them one after the other', () => {
    const ring = filled(3);
    expect(ring.get(2)).toMatchObject({ number: 2, offset: 50, end: 100 });
    expect(ring.get(4)).toBeUndefined();
    expect(ring.oldest).toMatchObject({ number: 1, offset: 0 });
    expect([ring.last, ring.end, ring.bytes]).toEqual([3, 150, 300]);
  });

  it('forgets whole chunks only', () => {
    const ring = filled(3);
    ring.forget(99);
    expect(ring.oldest).toMatchObject({ number: 2, offset: 50 });
    ring.forget(150);
    expect(ring.oldest).toEqual({ number: 4, offset: 150 });
  });

  it('drops the oldest beyond its bytes, and some more, and names the range', () => {
    const ring = filled(10);
    expect(ring.enforce(10)).toBeUndefined();
    ring.push(new Uint8Array(100), 10);
    expect(ring.enforce(10)).toEqual({ fromSample: 0, toSample: 100 });
    expect(ring.bytes).toBe(900);
  });

  it('drops what is too old, but never the newest chunk', () => {
    const ring = filled(3);
    expect(ring.enforce(1_001)).toEqual({ fromSample: 0, toSample: 50 });
    expect(ring.enforce(9_999)).toEqual({ fromSample: 50, toSample: 100 });
    expect(ring.enforce(9_999)).toBeUndefined();
  });

  it('holds twice as much and for any time while it is pinned', () => {
    const ring = filled(20);
    ring.pinned = true;
    expect(ring.enforce(9_999)).toBeUndefined();
    ring.push(new Uint8Array(100), 20);
    expect(ring.enforce(9_999)).toEqual({ fromSample: 0, toSample: 150 });
    ring.pinned = false;
    expect(ring.enforce(20)).toEqual({ fromSample: 150, toSample: 600 });
  });

  it('cuts the chunk in which a position lies, to the sample', () => {
    const ring = filled(3);
    ring.cutTo(60);
    expect(ring.oldest).toMatchObject({ number: 2, offset: 60, end: 100 });
    expect(ring.get(2)?.audio).toEqual(new Uint8Array(80).fill(2));
    expect(ring.bytes).toBe(180);
  });

  it('silences one channel up to a position, in copies', () => {
    const ring = new AudioRing(BOUNDS, 4);
    const given = new Uint8Array(16).fill(7);
    ring.push(given, 0);
    ring.push(new Uint8Array(16).fill(7), 0);
    ring.silence(1, 6);
    const half = [7, 7, 0, 0];
    expect([...(ring.get(1)?.audio ?? [])]).toEqual([...half, ...half, ...half, ...half]);
    expect([...(ring.get(2)?.audio ?? [])]).toEqual([...half, ...half, 7, 7, 7, 7, 7, 7, 7, 7]);
    expect(given).toEqual(new Uint8Array(16).fill(7));
  });

  it('never holds more than its bounds, and what it holds is always one piece up to the end', () => {
    const action = fc.oneof(
      fc.record({ do: fc.constant('push' as const), frames: fc.integer({ min: 1, max: 60 }) }),
      fc.record({ do: fc.constant('forget' as const), share: fc.double({ min: 0, max: 1, noNaN: true }) }),
      fc.record({ do: fc.constant('cut' as const), share: fc.double({ min: 0, max: 1, noNaN: true }) }),
    );
    fc.assert(
      fc.property(fc.array(action, { maxLength: 100 }), (actions) => {
        const ring = new AudioRing(BOUNDS, 2);
        for (const [at, one] of actions.entries()) {
          if (one.do === 'push') ring.push(new Uint8Array(one.frames * 2), at * 30);
          else if (one.do === 'forget') ring.forget(Math.floor(ring.end * one.share));
          else ring.cutTo(Math.floor(ring.end * one.share));
          ring.enforce(at * 30);
          let bytes = 0;
          let { number, offset } = ring.oldest;
          for (let chunk = ring.get(number); chunk !== undefined; chunk = ring.get(number)) {
            expect(chunk).toMatchObject({ number, offset, end: offset + chunk.audio.length / 2 });
            bytes += chunk.audio.length;
            number += 1;
            offset = chunk.end;
          }
          expect([number, offset, bytes]).toEqual([ring.last + 1, ring.end, ring.bytes]);
          expect(bytes).toBeLessThanOrEqual(BOUNDS.bytes);
        }
      }),
      { seed: 7, numRuns: 200 },
    );
  });
});
