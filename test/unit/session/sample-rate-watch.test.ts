import { describe, expect, it } from 'vitest';
import { seededRandom } from '../../../src/emulator/random.ts';
import { SampleRateWatch } from '../../../src/session/sample-rate-watch.ts';

const CATCH_UP = 2;

interface Arrivals {
  /** Milliseconds of audio per millisecond. */
  readonly pace: number;
  readonly seconds: number;
  readonly chunkMs?: number;
  /** Delay of the network, at most, in milliseconds. */
  readonly jitterMs?: number;
  readonly seed?: number;
  readonly startAt?: number;
}

interface Chunk {
  readonly audioMs: number;
  readonly at: number;
}

/** Chunks as a recorder makes them, each as late as the network likes, but in order. */
function arrivals({ pace, seconds, chunkMs = 100, jitterMs = 0, seed = 1, startAt = 0 }: Arrivals): Chunk[] {
  const random = seededRandom(seed);
  const chunks: Chunk[] = [];
  let last = startAt;
  const every = chunkMs / pace;
  for (let made = every; made <= seconds * 1000; made += every) {
    last = Math.max(last, startAt + made + random() * jitterMs);
    chunks.push({ audioMs: chunkMs, at: last });
  }
  return chunks;
}

/** What was found, and how long after the first chunk, in seconds. */
function watch(chunks: readonly Chunk[], sampleRate = 16_000): { rate: number; seconds: number } | undefined {
  const one = new SampleRateWatch(sampleRate, CATCH_UP);
  const found: { rate: number; seconds: number }[] = [];
  for (const { audioMs, at } of chunks) {
    const rate = one.heard(audioMs, at);
    if (rate !== undefined) found.push({ rate, seconds: (at - (chunks[0]?.at ?? 0)) / 1000 });
  }
  expect(found.length).toBeLessThanOrEqual(1);
  return found[0];
}

describe('audio of another sample rate is found', () => {
  it.each([
    ['44.1 kHz sent as 16', 44_100, 16_000],
    ['48 kHz sent as 16', 48_000, 16_000],
    ['22.05 kHz sent as 16', 22_050, 16_000],
    ['24 kHz sent as 16', 24_000, 16_000],
    ['8 kHz sent as 16', 8_000, 16_000],
    ['11.025 kHz sent as 16', 11_025, 16_000],
    ['48 kHz sent as 44.1', 48_000, 44_100],
    ['44.1 kHz sent as 8', 44_100, 8_000],
  ])('%s', (_, real, told) => {
    for (const jitterMs of [0, 50, 200, 500]) {
      for (const chunkMs of [20, 100, 200]) {
        const chunks = arrivals({ pace: real / told, seconds: 60, jitterMs, chunkMs, seed: jitterMs + chunkMs + 1 });
        const found = watch(chunks, told);
        expect(found, `${jitterMs} ms of jitter, ${chunkMs} ms a chunk`).toMatchObject({ rate: real });
        // Heavy jitter hides it in a window now and then.
        const soon = real > told ? 15 : 35;
        if (jitterMs <= 200) expect(found?.seconds).toBeLessThan(soon);
      }
    }
  });

  it('once, however long it goes on', () => {
    expect(watch(arrivals({ pace: 3, seconds: 600 }))).toMatchObject({ rate: 48_000 });
  });

  it('also behind a burst of what was recorded before the session began', () => {
    const burst = Array.from({ length: 30 }, (_, at) => ({ audioMs: 100, at }));
    expect(watch([...burst, ...arrivals({ pace: 44_100 / 16_000, seconds: 30, startAt: 30 })])).toMatchObject({
      rate: 44_100,
    });
  });
});

describe('nothing is found in', () => {
  it('speech at its own pace, on whatever network', () => {
    for (const sampleRate of [8_000, 16_000, 44_100, 48_000]) {
      for (let seed = 1; seed <= 20; seed++) {
        const jitterMs = seed * 60;
        expect(watch(arrivals({ pace: 1, seconds: 300, jitterMs, seed }), sampleRate)).toBeUndefined();
      }
    }
  });

  it('audio that is caught up with at the speed that clients are told', () => {
    expect(
      watch([...arrivals({ pace: CATCH_UP, seconds: 60 }), ...arrivals({ pace: 1, seconds: 60, startAt: 60_000 })]),
    ).toBe(undefined);
  });

  it('a short rush at a pace that would be suspicious in the long run', () => {
    for (const pace of [1.38, 2.76, 3]) {
      const rush = arrivals({ pace, seconds: 10 });
      expect(watch([...rush, ...arrivals({ pace: 1, seconds: 60, startAt: 10_000 })])).toBeUndefined();
    }
  });

  it('a file that goes as fast as it can', () => {
    for (const pace of [8, 20, 100]) expect(watch(arrivals({ pace, seconds: 60 }))).toBeUndefined();
  });

  it('somebody who speaks half of the time, with pauses that are not sent', () => {
    const chunks: Chunk[] = [];
    for (let turn = 0; turn < 40; turn++) chunks.push(...arrivals({ pace: 1, seconds: 2.5, startAt: turn * 5_000 }));
    expect(watch(chunks)).toBeUndefined();
  });

  it('short words with short pauses that are not sent, although they come to half of the time', () => {
    const random = seededRandom(7);
    const chunks: Chunk[] = [];
    let at = 0;
    for (let turn = 0; turn < 200; turn++) {
      const seconds = 0.3 + random() * 1.4;
      chunks.push(...arrivals({ pace: 1, seconds, startAt: at }));
      at += seconds * 1000 + 300 + random() * 1_100;
    }
    expect(watch(chunks)).toBeUndefined();
  });

  it('a network that stalls and then brings all at once', () => {
    for (let seed = 1; seed <= 20; seed++) {
      const random = seededRandom(seed);
      let open = 0;
      const chunks = arrivals({ pace: 1, seconds: 300 }).map(({ audioMs, at }) => {
        if (at > open && random() < 0.02) open = at + random() * 3_000;
        return { audioMs, at: Math.max(at, open) };
      });
      expect(watch(chunks), `seed ${seed}`).toBeUndefined();
    }
  });

  it('a network that is too slow, and never slow in the same way for long', () => {
    for (let seed = 1; seed <= 20; seed++) {
      const random = seededRandom(seed);
      const chunks: Chunk[] = [];
      let pace = 0.6;
      for (let at = 0; at < 300_000; at += 100 / pace) {
        pace = Math.min(0.95, Math.max(0.3, pace + (random() - 0.5) * 0.05));
        chunks.push({ audioMs: 100, at });
      }
      expect(watch(chunks), `seed ${seed}`).toBeUndefined();
    }
  });

  it('what a client was held back for', () => {
    const one = new SampleRateWatch(16_000, CATCH_UP);
    for (const [index, { audioMs, at }] of arrivals({ pace: 3, seconds: 60 }).entries()) {
      if (index % 100 === 0) one.reset();
      expect(one.heard(audioMs, at)).toBeUndefined();
    }
  });

  it('what comes after a resume', () => {
    const one = new SampleRateWatch(16_000, CATCH_UP);
    one.end();
    for (const { audioMs, at } of arrivals({ pace: 3, seconds: 60 })) expect(one.heard(audioMs, at)).toBeUndefined();
  });
});
