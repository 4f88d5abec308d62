/** Audio facts that client and server share. Source: the version-1 wire contract. */

/** Hertz. */
export const SAMPLE_RATE = 16_000;
/** Signed 16 bit little-endian. */
export const BYTES_PER_SAMPLE = 2;
/** The longest chunk a client may send, one second, where the session has one channel at 16 kHz. */
export const MAX_CHUNK_BYTES = SAMPLE_RATE * BYTES_PER_SAMPLE;
/** What clients are asked to send and our own client sends: 100 ms. */
export const CHUNK_BYTES = MAX_CHUNK_BYTES / 10;

/** How the samples of a session come. A start request has it among its fields. */
export interface AudioFormat {
  /** Hertz. */
  readonly sampleRate: number;
  /** Interleaved. */
  readonly channels: 1 | 2;
}

/** What version 1 has, and version 2 unless it is told otherwise. */
export const MONO_16_KHZ: AudioFormat = { sampleRate: SAMPLE_RATE, channels: 1 };

/** One sample of each channel. */
export function frameBytes(format: AudioFormat): number {
  return BYTES_PER_SAMPLE * format.channels;
}

/** The longest chunk a client may send: one second. */
export function maxChunkBytes(format: AudioFormat): number {
  return format.sampleRate * frameBytes(format);
}

/** Milliseconds of a position or length in samples, rounded down to whole milliseconds. */
export function samplesToMs(samples: number, sampleRate: number = SAMPLE_RATE): number {
  return Math.floor((samples * 1000) / sampleRate);
}

/** Samples of a time in milliseconds. */
export function msToSamples(ms: number, sampleRate: number = SAMPLE_RATE): number {
  return Math.round((ms * sampleRate) / 1000);
}
