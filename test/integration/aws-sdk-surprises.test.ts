import { setTimeout as delay } from 'node:timers/promises';
import {
  type AudioStream,
  StartStreamTranscriptionCommand,
  TranscribeStreamingClient,
  type TranscribeStreamingClientConfig,
} from '@aws-sdk/client-transcribe-streaming';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { type Emulator, startEmulator } from '../../src/emulator/emulator.ts';
import type { FaultRule } from '../../src/emulator/faults.ts';
import { CREDENTIALS, eventually } from '../unit/emulator/sdk-client.ts';

/**
 * What the stock SDK does that nobody would expect, and that the engine is built around. A test that fails after an
 * update of the SDK says which part of the engine may be simpler now, or must change. The other surprises are tests of
 * `emulator-faults.test.ts`: `send` resolves with the first event, some resets and early ends look like ends, GOAWAY, the
 * clock that is taken from the Date header, and the audio that is pulled ahead of a server that does not read.
 */
const SILENT_LOGGER = { trace() {}, debug() {}, info() {}, warn() {}, error() {} };
/** For what must not happen: many times what the SDK takes for the same where it does happen. */
const LONG_ENOUGH_MS = 300;

let emulator: Emulator;
let client: TranscribeStreamingClient;
let abort: AbortController;

afterEach(async () => {
  abort.abort();
  client.destroy();
  await emulator.close();
});

async function start(
  audio: AsyncIterable<AudioStream>,
  options: { fault?: FaultRule['fault']; config?: TranscribeStreamingClientConfig; logger?: false } = {},
) {
  const recogniser = { kind: 'coded', latency: { partialMs: 0, finalMs: { min: 0, max: 0 } } } as const;
  emulator = await startEmulator({
    recogniser,
    ...(options.fault !== undefined && { faults: [{ fault: options.fault, next: 1 }] }),
  });
  client = new TranscribeStreamingClient({
    region: 'us-east-1',
    endpoint: emulator.url,
    credentials: CREDENTIALS,
    ...(options.logger !== false && { logger: SILENT_LOGGER }),
    ...options.config,
  });
  abort = new AbortController();
  const command = new StartStreamTranscriptionCommand({
    LanguageCode: 'en-US',
    MediaEncoding: 'pcm',
    MediaSampleRateHertz: 16_000,
    AudioStream: audio,
  });
  return client.send(command, { abortSignal: abort.signal });
}

/** Endless audio at up to one chunk a millisecond, that knows how it is treated. */
function watchedAudio(failAt = Number.POSITIVE_INFINITY) {
  const seen = { pulled: 0, returned: false };
  async function* generate(): AsyncGenerator<AudioStream> {
    try {
      for (;;) {
        seen.pulled += 1;
        if (seen.pulled > failAt) throw new Error('on purpose');
        yield { AudioEvent: { AudioChunk: Buffer.alloc(3200) } };
        await delay(1);
      }
    } finally {
      seen.returned = true;
    }
  }
  return { seen, audio: generate() };
}

/** Waits until a count has stood still for a while. */
async function standstill(count: () => number): Promise<number> {
  for (let last = -1; ; await delay(100)) {
    const now = count();
    if (now === last) return now;
    last = now;
  }
}

describe('the stock SDK', () => {
  test.each<FaultRule['fault']>([
    { kind: 'disconnect', afterAudioMs: 1000 },
    { kind: 'early_end', afterAudioMs: 1000 },
  ])('goes on pulling audio after $kind, then hangs, and never returns the generator', async (fault) => {
    const { seen, audio } = watchedAudio();
    const { TranscriptResultStream } = await start(audio, { fault });
    for await (const _ of TranscriptResultStream ?? []);
    const atTheEnd = seen.pulled;
    const later = await standstill(() => seen.pulled);
    expect(later - atTheEnd).toBeGreaterThan(10);
    expect(later - atTheEnd).toBeLessThan(150);
    expect(seen.returned).toBe(false);
  });

  test('goes on pulling audio after an abort, too, and never returns the generator', async () => {
    const { seen, audio } = watchedAudio();
    await start(audio);
    abort.abort();
    const atTheEnd = seen.pulled;
    expect(await standstill(() => seen.pulled)).toBeGreaterThan(atTheEnd + 10);
    expect(seen.returned).toBe(false);
  });

  test('hangs in silence when the generator throws', async () => {
    const { audio } = watchedAudio(5);
    const { TranscriptResultStream } = await start(audio);
    const reading = (async () => {
      for await (const _ of TranscriptResultStream ?? []);
    })();
    const outcome = await Promise.race([
      reading.then(
        () => 'ended',
        () => 'failed',
      ),
      delay(LONG_ENOUGH_MS, 'hangs'),
    ]);
    expect(outcome).toBe('hangs');
    expect(emulator.usage().activeStreams).toBe(1);
  });

  test('is not stopped by leaving the loop or by destroying the client, only by an abort', async () => {
    const { audio } = watchedAudio();
    const { TranscriptResultStream } = await start(audio);
    for await (const _ of TranscriptResultStream ?? []) break;
    client.destroy();
    const before = emulator.streams()[0]?.audioEvents ?? 0;
    await eventually(() => expect(emulator.streams()[0]?.audioEvents).toBeGreaterThan(before + 20));
    expect(emulator.usage().activeStreams).toBe(1);
    abort.abort();
    await eventually(() => expect(emulator.usage().activeStreams).toBe(0));
  });

  test.each([
    ['a refused connection', { config: { endpoint: 'http://127.0.0.1:9' } }],
    ['a reset before the headers', { fault: { kind: 'reset_before_headers' } as const }],
  ])('tells %s by an error without a name or code of its own', async (_name, options) => {
    const error = await start(watchedAudio().audio, options).catch((one: unknown) => one);
    expect(error).toBeInstanceOf(Error);
    expect((error as Error).name).toBe('Error');
    expect((error as Error).message).toContain('abnormally aborted');
  });

  test('does not retry a stream, though it may, and warns on the console unless it has a logger', async () => {
    const warn = vi.spyOn(console, 'warn').mockImplementation(() => undefined);
    const fault = { kind: 'http_error', status: 503 } as const;
    const sent = start(watchedAudio().audio, { fault, logger: false, config: { maxAttempts: 3 } });
    await expect(sent).rejects.toMatchObject({ name: 'ServiceUnavailableException' });
    expect(emulator.usage()).toMatchObject({ streams: 0, faults: { http_error: 1 } });
    expect(warn.mock.calls.flat().join()).toContain('non-retryable streaming request');
    warn.mockRestore();
  });

  test('has no time-out of its own for an answer', async () => {
    const { audio } = watchedAudio();
    await start(audio);
    const handler = client.config.requestHandler as unknown as { httpHandlerConfigs(): Record<string, unknown> };
    const { disableConcurrentStreams, requestTimeout, sessionTimeout } = handler.httpHandlerConfigs();
    expect(disableConcurrentStreams).toBe(true);
    expect([requestTimeout, sessionTimeout]).toEqual([undefined, undefined]);
  });
});
