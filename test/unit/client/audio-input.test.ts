import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { AudioInput } from '../../../src/client/audio-input.ts';
import { TranscriptionError } from '../../../src/client/errors.ts';

const MONO = { sampleRate: 16_000, channels: 1 } as const;
const STEREO = { sampleRate: 16_000, channels: 2 } as const;

function samplesOf(chunks: readonly Uint8Array[]): number[] {
  return chunks.flatMap((chunk) => [...new Int16Array(chunk.slice().buffer)]);
}

describe('audio input', () => {
  it('joins and cuts to chunks of 100 ms, and flushes what is left', () => {
    const input = new AudioInput(MONO);
    expect(input.push(new Int16Array(1_000))).toEqual([]);
    expect(input.push(new Int16Array(2_300)).map((chunk) => chunk.length)).toEqual([3_200, 3_200]);
    expect(input.flush().map((chunk) => chunk.length)).toEqual([200]);
    expect(input.flush()).toEqual([]);
  });

  it('takes bytes cut anywhere, and drops half a sample at the end', () => {
    const bytes = Uint8Array.from({ length: 10_001 }, (_, n) => n);
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 4_000 }), { maxLength: 10 }), (cuts) => {
        const input = new AudioInput(MONO);
        const chunks: Uint8Array[] = [];
        let at = 0;
        for (const length of [...cuts, bytes.length]) {
          chunks.push(...input.push(bytes.subarray(at, at + length)));
          at += length;
        }
        chunks.push(...input.flush());
        expect(Buffer.concat(chunks).equals(bytes.subarray(0, 10_000))).toBe(true);
      }),
      { seed: 7 },
    );
  });

  it('takes all kinds of the same audio alike', () => {
    const samples = Int16Array.from({ length: 1_600 }, (_, n) => n * 20 - 16_000);
    const floats = Float32Array.from(samples, (sample) => sample / 32_767);
    const buffer = Buffer.from(samples.buffer);
    for (const audio of [samples, floats, buffer, samples.buffer, new Uint8Array(samples.buffer)]) {
      expect(samplesOf(new AudioInput(MONO).push(audio))).toEqual([...samples]);
    }
  });

  it('keeps nothing of the array that it was given', () => {
    const audio = new Int16Array(1_600).fill(5);
    const [chunk] = new AudioInput(MONO).push(audio);
    audio.fill(9);
    expect(samplesOf(chunk === undefined ? [] : [chunk])[0]).toBe(5);
  });

  it('clips what is too loud', () => {
    const chunks = new AudioInput(MONO).push(new Float32Array(1_600).fill(-3));
    expect(new Set(samplesOf(chunks))).toEqual(new Set([-32_767]));
  });

  it('resamples to the rate of the session, over calls', () => {
    const input = new AudioInput(MONO);
    const chunks: Uint8Array[] = [];
    for (let n = 0; n < 375; n += 1) chunks.push(...input.push(new Float32Array(128).fill(0.5), 48_000));
    chunks.push(...input.flush());
    const samples = samplesOf(chunks);
    expect(samples).toHaveLength(16_000);
    expect(samples.slice(200, -200).every((sample) => Math.abs(sample - 16_384) < 5)).toBe(true);
  });

  it('resamples each channel by itself', () => {
    const input = new AudioInput(STEREO);
    const audio = Float32Array.from({ length: 9_600 }, (_, n) => (n % 2 === 0 ? 0.5 : -0.25));
    const samples = samplesOf([...input.push(audio, 48_000), ...input.flush()]);
    expect(samples).toHaveLength(3_200);
    expect(samples.slice(1_600, 1_602).map((sample) => Math.round(sample / 100))).toEqual([164, -82]);
  });

  it('goes on at another rate without a sample lost', () => {
    const input = new AudioInput(MONO);
    const chunks = [...input.push(new Float32Array(4_800), 48_000), ...input.push(new Float32Array(4_410), 44_100)];
    chunks.push(...input.push(new Int16Array(1_600)), ...input.flush());
    expect(samplesOf(chunks)).toHaveLength(4_800);
  });

  it('refuses what it cannot understand by name', () => {
    const input = new AudioInput(MONO);
    expect(() => input.push('base64' as never)).toThrow(TranscriptionError);
    expect(() => input.push(new Uint8Array(2), 48_000)).toThrow(/must have the sample rate of the session/);
    expect(() => input.push(new Float32Array(2), 0)).toThrow(/a sample rate is/);
    expect(() => new AudioInput(STEREO).push(new Float32Array(3), 48_000)).toThrow(/whole number of frames/);
  });
});
