import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { MONO_16_KHZ } from '../../../src/protocol/audio.ts';
import { AudioBuffer } from '../../../src/session/audio-buffer.ts';
import { SilenceTrimmer } from '../../../src/session/silence-trimmer.ts';
import { silence, tone } from '../../support/client.ts';

/** Samples of a time in milliseconds. */
const samples = (ms: number) => ms * 16;

function trimming() {
  const buffer = new AudioBuffer(samples(60_000));
  const trimmer = new SilenceTrimmer(buffer, MONO_16_KHZ);
  const push = (audio: Buffer) => {
    buffer.append(audio, 0);
    trimmer.hear(audio);
  };
  /** Does what is planned until nothing is; the stretches that were given, in milliseconds. */
  const give = ({ all = false, wanted = 0 } = {}) => {
    const given: [number, number][] = [];
    for (;;) {
      const plan = trimmer.plan({ all, wanted });
      buffer.skip(plan.cut);
      if (plan.give === 0) return given;
      const from = buffer.cursor;
      buffer.read(plan.give);
      const last = given.at(-1);
      if (last?.[1] === from / 16) last[1] = buffer.cursor / 16;
      else given.push([from / 16, buffer.cursor / 16]);
    }
  };
  return { buffer, give, push, trimmer };
}

describe('SilenceTrimmer', () => {
  it('gives a pause to its end where no second and more of it can be spared', () => {
    const t = trimming();
    for (const audio of [tone(500), silence(1_300), tone(500)]) t.push(audio);
    expect(t.give()).toEqual([[0, 2_300]]);
  });

  it('gives a second after a sound and 400 ms before the next one, and cuts what is between', () => {
    const t = trimming();
    for (const audio of [tone(500), silence(5_000), tone(500)]) t.push(audio);
    expect(t.give()).toEqual([
      [0, 1_500],
      [5_100, 6_000],
    ]);
  });

  it('does the same where the audio comes piece by piece and nobody knows what follows', () => {
    const t = trimming();
    const given: [number, number][] = [];
    for (const audio of [tone(500), ...Array.from({ length: 50 }, () => silence(100)), tone(500)]) {
      t.push(audio);
      given.push(...t.give());
    }
    expect(given.at(-1)?.[1]).toBe(6_000);
    expect(given.reduce((sum, [from, to]) => sum + to - from, 0)).toBe(1_500 + 900);
  });

  it('gives the beginning of a session, whatever it is', () => {
    const t = trimming();
    t.push(silence(5_000));
    expect(t.give()).toEqual([[0, 1_000]]);
    expect(t.buffer.cursor).toBe(samples(4_600));
  });

  it('gives of a pause what the engine needs, and no more', () => {
    const t = trimming();
    t.push(silence(3_000));
    t.give();
    expect(t.trimmer.plan({ all: false, wanted: 1_600 })).toMatchObject({ cut: 0, give: 1_600, isWhole: true });
    expect(t.trimmer.plan({ all: false, wanted: Number.POSITIVE_INFINITY })).toMatchObject({ give: samples(400) });
  });

  it('gives the same again after a break', () => {
    const t = trimming();
    for (const audio of [tone(500), silence(5_000), tone(500), silence(2_000)]) t.push(audio);
    const given = t.give();
    t.buffer.rewind();
    expect(t.give()).toEqual(given);
    t.buffer.cover(samples(3_000));
    t.buffer.rewind();
    expect(t.give()).toEqual([[5_100, 7_000]]);
  });

  it('passes over silence for a session without a stream, until there is a sound', () => {
    const t = trimming();
    t.push(tone(500));
    t.push(silence(3_000));
    t.give({ all: true });
    expect(t.trimmer.idle(t.buffer.cursor, false)).toBe(0);
    t.push(silence(1_000));
    expect(t.trimmer.idle(t.buffer.cursor, false)).toBe(samples(600));
    expect(t.trimmer.idle(t.buffer.cursor, true)).toBe(samples(1_000));
    t.push(tone(20));
    expect(t.trimmer.idle(t.buffer.cursor, false)).toBeUndefined();
  });

  it('gives every sound with what is around it, and cuts nothing but silence, for any audio in any pieces', () => {
    const part = fc.record({ isSound: fc.boolean(), ms: fc.integer({ min: 1, max: 4_000 }) });
    fc.assert(
      fc.property(fc.array(part, { maxLength: 8 }), fc.integer({ min: 20, max: 700 }), (parts, chunkMs) => {
        const t = trimming();
        const audio = Buffer.concat(parts.map(({ isSound, ms }) => (isSound ? tone(ms) : silence(ms))));
        const given: [number, number][] = [];
        for (let at = 0; at < audio.length; at += chunkMs * 32) {
          t.push(audio.subarray(at, at + chunkMs * 32));
          given.push(...t.give());
        }
        given.push(...t.give({ all: true }));
        let from = 0;
        for (const { isSound, ms } of parts) {
          const [first, last] = [Math.max(0, from - 380), Math.min(from + ms + 1_000, audio.length / 32)];
          for (let at = first; isSound && at < last; at += 50) {
            expect(given.some(([start, end]) => start <= at && at < end)).toBe(true);
          }
          from += ms;
        }
        expect(t.buffer.cursor).toBe(audio.length / 2);
      }),
      { numRuns: 40 },
    );
  });
});
