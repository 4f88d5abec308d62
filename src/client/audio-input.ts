import { type AudioFormat, BYTES_PER_SAMPLE, frameBytes } from '../protocol/audio.ts';
import { TranscriptionError } from './errors.ts';
import { Resampler } from './resampler.ts';

/**
 * What `send` takes. Bytes and `Int16Array` are signed 16 bit samples, little-endian; `Float32Array` has samples from
 * -1 to 1, as the Web Audio API gives them. Several channels are interleaved. Bytes may be cut anywhere.
 */
export type AudioData = Int16Array | Uint8Array | ArrayBuffer | Float32Array;

const CHUNKS_PER_SECOND = 10;
const FULL_SCALE = 32_767;
/** Below and above no recorder works, and the filter would need too many taps. */
const MIN_RATE = 4_000;
const MAX_RATE = 384_000;

/** Turns whatever the application records into chunks of 100 ms in the format of the session. */
export class AudioInput {
  readonly #format: AudioFormat;
  readonly #frameBytes: number;
  readonly #chunkBytes: number;
  #resamplers: { readonly rate: number; readonly channels: readonly Resampler[] } | undefined;
  /** What does not fill a chunk yet. */
  #held = new Uint8Array(0);

  constructor(format: AudioFormat) {
    this.#format = format;
    this.#frameBytes = frameBytes(format);
    this.#chunkBytes = Math.ceil(format.sampleRate / CHUNKS_PER_SECOND) * this.#frameBytes;
  }

  /**
   * Returns the chunks that the audio completes.
   * @param sampleRate hertz of `audio`; if it is not the session's, the audio is resampled
   * @throws TranscriptionError `bad_usage`
   */
  push(audio: AudioData, sampleRate: number = this.#format.sampleRate): Uint8Array[] {
    return this.#cut(this.#toBytes(audio, sampleRate));
  }

  /** The chunks that are left, the last one short; half a sample at the end is dropped. */
  flush(): Uint8Array[] {
    const chunks = this.#cut(this.#resampledRest());
    const whole = this.#held.length - (this.#held.length % this.#frameBytes);
    if (whole > 0) chunks.push(this.#held.slice(0, whole));
    this.#held = new Uint8Array(0);
    return chunks;
  }

  #toBytes(audio: AudioData, sampleRate: number): Uint8Array {
    if (!(sampleRate >= MIN_RATE && sampleRate <= MAX_RATE && Number.isInteger(sampleRate))) {
      throw badUsage(`a sample rate is a whole number from ${MIN_RATE} to ${MAX_RATE} hertz`);
    }
    const resample = sampleRate !== this.#format.sampleRate;
    if (isA<Float32Array>(audio, 'Float32Array')) {
      return resample ? this.#resample(audio, sampleRate) : joined(this.#resampledRest(), bytesOf(audio));
    }
    if (resample && isA<Int16Array>(audio, 'Int16Array')) {
      return this.#resample(
        Float32Array.from(audio, (sample) => sample / FULL_SCALE),
        sampleRate,
      );
    }
    if (resample)
      throw badUsage('bytes must have the sample rate of the session; give an Int16Array or a Float32Array');
    return joined(this.#resampledRest(), viewOf(audio));
  }

  #resample(audio: Float32Array, rate: number): Uint8Array {
    const { channels, sampleRate } = this.#format;
    if (audio.length % channels !== 0) throw badUsage('the samples are not a whole number of frames');
    const rest = this.#resamplers?.rate === rate ? new Uint8Array(0) : this.#resampledRest();
    this.#resamplers ??= {
      rate,
      channels: Array.from({ length: channels }, () => new Resampler(rate, sampleRate)),
    };
    const outputs = this.#resamplers.channels.map((resampler, channel) =>
      resampler.push(channelOf(audio, channel, channels)),
    );
    return joined(rest, bytesOf(interleaved(outputs)));
  }

  /** What the filters still hold of audio at another rate; they are given up. */
  #resampledRest(): Uint8Array {
    const outputs = this.#resamplers?.channels.map((resampler) => resampler.flush()) ?? [];
    this.#resamplers = undefined;
    return outputs.length === 0 ? new Uint8Array(0) : bytesOf(interleaved(outputs));
  }

  #cut(bytes: Uint8Array): Uint8Array[] {
    const all = joined(this.#held, bytes);
    const chunks: Uint8Array[] = [];
    let at = 0;
    // Copies, because the application may use its buffer again and a chunk is kept until it is acknowledged.
    for (; all.length - at >= this.#chunkBytes; at += this.#chunkBytes)
      chunks.push(all.slice(at, at + this.#chunkBytes));
    this.#held = all.slice(at);
    return chunks;
  }
}

function badUsage(fault: string): TranscriptionError {
  return new TranscriptionError('bad_usage', `send: ${fault}.`);
}

/** Arrays from another realm, such as an iframe's, are no instances of ours. */
function isA<T>(audio: unknown, name: string): audio is T {
  return Object.prototype.toString.call(audio) === `[object ${name}]`;
}

function viewOf(audio: AudioData): Uint8Array {
  if (isA<Uint8Array>(audio, 'Uint8Array') || isA<Int16Array>(audio, 'Int16Array')) {
    return new Uint8Array(audio.buffer, audio.byteOffset, audio.byteLength);
  }
  if (isA<ArrayBuffer>(audio, 'ArrayBuffer')) return new Uint8Array(audio);
  throw badUsage('audio is an Int16Array, Uint8Array, ArrayBuffer or Float32Array');
}

function bytesOf(samples: Float32Array): Uint8Array {
  const bytes = new Uint8Array(samples.length * BYTES_PER_SAMPLE);
  const view = new DataView(bytes.buffer);
  for (const [index, sample] of samples.entries()) {
    const level = Math.round(Math.min(1, Math.max(-1, sample)) * FULL_SCALE);
    view.setInt16(index * BYTES_PER_SAMPLE, level, true);
  }
  return bytes;
}

function joined(first: Uint8Array, second: Uint8Array): Uint8Array {
  if (first.length === 0) return second;
  const all = new Uint8Array(first.length + second.length);
  all.set(first);
  all.set(second, first.length);
  return all;
}

function channelOf(samples: Float32Array, channel: number, channels: number): Float32Array {
  if (channels === 1) return samples;
  return Float32Array.from(
    { length: samples.length / channels },
    (_, frame) => samples[frame * channels + channel] ?? 0,
  );
}

function interleaved(channels: readonly Float32Array[]): Float32Array {
  const [first = new Float32Array(0)] = channels;
  if (channels.length === 1) return first;
  const count = channels.length;
  return Float32Array.from(
    { length: first.length * count },
    (_, index) => channels[index % count]?.[Math.floor(index / count)] ?? 0,
  );
}
