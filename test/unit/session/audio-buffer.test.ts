import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { AudioBuffer } from '../../../src/session/audio-buffer.ts';

/** Audio in which each sample holds its own position (modulo 30,000, and loud). */
function numbered(from: number, samples: number): Buffer {
  const audio = Buffer.alloc(samples * 2);
  for (let i = 0; i < samples; i++) audio.writeInt16LE(((from + i) % 30_000) + 100, i * 2);
  return audio;
}

const silent = (samples: number) => Buffer.alloc(samples * 2);

describe('AudioBuffer', () => {
  it('gives every sample once and in order, for any sizes of chunks, reads, finals and breaks', () => {
    const action = fc.oneof(
      fc.record({ do: fc.constant('append' as const), samples: fc.integer({ min: 1, max: 9000 }) }),
      fc.record({ do: fc.constant('read' as const), samples: fc.integer({ min: 1, max: 9000 }) }),
      fc.record({ do: fc.constant('final' as const), back: fc.nat(9000) }),
      fc.record({ do: fc.constant('break' as const) }),
    );
    fc.assert(
      fc.property(fc.array(action, { maxLength: 60 }), (actions) => {
        const buffer = new AudioBuffer(12_000);
        let covered = 0;
        for (const one of actions) {
          if (one.do === 'append') buffer.append(numbered(buffer.head, one.samples), 0);
          else if (one.do === 'read') {
            const from = buffer.cursor;
            const audio = buffer.read(one.samples);
            expect(audio.equals(numbered(from, audio.length / 2))).toBe(true);
            buffer.trim(() => true);
          } else if (one.do === 'final') {
            buffer.cover(buffer.cursor - one.back);
            covered = Math.max(covered, buffer.watermark);
          } else {
            const forgotten = buffer.rewind();
            expect(forgotten?.from ?? buffer.cursor).toBe(covered);
            expect(forgotten?.to ?? buffer.cursor).toBe(buffer.cursor);
            covered = buffer.cursor;
          }
          expect(buffer.watermark).toBeLessThanOrEqual(buffer.cursor);
          expect(buffer.cursor).toBeLessThanOrEqual(buffer.head);
          expect(buffer.fresh).toBeLessThanOrEqual(buffer.backlog);
        }
      }),
    );
  });

  it('tells on a break what it had to forget', () => {
    const buffer = new AudioBuffer(6400);
    buffer.append(numbered(0, 16_000), 0);
    buffer.read(16_000);
    buffer.trim(() => false);
    expect(buffer.rewind()).toEqual({ from: 0, to: 9600 });
    expect(buffer.rewind()).toBeUndefined();
    expect(buffer.read(100).equals(numbered(9600, 100))).toBe(true);
  });

  it('passes over silence for good where it would have to forget it, but not while words are pending', () => {
    for (const partialOpen of [false, true]) {
      const buffer = new AudioBuffer(6400);
      buffer.append(silent(16_000), 0);
      buffer.read(16_000);
      buffer.trim(() => partialOpen);
      expect(buffer.rewind()).toEqual(partialOpen ? { from: 0, to: 9600 } : undefined);
    }
  });

  it('counts as fresh only what no engine has been given', () => {
    const buffer = new AudioBuffer(100_000);
    buffer.append(numbered(0, 5000), 0);
    buffer.read(4000);
    buffer.rewind();
    expect([buffer.backlog, buffer.fresh]).toEqual([5000, 1000]);
  });

  it('knows when a sample arrived, as long as it is held', () => {
    const buffer = new AudioBuffer(100_000);
    buffer.append(numbered(0, 3200), 7);
    buffer.append(numbered(3200, 3200), 9);
    expect([0, 3199, 3200, 6399, 6400].map((at) => buffer.arrivalOf(at))).toEqual([7, 7, 9, 9, undefined]);
  });

  it('hears whether a range is silent', () => {
    const buffer = new AudioBuffer(100_000);
    buffer.append(silent(4000), 0);
    buffer.append(numbered(4000, 1), 0);
    buffer.append(silent(4000), 0);
    expect(buffer.isSilentBetween(0, 4000)).toBe(true);
    expect(buffer.isSilentBetween(0, 4001)).toBe(false);
    expect(buffer.isSilentBetween(4001, 99_999)).toBe(true);
  });

  it('does not call audio silent that it has forgotten', () => {
    const buffer = new AudioBuffer(3200);
    buffer.append(numbered(0, 6400), 0);
    buffer.append(silent(3200), 0);
    buffer.read(9600);
    buffer.trim(() => false);
    expect(buffer.isSilentBetween(6400, 9600)).toBe(true);
    expect(buffer.isSilentBetween(6399, 9600)).toBe(false);
  });

  it('covers silence up to a limit, in whole blocks, but not while words are pending', () => {
    const buffer = new AudioBuffer(100_000);
    buffer.append(silent(10_000), 0);
    buffer.append(numbered(10_000, 1000), 0);
    buffer.read(11_000);
    buffer.coverSilence(11_000, () => true);
    expect(buffer.watermark).toBe(0);
    buffer.coverSilence(6399, () => false);
    expect(buffer.watermark).toBe(3200);
    buffer.coverSilence(11_000, () => false);
    expect(buffer.watermark).toBe(9600);
  });

  describe('with two channels', () => {
    /** Left and right, each loud or silent. */
    function stereo(from: number, samples: number, left: boolean, right: boolean): Buffer {
      const audio = Buffer.alloc(samples * 4);
      for (let i = 0; i < samples; i++) {
        if (left) audio.writeInt16LE(((from + i) % 30_000) + 100, i * 4);
        if (right) audio.writeInt16LE(-((from + i) % 30_000) - 100, i * 4 + 2);
      }
      return audio;
    }

    it('has the lower watermark of both, and gives a covered channel again as silence', () => {
      const buffer = new AudioBuffer(100_000, 2);
      buffer.append(stereo(0, 9000, true, true), 0);
      expect(buffer.head).toBe(9000);
      buffer.read(9000);
      buffer.cover(2000, 0);
      expect(buffer.watermark).toBe(0);
      buffer.cover(1000, 1);
      expect(buffer.watermark).toBe(1000);
      expect(buffer.rewind()).toBeUndefined();
      expect(buffer.cursor).toBe(1000);
      const again = Buffer.concat([buffer.read(300), buffer.read(8000)]);
      expect(again.equals(Buffer.concat([stereo(1000, 1000, false, true), stereo(2000, 7000, true, true)]))).toBe(true);
    });

    it('covers the silence of one channel while the other speaks', () => {
      const buffer = new AudioBuffer(100_000, 2);
      buffer.append(stereo(0, 6400, false, true), 0);
      buffer.read(6400);
      buffer.coverSilence(6400, (channel) => channel === 1);
      buffer.cover(3200, 1);
      expect(buffer.watermark).toBe(3200);
      buffer.cover(6400, 1);
      expect(buffer.watermark).toBe(6400);
    });

    it('forgets both channels beyond its bound', () => {
      const buffer = new AudioBuffer(3200, 2);
      buffer.append(stereo(0, 9600, true, false), 0);
      buffer.read(9600);
      buffer.trim(() => false);
      expect(buffer.rewind()).toEqual({ from: 0, to: 6400 });
      expect(buffer.watermark).toBe(6400);
    });
  });
});
