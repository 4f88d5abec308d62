/** Zero crossings of the filter on each side: the passband ends near 90% of the lower of both Nyquist frequencies. */
const ZERO_CROSSINGS = 32;
/** Share of the lower Nyquist frequency at which the filter has fallen by half; above it aliasing would begin. */
const CUTOFF = 0.94;
/** Shape of the Kaiser window: 90 dB of suppression. */
const KAISER_BETA = 9;
/** Positions between two input samples for which the filter is worked out; odd pairs of rates use the nearest. */
const MAX_PHASES = 512;

/**
 * Changes the sample rate of one channel by a windowed-sinc low-pass filter, with its state kept between calls: cutting
 * the input anywhere gives the same output. Output sample n stands for the same instant as input sample n × from / to.
 */
export class Resampler {
  readonly #from: number;
  readonly #to: number;
  readonly #phases: Float32Array[];
  /** Input samples on each side of an output sample that take part in it. */
  readonly #reach: number;
  /** Input that is still needed; begins with silence before the first sample. */
  #held: Float32Array;
  /** Where the next output sample lies: whole input samples into `#held`, and the rest in parts of `#to`. */
  #at: number;
  #rest = 0;

  /**
   * @param from hertz of the input
   * @param to hertz of the output
   */
  constructor(from: number, to: number) {
    const divisor = greatestDivisor(from, to);
    this.#from = from / divisor;
    this.#to = to / divisor;
    const scale = Math.min(1, to / from) * CUTOFF;
    this.#reach = Math.ceil(ZERO_CROSSINGS / scale);
    const count = Math.min(this.#to, MAX_PHASES);
    this.#phases = Array.from({ length: count + 1 }, (_, phase) => kernel(phase / count, scale, this.#reach));
    this.#held = new Float32Array(this.#reach);
    this.#at = this.#reach;
  }

  /** Takes samples and returns those of the output that they complete. */
  push(input: Float32Array): Float32Array {
    const samples = new Float32Array(this.#held.length + input.length);
    samples.set(this.#held);
    samples.set(input, this.#held.length);
    const available = samples.length - this.#reach - this.#at;
    const room = Math.max(0, Math.ceil((available * this.#to) / this.#from) + 1);
    const output = new Float32Array(room);
    let made = 0;
    while (this.#at + this.#reach < samples.length) {
      output[made] = this.#valueAt(samples);
      made += 1;
      this.#rest += this.#from;
      this.#at += Math.floor(this.#rest / this.#to);
      this.#rest %= this.#to;
    }
    const unused = Math.min(this.#at - this.#reach, samples.length);
    this.#held = samples.slice(unused);
    this.#at -= unused;
    return output.subarray(0, made);
  }

  /** The last samples, whose filter reaches past the end. Begins anew afterwards. */
  flush(): Float32Array {
    const last = this.push(new Float32Array(this.#reach)).slice();
    this.#held = new Float32Array(this.#reach);
    this.#at = this.#reach;
    this.#rest = 0;
    return last;
  }

  #valueAt(samples: Float32Array): number {
    const count = this.#phases.length - 1;
    const taps = this.#phases[Math.round((this.#rest / this.#to) * count)] as Float32Array;
    const first = this.#at - this.#reach + 1;
    let sum = 0;
    for (let tap = 0; tap < taps.length; tap += 1) sum += (taps[tap] as number) * (samples[first + tap] as number);
    return sum;
  }
}

/** The filter for an output sample that lies `phase` after an input sample; the taps sum to 1, so that level stays. */
function kernel(phase: number, scale: number, reach: number): Float32Array {
  const taps = Float64Array.from({ length: 2 * reach }, (_, tap) => {
    const distance = tap - (reach - 1) - phase;
    const x = Math.PI * distance * scale;
    const sinc = x === 0 ? 1 : Math.sin(x) / x;
    const edge = distance / reach;
    return Math.abs(edge) >= 1 ? 0 : sinc * bessel(KAISER_BETA * Math.sqrt(1 - edge * edge));
  });
  const sum = taps.reduce((total, tap) => total + tap, 0);
  return Float32Array.from(taps, (tap) => tap / sum);
}

/** The modified Bessel function of order zero, which the Kaiser window is made of. */
function bessel(x: number): number {
  let term = 1;
  let sum = 1;
  for (let n = 1; term > sum * 1e-12; n += 1) {
    term *= (x / (2 * n)) ** 2;
    sum += term;
  }
  return sum;
}

function greatestDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestDivisor(b, a % b);
}
