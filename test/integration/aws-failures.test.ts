import { createServer, type ServerHttp2Stream } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { type Emulator, startEmulator } from '../../src/emulator/emulator.ts';
import type { FaultRule } from '../../src/emulator/faults.ts';
import type { EmulatorOptions } from '../../src/emulator/options.ts';
import type { AwsEngine } from '../../src/engines/aws/aws-engine.ts';
import { createLogger } from '../../src/log.ts';
import { awsEngine, FRAME_PATHS, type FramePath, openStream, readAll, writeAll } from '../support/aws-engine.ts';
import { audioChunks, codedAudio } from '../support/coded-audio.ts';
import { isClean, reconcile } from '../support/reconcile.ts';
import { eventually } from '../unit/emulator/sdk-client.ts';
import { answering, eventFrame, startRawServer } from '../unit/engines/aws/frames/raw-server.ts';

type Fault = FaultRule['fault'];

const AUDIO = codedAudio({ utterances: 3, blocks: 30, silentBlocks: 10, seed: 3 });
const CHUNKS = [...audioChunks(AUDIO.pcm)];
const AT_ONCE = { partialMs: 0, finalMs: { min: 0, max: 0 } };
/** Short, so that what must time out does so soon; and far above what anything else here takes. */
const TIMEOUTS = { startMs: 2_000, stallMs: 500, drainMs: 700 };

let emulator: Emulator | undefined;
let engine: AwsEngine | undefined;

async function start(framePath: FramePath, options: Partial<EmulatorOptions> = {}): Promise<AwsEngine> {
  emulator = await startEmulator({ recogniser: { kind: 'coded', latency: AT_ONCE }, ...options });
  engine = awsEngine(emulator.url, { framePath, timeouts: TIMEOUTS });
  return engine;
}

beforeEach(() => {
  vi.stubEnv('AWS_ACCESS_KEY_ID', 'test');
  vi.stubEnv('AWS_SECRET_ACCESS_KEY', 'test');
});

afterEach(async () => {
  vi.unstubAllEnvs();
  expect(engine?.openStreams ?? 0).toBe(0);
  // Nothing is left behind at the service either: places in the quota, and money.
  await eventually(() => expect(emulator?.usage().activeStreams ?? 0).toBe(0));
  await engine?.close();
  await emulator?.close();
  emulator = undefined;
  engine = undefined;
});

/** Streams all the audio, but not its end. */
async function breakLive(framePath: FramePath, fault: Fault) {
  const stream = await openStream(await start(framePath, { faults: [{ fault, next: 1 }] }));
  const reading = readAll(stream);
  await writeAll(stream, CHUNKS);
  return reading;
}

