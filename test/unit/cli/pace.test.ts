import { describe, expect, it } from 'vitest';
import { atSpeedOfSpeech, chunksOf } from '../../../src/cli/pace.ts';

async function* pieces(...lengths: number[]): AsyncGenerator<Buffer> {
  for (const length of lengths) yield Buffer.alloc(length, length);
}

async function all<T>(from: AsyncIterable<T>): Promise<T[]> {
  const items: T[] = [];
  for await (const item of from) items.push(item);
  return items;
}

describe('chunks', () => {
  it('have 100 ms each, however the audio was cut, and the last one is what is left', async () => {
    const chunks = await all(chunksOf(pieces(2, 3_200, 1, 6_399)));
    expect(chunks.map((chunk) => chunk.length)).toEqual([3_200, 3_200, 3_200, 2]);
  });

  it('come no faster than speech', async () => {
    const begin = performance.now();
    const chunks = await all(atSpeedOfSpeech(pieces(3_200, 3_200, 3_200), new AbortController().signal));
    expect(chunks).toHaveLength(3);
    // The last of them begins 200 ms after the first.
    expect(performance.now() - begin).toBeGreaterThan(195);
  });

  it('end at once when they are given up', async () => {
    const abort = new AbortController();
    const reading = all(atSpeedOfSpeech(pieces(32_000_000, 3_200), abort.signal));
    abort.abort();
    await expect(reading).rejects.toMatchObject({ name: 'AbortError' });
  });
});
