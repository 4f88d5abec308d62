import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import type { EngineStream } from '../../../../src/engines/engine.ts';
import type { LocalEngine, LocalPoolState } from '../../../../src/engines/local/local-engine.ts';
import { collect, openStream as openStreamOf, SPEECH, startEngine, transcribe, write } from './support.ts';

/** Processes load models, on machines that may have much else to do. */
const TIMEOUT_MS = 60_000;

describe('LocalEngine', { timeout: TIMEOUT_MS }, () => {
  let engine: LocalEngine;
  const streams: EngineStream[] = [];
  const openStream: typeof openStreamOf = async (...args) => {
    const stream = await openStreamOf(...args);
    streams.push(stream);
    return stream;
  };
  beforeAll(async () => {
    engine = await startEngine({ processes: 1, sessionsPerProcess: 2 });
  }, TIMEOUT_MS);
  afterEach(async () => {
    for (const stream of streams.splice(0)) stream.abort();
    await expect.poll(() => engine.state.openStreams).toBe(0);
  });
  afterAll(() => engine.close());

  it('gives words with their times and confidence', async () => {
    const stream = await openStream(engine);
    const reading = collect(stream);
    await write(stream, SPEECH);
    stream.end();
    const final = (await reading).find(({ isPartial, text }) => !isPartial && text !== '');
    expect(final?.items?.map(({ content }) => content)).toEqual(['go', 'forward', 'ten', 'meters']);
    const [first] = final?.items ?? [];
    const last = final?.items?.at(-1);
    expect(final?.startSample).toBe(first?.startSample);
    // The end is padded by 150 ms.
    expect(final?.endSample).toBe((last?.endSample ?? 0) + 2_400);
    const confidences = final?.items?.map(({ confidence }) => confidence ?? 0) ?? [];
    expect(final?.confidence).toBeCloseTo(confidences.reduce((sum, value) => sum + value) / confidences.length);
  });

  it('frees silent audio by an empty final that leaves the last half second', async () => {
    const stream = await openStream(engine);
    const results = stream.results[Symbol.asyncIterator]();
    const writing = write(stream, Buffer.alloc(16_000 * 2 * 8));
    const { value } = await results.next();
    await writing;
    expect(value).toMatchObject({ isPartial: false, text: '', startSample: 0 });
    expect(value?.endSample).toBeGreaterThan(3 * 16_000);
    stream.abort();
  });

  it('does not hear one stream in another', async () => {
    const [spoken, silent] = await Promise.all([openStream(engine), openStream(engine)]);
    const texts = await Promise.all([transcribe(spoken, SPEECH), transcribe(silent, Buffer.alloc(SPEECH.length))]);
    expect(texts).toEqual(['go forward ten meters', '']);
  });

  it('refuses a session over capacity with numbers and a pause, but never a continuation', async () => {
    await openStream(engine);
    const second = await openStream(engine);
    await expect(openStream(engine)).rejects.toMatchObject({
      code: 'engine_unavailable',
      retryable: true,
      retryAfterMs: 1_000,
      message: expect.stringContaining('All 2 places'),
    });
    await openStream(engine, true);
    expect(engine.state.openStreams).toBe(3);
    second.abort();
    await expect(openStream(engine)).rejects.toMatchObject({ code: 'engine_unavailable' });
  });

  it('counts an open that was given up until its recogniser process is done with it', async () => {
    for (let open = 0; open < 2; open++) await startAndLeave(engine);
    await expect(openStream(engine)).rejects.toMatchObject({ message: expect.stringContaining('All 2 places') });
    await expect.poll(() => engine.state.openStreams).toBe(0);
    await openStream(engine);
  });

  it('frees the place of a stream that ended or was aborted', async () => {
    const ended = await openStream(engine);
    const aborted = await openStream(engine);
    ended.end();
    await collect(ended);
    aborted.abort();
    expect(engine.state.openStreams).toBe(0);
    await openStream(engine);
  });

  it('lets no more than a second of audio wait in the process', async () => {
    const stream = await openStream(engine);
    const second = () => Buffer.alloc(32_000);
    await stream.write(second());
    const later = stream.write(second()).then(() => 'taken');
    // A process needs about 100 ms for that second, an immediate takes none of it.
    expect(await Promise.race([later, delay(0, 'waits')])).toBe('waits');
    expect(await later).toBe('taken');
    stream.abort();
  });

  it('refuses a sample rate that it does not take', async () => {
    const opening = engine.open(
      { languageCode: 'en-US', sampleRate: 8_000, channels: 1, continuation: false },
      new AbortController().signal,
    );
    await expect(opening).rejects.toMatchObject({ code: 'unsupported_encoding' });
  });

  it('names the languages that it knows to those who ask for another', async () => {
    const opening = engine.open(
      { languageCode: 'de-DE', sampleRate: 16_000, channels: 1, continuation: false },
      new AbortController().signal,
    );
    await expect(opening).rejects.toMatchObject({
      code: 'unsupported_language',
      message: expect.stringContaining('en-US'),
    });
  });
});