describe.each(FRAME_PATHS)('%s frames', (framePath) => {
  test.each([
    [{ kind: 'exception', exception: 'BadRequestException' }, 'engine_rejected', false],
    [{ kind: 'exception', exception: 'LimitExceededException' }, 'quota_exhausted', true],
    [{ kind: 'exception', exception: 'InternalFailureException' }, 'engine_unavailable', true],
    [{ kind: 'exception', exception: 'ConflictException' }, 'engine_unavailable', true],
    [{ kind: 'exception', exception: 'ServiceUnavailableException' }, 'engine_unavailable', true],
    [{ kind: 'http_error', status: 429 }, 'quota_exhausted', true],
    [{ kind: 'http_error', status: 503 }, 'engine_unavailable', true],
    [{ kind: 'http_error', status: 500, errorType: 'Strange' }, 'engine_unavailable', true],
    [{ kind: 'http_error', status: 403, errorType: 'AccessDeniedException' }, 'engine_unavailable', false],
    [{ kind: 'reset_before_headers' }, 'engine_unavailable', true],
  ] as const satisfies (readonly [Fault, string, boolean])[])(
    'open is refused by %o: %s',
    async (fault, code, retryable) => {
      const refused = openStream(await start(framePath, { faults: [{ fault, next: 1 }] }));
      await expect(refused).rejects.toMatchObject({ code, retryable });
    },
  );

  test.each([
    [{ kind: 'exception', exception: 'BadRequestException', afterAudioMs: 1500 }, 'engine_rejected', false],
    [{ kind: 'exception', exception: 'LimitExceededException', afterAudioMs: 1500 }, 'quota_exhausted', true],
    [{ kind: 'exception', exception: 'InternalFailureException', afterAudioMs: 1500 }, 'engine_unavailable', true],
    [{ kind: 'exception', exception: 'ConflictException', afterAudioMs: 1500 }, 'engine_unavailable', true],
    [{ kind: 'exception', exception: 'ServiceUnavailableException', afterAudioMs: 1500 }, 'engine_unavailable', true],
    [{ kind: 'reset', afterAudioMs: 1500 }, 'engine_unavailable', true],
    [{ kind: 'disconnect', afterAudioMs: 1500 }, 'engine_unavailable', true],
    [{ kind: 'early_end', afterAudioMs: 1500 }, 'engine_unavailable', true],
    [{ kind: 'goaway', code: 2, afterAudioMs: 1500 }, 'engine_unavailable', true],
    [{ kind: 'truncated_frame', afterAudioMs: 1500 }, 'engine_unavailable', true],
    [{ kind: 'corrupt_frame', afterAudioMs: 1500 }, 'engine_unavailable', true],
  ] as const satisfies (readonly [Fault, string, boolean])[])(
    'a stream is broken by %o: %s',
    async (fault, code, retryable) => {
      const { failure } = await breakLive(framePath, fault);
      expect(failure).toMatchObject({ code, retryable });
      expect(failure?.cause ?? failure?.message).toBeDefined();
    },
  );

  test.each<Fault>([
    { kind: 'goaway', code: 0, afterAudioMs: 500 },
    { kind: 'late_first_event', delayMs: 300 },
    { kind: 'clock_skew', skewMs: 3_600_000 },
  ])('a stream survives $kind', async (fault) => {
    const stream = await openStream(await start(framePath, { faults: [{ fault, next: 1 }] }));
    const reading = readAll(stream);
    await writeAll(stream, CHUNKS);
    stream.end();
    const { finals, failure } = await reading;
    expect(failure).toBeUndefined();
    expect(isClean(reconcile({ expected: AUDIO.blocks, finals, gaps: [] }))).toBe(true);
  });

  test('the 15 s silence can be retried: nobody spoke', async () => {
    const stream = await openStream(await start(framePath, { limits: { silenceMs: 200 } }));
    const reading = readAll(stream);
    await writeAll(stream, CHUNKS.slice(0, 2));
    const { failure } = await reading;
    expect(failure).toMatchObject({ code: 'engine_unavailable', retryable: true, blamesEntry: false });
  });

  test('the age limit can be retried', async () => {
    const stream = await openStream(await start(framePath, { limits: { maxAgeMs: 200 } }));
    const { failure } = await readAll(stream);
    expect(failure).toMatchObject({ code: 'engine_unavailable', retryable: true, blamesEntry: false });
  });

  test('the quota of streams is exhausted by the stream above it, and free again after one ends', async () => {
    const aws = await start(framePath, { limits: { concurrentStreams: 1 } });
    const first = await openStream(aws);
    await expect(openStream(aws)).rejects.toMatchObject({
      code: 'quota_exhausted',
      retryable: true,
      retryAfterMs: 1000,
    });
    first.abort();
    await eventually(() => expect(emulator?.usage().activeStreams).toBe(0));
    (await openStream(aws)).abort();
  });

  test('a service that says nothing more after the end is given up', async () => {
    const fault: Fault = { kind: 'silence', afterAudioMs: 500 };
    const stream = await openStream(await start(framePath, { faults: [{ fault, next: 1 }] }));
    const reading = readAll(stream);
    await writeAll(stream, CHUNKS);
    stream.end();
    expect((await reading).failure).toMatchObject({ code: 'engine_unavailable', retryable: true });
  });

  test('a service that takes no audio holds the writer back, and is given up', async () => {
    const fault: Fault = { kind: 'slow_reader', bytesPerSecond: 0, afterAudioMs: 100 };
    const stream = await openStream(await start(framePath, { faults: [{ fault, next: 1 }] }));
    const reading = readAll(stream);
    let written = 0;
    // As fast as it is taken, for more audio than anything on the way can hold.
    while (written < 1000) {
      await stream.write(Buffer.alloc(3200));
      written += 1;
      if ((await Promise.race([reading, undefined])) !== undefined) break;
    }
    expect((await reading).failure).toMatchObject({ code: 'engine_unavailable', retryable: true });
  });

  test('a writer that does not wait breaks the stream before memory grows without bound', async () => {
    const stream = await openStream(await start(framePath));
    const reading = readAll(stream);
    for (let second = 0; second < 20; second += 1) void stream.write(Buffer.alloc(32_000));
    expect((await reading).failure).toMatchObject({ code: 'internal' });
  });

  test.each<Fault>([{ kind: 'disconnect' }, { kind: 'reset' }, { kind: 'reset', code: 8 }])(
    '%o while the last finals are owed is a failure, not an end',
    async (fault) => {
      const latency = { partialMs: 0, finalMs: { min: 400, max: 400 } };
      const stream = await openStream(await start(framePath, { recogniser: { kind: 'coded', latency } }));
      const reading = readAll(stream);
      await writeAll(stream, CHUNKS);
      stream.end();
      await eventually(() => expect(emulator?.streams()[0]?.audioEvents).toBe(CHUNKS.length));
      emulator?.addFault({ fault, running: true });
      expect((await reading).failure).toMatchObject({ code: 'engine_unavailable', retryable: true });
    },
  );

  test('what is logged of a result that cannot be read has nothing of its words', async () => {
    const body = '{"Transcript":{"Results":[{"Alternatives":[{"Transcript": the secret words';
    const server = await startRawServer(answering(eventFrame('TranscriptEvent', body)));
    engine = awsEngine(server.url, { framePath, timeouts: TIMEOUTS });
    const [failure] = await openStream(engine)
      .then(readAll)
      .then(
        (outcome) => [outcome.failure],
        (error: unknown) => [error],
      );
    expect(failure).toMatchObject({ code: 'engine_unavailable', retryable: true });
    const lines: string[] = [];
    createLogger('info', { write: (line) => void lines.push(line) }).warn({ err: failure }, 'engine stream broke');
    expect(lines.join()).toContain('engine_unavailable');
    expect(lines.join()).not.toMatch(/secret|words|Transcript"/);
    await engine.close();
    await server.close();
  });

  test('a service that does not answer the request is given up in time', async () => {
    const sockets: { destroy(): void }[] = [];
    const server = createServer();
    server.on('connection', (socket) => sockets.push(socket));
    server.on('stream', (http2: ServerHttp2Stream) => void http2.on('error', () => undefined));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    const started = performance.now();
    engine = awsEngine(`http://127.0.0.1:${port}`, { framePath, timeouts: { ...TIMEOUTS, startMs: 200 } });
    await expect(openStream(engine)).rejects.toMatchObject({ code: 'engine_unavailable', retryable: true });
    expect(performance.now() - started).toBeGreaterThan(190);

    // The caller may give up earlier, and gets its own reason.
    const patient = awsEngine(`http://127.0.0.1:${port}`, { framePath });
    await expect(openStream(patient, {}, AbortSignal.timeout(50))).rejects.toMatchObject({ name: 'TimeoutError' });
    expect(patient.openStreams).toBe(0);
    await patient.close();
    for (const socket of sockets) socket.destroy();
    server.close();
  });

  test('a refused connection can be retried', async () => {
    engine = awsEngine('http://127.0.0.1:9', { framePath });
    await expect(openStream(engine)).rejects.toMatchObject({ code: 'engine_unavailable', retryable: true });
  });

  test('a reader that does not read bounds what is kept, and gets all of it when it reads', async () => {
    const recogniser = { kind: 'coded', latency: AT_ONCE, silentBlocks: 1 } as const;
    const audio = codedAudio({ utterances: 300, blocks: 1, silentBlocks: 1 });
    const stream = await openStream(await start(framePath, { recogniser }));
    await writeAll(stream, audioChunks(audio.pcm));
    stream.end();
    await eventually(() => expect(emulator?.streams()[0]?.finals).toBe(300));
    // Longer than the drain's time-out: it must not run while nobody reads.
    await new Promise((resolve) => setTimeout(resolve, TIMEOUTS.drainMs + 300));
    const { finals, failure } = await readAll(stream);
    expect(failure).toBeUndefined();
    expect(isClean(reconcile({ expected: audio.blocks, finals, gaps: [] }))).toBe(true);
  });
});

test.each([
  ['that is refused', 'http://127.0.0.1:9', 'ECONNREFUSED'],
  ['to a name that is none', 'http://nowhere.invalid', /ENOTFOUND|EAI_AGAIN/],
])('a connection %s is logged with its reason, which the stock path hides', async (_name, url, reason) => {
  engine = awsEngine(url);
  const failure = await openStream(engine).catch((error: unknown) => error);
  const lines: string[] = [];
  createLogger('info', { write: (line) => void lines.push(line) }).warn({ err: failure }, 'no stream');
  expect(lines.join()).toMatch(reason);
});
