import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { EngineResult } from '../../../src/engines/engine.ts';
import { Timeline } from '../../../src/session/timeline.ts';

function final(startSample: number, endSample: number, more: Partial<EngineResult> = {}): EngineResult {
  return { resultId: 'r', isPartial: false, text: 'words', startSample, endSample, ...more };
}

describe('Timeline', () => {
  it('moves results by the position at which their stream was opened', () => {
    const timeline = new Timeline();
    timeline.openStream(1000);
    const items = [{ content: 'words', type: 'word', startSample: 10, endSample: 20 } as const];
    expect(timeline.place(final(5, 25, { items }), 5000)).toMatchObject({
      startSample: 1005,
      endSample: 1025,
      items: [{ startSample: 1010, endSample: 1020 }],
    });
  });

  it('clamps a final that overlaps the last one and drops one that it covers', () => {
    const timeline = new Timeline();
    timeline.place(final(0, 100), 1000);
    expect(timeline.place(final(50, 150), 1000)).toMatchObject({ startSample: 100, endSample: 150 });
    expect(timeline.place(final(20, 150), 1000)).toBeUndefined();
  });

  it('places nothing beyond the audio received', () => {
    expect(new Timeline().place(final(0, 900), 800)).toMatchObject({ endSample: 800 });
  });

  it('places nothing before audio that was given up', () => {
    const timeline = new Timeline();
    timeline.skipTo(500);
    expect(timeline.place(final(0, 400), 1000)).toBeUndefined();
    expect(timeline.place(final(400, 600), 1000)).toMatchObject({ startSample: 500 });
  });

  it('never runs backwards and never overlaps, whatever engines say', () => {
    const step = fc.oneof(
      fc.record({
        kind: fc.constant('result' as const),
        isPartial: fc.boolean(),
        range: fc.tuple(fc.nat(5000), fc.nat(5000)),
        items: fc.array(fc.tuple(fc.nat(6000), fc.nat(6000)), { maxLength: 4 }),
      }),
      fc.record({ kind: fc.constant('open' as const), position: fc.nat(5000) }),
      fc.record({ kind: fc.constant('skip' as const), position: fc.nat(5000) }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), fc.nat(8000), (steps, head) => {
        const timeline = new Timeline();
        let end = 0;
        for (const one of steps) {
          if (one.kind === 'open') timeline.openStream(one.position);
          else if (one.kind === 'skip') {
            timeline.skipTo(one.position);
            end = Math.max(end, one.position);
          } else {
            const [a, b] = one.range;
            const items = one.items.map(([x, y]) => ({
              content: 'w',
              type: 'word' as const,
              startSample: Math.min(x, y),
              endSample: Math.max(x, y),
            }));
            const placed = timeline.place(
              final(Math.min(a, b), Math.max(a, b), { isPartial: one.isPartial, items }),
              head,
            );
            if (placed === undefined) continue;
            expect(placed.startSample).toBeGreaterThanOrEqual(end);
            expect(placed.endSample).toBeGreaterThan(placed.startSample - 1);
            expect(placed.endSample).toBeLessThanOrEqual(head);
            for (const item of placed.items ?? []) {
              expect(item.startSample).toBeGreaterThanOrEqual(placed.startSample);
              expect(item.endSample).toBeLessThanOrEqual(placed.endSample);
              expect(item.endSample).toBeGreaterThanOrEqual(item.startSample);
            }
            if (!placed.isPartial) end = placed.endSample;
          }
        }
      }),
    );
  });

  it('keeps the finals of two channels apart', () => {
    const timeline = new Timeline();
    expect(timeline.place(final(0, 1000, { channel: 0 }), 5000)).toMatchObject({ startSample: 0, endSample: 1000 });
    expect(timeline.place(final(200, 900, { channel: 1 }), 5000)).toMatchObject({ startSample: 200, endSample: 900 });
    expect(timeline.place(final(500, 1500, { channel: 1 }), 5000)).toMatchObject({ startSample: 900, endSample: 1500 });
    expect(timeline.place(final(500, 1000, { channel: 0 }), 5000)).toBeUndefined();
    timeline.skipTo(2000);
    expect(timeline.place(final(1500, 2000, { channel: 1 }), 5000)).toBeUndefined();
  });

  it('moves entities as it moves words', () => {
    const timeline = new Timeline();
    timeline.openStream(100);
    const entity = { startSample: 10, endSample: 20, category: 'PII', type: 'NAME', content: 'x' };
    expect(timeline.place(final(0, 50, { entities: [entity] }), 5000)?.entities).toEqual([
      { ...entity, startSample: 110, endSample: 120 },
    ]);
  });
});

describe('Timeline with audio that was cut', () => {
  function cutTwice(): Timeline {
    const timeline = new Timeline();
    timeline.openStream(1_000);
    timeline.cut(500, 10_000);
    timeline.cut(800, 2_000);
    timeline.cut(800, 3_000);
    return timeline;
  }

  it('moves what is said after a cut by what was cut before it', () => {
    const timeline = cutTwice();
    expect(timeline.place(final(100, 400), 99_999)).toMatchObject({ startSample: 1_100, endSample: 1_400 });
    expect(timeline.place(final(600, 700), 99_999)).toMatchObject({ startSample: 11_600, endSample: 11_700 });
    expect(timeline.place(final(900, 950), 99_999)).toMatchObject({ startSample: 16_900, endSample: 16_950 });
  });

  it('lets a result end before a cut that follows it, and begin after one that precedes it', () => {
    const timeline = cutTwice();
    expect(timeline.place(final(300, 500), 99_999)).toMatchObject({ startSample: 1_300, endSample: 1_500 });
    expect(timeline.place(final(500, 800), 99_999)).toMatchObject({ startSample: 11_500, endSample: 11_800 });
  });

  it('places words and marks of a result on either side of a cut in it', () => {
    const items = [
      { content: 'one', type: 'word', startSample: 400, endSample: 500 },
      { content: ',', type: 'punctuation', startSample: 500, endSample: 500 },
      { content: 'two', type: 'word', startSample: 500, endSample: 600 },
    ] as const;
    expect(cutTwice().place(final(400, 600, { items }), 99_999)?.items).toMatchObject([
      { startSample: 1_400, endSample: 1_500 },
      { startSample: 1_500, endSample: 1_500 },
      { startSample: 11_500, endSample: 11_600 },
    ]);
  });

  it('begins anew with the next stream', () => {
    const timeline = cutTwice();
    timeline.openStream(50_000);
    expect(timeline.place(final(900, 950), 99_999)).toMatchObject({ startSample: 50_900, endSample: 50_950 });
  });

  it('forgets cuts of long ago only', () => {
    const timeline = new Timeline();
    for (let nth = 1; nth <= 5_000; nth++) timeline.cut(nth * 10, 100);
    expect(timeline.place(final(49_990, 49_995), 9_999_999)).toMatchObject({ startSample: 49_990 + 499_900 });
  });
});
