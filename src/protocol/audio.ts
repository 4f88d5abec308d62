/** Audio facts that client and server share. Source: the version-1 wire contract. */

/** Hertz. */
export const SAMPLE_RATE = 16_000;
/** Signed 16 bit little-endian, mono. */
export const BYTES_PER_SAMPLE = 2;
/** The longest chunk a client may send: one second. */
export const MAX_CHUNK_BYTES = SAMPLE_RATE * BYTES_PER_SAMPLE;
/** What clients are asked to send and our own client sends: 100 ms. */
export const CHUNK_BYTES = MAX_CHUNK_BYTES / 10;

/** Milliseconds of a position or length in samples, rounded down to whole milliseconds. */
export function samplesToMs(samples: number, sampleRate: number = SAMPLE_RATE): number {
  return Math.floor((samples * 1000) / sampleRate);
}

/** Samples of a time in milliseconds. */
export function msToSamples(ms: number, sampleRate: number = SAMPLE_RATE): number {
  return Math.round((ms * sampleRate) / 1000);
}
