import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Resampler } from '../../../src/client/resampler.ts';

const RATES = [8_000, 11_025, 22_050, 32_000, 44_100, 48_000, 96_000];

function sine(hertz: number, rate: number, seconds = 0.5): Float32Array {
  return Float32Array.from({ length: Math.round(rate * seconds) }, (_, n) =>
    Math.sin((2 * Math.PI * hertz * n) / rate),
  );
}

function resampled(input: Float32Array, from: number, to = 16_000): Float32Array {
  const resampler = new Resampler(from, to);
  return Float32Array.from([...resampler.push(input), ...resampler.flush()]);
}

/** Decibels relative to a sine of full scale, without the edges, where the filter meets silence. */
function levelOf(samples: Float32Array): number {
  const inner = samples.subarray(400, -400);
  const power = inner.reduce((sum, sample) => sum + sample * sample, 0) / inner.length;
  return 10 * Math.log10(2 * power + 1e-30);
}

describe('the resampler', () => {
  for (const rate of RATES) {
    it(`keeps the words' frequencies from ${rate} Hz: place, level and phase`, () => {
      for (const hertz of [100, 1_000, 3_000]) {
        const output = resampled(sine(hertz, rate, 1), rate);
        const ideal = sine(hertz, 16_000, 1);
        expect(output).toHaveLength(ideal.length);
        const error = output.map((sample, n) => sample - (ideal[n] ?? 0));
        expect(levelOf(error)).toBeLessThan(-60);
      }
    });
  }

  it('lets nothing through that would alias', () => {
    for (const rate of [32_000, 44_100, 48_000, 96_000]) {
      for (const hertz of [8_600, 9_000, 12_000, 15_000]) {
        expect(levelOf(resampled(sine(hertz, rate), rate)), `${hertz} Hz at ${rate} Hz`).toBeLessThan(-70);
      }
    }
  });

  it('keeps the level up to 7 kHz', () => {
    expect(Math.abs(levelOf(resampled(sine(7_000, 48_000), 48_000)))).toBeLessThan(0.2);
  });

  it('takes odd pairs of rates', () => {
    expect(levelOf(resampled(sine(1_000, 44_099), 44_099))).toBeCloseTo(0, 1);
  });

  it('gives the same output however the input is cut', () => {
    const input = sine(440, 44_100, 0.05);
    const whole = resampled(input, 44_100);
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 300 }), { minLength: 1, maxLength: 60 }), (cuts) => {
        const resampler = new Resampler(44_100, 16_000);
        const parts: number[] = [];
        let at = 0;
        for (const length of [...cuts, input.length]) {
          parts.push(...resampler.push(input.subarray(at, at + length)));
          at += length;
        }
        parts.push(...resampler.flush());
        expect(Float32Array.from(parts)).toEqual(whole);
      }),
      { seed: 7, numRuns: 50 },
    );
  });

  it('begins anew after a flush', () => {
    const resampler = new Resampler(48_000, 16_000);
    const once = [...resampler.push(sine(300, 48_000, 0.02)), ...resampler.flush()];
    expect([...resampler.push(sine(300, 48_000, 0.02)), ...resampler.flush()]).toEqual(once);
  });
});