describe('a LocalEngine of its own', { timeout: TIMEOUT_MS }, () => {
  let engine: LocalEngine | undefined;
  afterEach(() => engine?.close());

  it('tells its observer of streams, capacity and lag', async () => {
    const pools: LocalPoolState[] = [];
    const lags: number[] = [];
    engine = await startEngine({
      processes: 1,
      sessionsPerProcess: 2,
      observer: {
        poolChanged: (pool) => pools.push(pool),
        recogniserExited: () => {},
        audioProcessed: (lagMs) => lags.push(lagMs),
      },
    });
    await transcribe(await openStreamOf(engine), SPEECH);
    expect(pools.map(({ openStreams }) => openStreams)).toEqual([0, 1, 0]);
    expect(pools.at(-1)).toEqual({ liveProcesses: 1, capacity: 2, openStreams: 0 });
    expect(lags.length).toBeGreaterThan(10);
    expect(Math.min(...lags)).toBeGreaterThanOrEqual(0);
    await engine.close();
    expect(pools.at(-1)).toEqual({ liveProcesses: 0, capacity: 0, openStreams: 0 });
  });

  it('opens at once after many clients that started and left, and breaks a stream whose writer never waits', async () => {
    engine = await startEngine({ processes: 1, sessionsPerProcess: 1_000 });
    const opened = async () => {
      const before = performance.now();
      const stream = await openStreamOf(engine as LocalEngine);
      return { stream, took: performance.now() - before };
    };
    const first = await opened();
    for (let client = 0; client < 250; client++) await startAndLeave(engine);
    const second = await opened();
    // One recogniser may be under way and one is ours; for all clients it took as long as 250.
    expect(second.took / first.took).toBeLessThan(50);
    const { stream } = second;
    // Before it fills the memory.
    const writes = Array.from({ length: 30 }, () => stream.write(Buffer.alloc(32_000)));
    await expect(collect(stream)).rejects.toMatchObject({ code: 'internal' });
    await Promise.all(writes);
  });

  it('does not take a process for hung whose streams wait their turn to be opened', async () => {
    const hangTimeoutMs = 500;
    const exited = vi.fn();
    engine = await startEngine({
      processes: 1,
      sessionsPerProcess: 100,
      hangTimeoutMs,
      observer: { poolChanged: () => {}, recogniserExited: exited, audioProcessed: () => {} },
    });
    const before = performance.now();
    const streams = await Promise.all(Array.from({ length: 25 }, () => openStreamOf(engine as LocalEngine)));
    expect(performance.now() - before).toBeGreaterThan(hangTimeoutMs);
    expect(exited).not.toHaveBeenCalled();
    for (const stream of streams) stream.abort();
  });
});

describe('LocalEngine.start', { timeout: TIMEOUT_MS }, () => {
  it('measures a capacity on the calibration audio', async () => {
    const engine = await startEngine({ calibrationAudio: SPEECH });
    try {
      expect(engine.state.capacity).toBeGreaterThanOrEqual(1);
      expect(engine.state.capacity).toBeLessThan(1_000);
    } finally {
      await engine.close();
    }
  });
});

/** A client that starts a session and is gone before its stream is open. */
async function startAndLeave(engine: LocalEngine): Promise<void> {
  const gone = new AbortController();
  const opening = openStreamOf(engine, false, gone.signal);
  gone.abort();
  await expect(opening).rejects.toThrow();
}
