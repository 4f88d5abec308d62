import { setTimeout as delay } from 'node:timers/promises';
import { BYTES_PER_SAMPLE, CHUNK_BYTES, samplesToMs } from '../protocol/audio.ts';

/** Cuts audio into chunks of 100 ms; the last one is what is left. */
export async function* chunksOf(audio: AsyncIterable<Buffer>): AsyncGenerator<Buffer, void, undefined> {
  let pending: Buffer = Buffer.alloc(0);
  for await (const piece of audio) {
    pending = pending.length === 0 ? piece : Buffer.concat([pending, piece]);
    while (pending.length >= CHUNK_BYTES) {
      yield pending.subarray(0, CHUNK_BYTES);
      pending = pending.subarray(CHUNK_BYTES);
    }
  }
  if (pending.length > 0) yield pending;
}

/** Each chunk not before all that precedes it could have been spoken. Throws an `AbortError` when it is aborted. */
export async function* atSpeedOfSpeech(
  chunks: AsyncIterable<Buffer>,
  signal: AbortSignal,
): AsyncGenerator<Buffer, void, undefined> {
  const begin = performance.now();
  let samples = 0;
  for await (const chunk of chunks) {
    // By absolute deadlines, so that the pace does not drift with each delay.
    await delay(Math.max(0, begin + samplesToMs(samples) - performance.now()), undefined, { signal });
    yield chunk;
    samples += chunk.length / BYTES_PER_SAMPLE;
  }
}
