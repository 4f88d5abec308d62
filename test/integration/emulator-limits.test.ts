import { type ClientHttp2Session, connect } from 'node:http2';
import { queryObjects } from 'node:v8';
import { StartStreamTranscriptionCommand, TranscribeStreamingClient } from '@aws-sdk/client-transcribe-streaming';
import { afterEach, describe, expect, test } from 'vitest';
import { type Emulator, startEmulator } from '../../src/emulator/emulator.ts';
import { decodeMessage, encodeMessage } from '../../src/emulator/event-stream.ts';
import type { EmulatorLimits, EmulatorOptions } from '../../src/emulator/options.ts';
import type { UsageReport } from '../../src/emulator/usage.ts';
import { audioChunks, codedAudio } from '../support/coded-audio.ts';
import { CREDENTIALS, eventually, Feed, transcribe } from '../unit/emulator/sdk-client.ts';

const CHUNK = Buffer.alloc(3200);
const SECOND = Buffer.alloc(32_000);

let emulator: Emulator;
async function start(limits: Partial<EmulatorLimits> = {}, options: Partial<EmulatorOptions> = {}): Promise<string> {
  const recogniser = { kind: 'coded', latency: { partialMs: 0, finalMs: { min: 0, max: 0 } } } as const;
  emulator = await startEmulator({ recogniser, limits, ...options });
  return emulator.url;
}
afterEach(async () => emulator.close());

/** Opens a stream and keeps it open; the SDK's `send` resolves at the first event, so one chunk is sent. */
async function open(url: string, SessionId?: string) {
  const before = emulator.usage().activeStreams;
  const feed = new Feed<Buffer>();
  feed.push(CHUNK);
  const abort = new AbortController();
  const answer = transcribe({
    url,
    audio: feed,
    signal: abort.signal,
    parameters: { ...(SessionId && { SessionId }) },
  });
  await eventually(() => expect(emulator.usage().activeStreams).toBe(before + 1));
  return { feed, answer, abort };
}

describe('credentials', () => {
  const withToken = { ...CREDENTIALS, sessionToken: 'token' };

  test.each([
    ['an unknown key', { accessKeyId: 'nobody', secretAccessKey: 'test' }, 'UnrecognizedClientException'],
    ['a wrong secret', { accessKeyId: 'test', secretAccessKey: 'wrong' }, 'InvalidSignatureException'],
    ['a token where none belongs', withToken, 'UnrecognizedClientException'],
  ])('%s is refused with 403', async (_name, credentials, error) => {
    const answer = await transcribe({ url: await start(), audio: [SECOND], client: { credentials } });
    expect(answer).toMatchObject({ error, status: 403, response: undefined });
    expect(emulator.usage()).toMatchObject({ streams: 0, billedSeconds: 0, refusals: { [error]: 1 } });
  });

  test('a session token is demanded, taken, and refused once it has expired', async () => {
    const url = await start({}, { credentials: [withToken, { ...withToken, sessionToken: 'old', expiresAt: 1 }] });
    const errorOf = async (credentials: typeof CREDENTIALS & { sessionToken?: string }) =>
      (await transcribe({ url, audio: [SECOND], client: { credentials } })).error;
    expect(await errorOf(withToken)).toBe('none');
    expect(await errorOf(CREDENTIALS)).toBe('UnrecognizedClientException');
    expect(await errorOf({ ...withToken, sessionToken: 'old' })).toBe('ExpiredTokenException');
  });

  test.each([
    [
      'changed audio',
      2,
      (frame: Buffer) => {
        const { headers, body } = decodeMessage(frame);
        body.writeUInt8(body.readUInt8(100) ^ 1, 100);
        return encodeMessage(headers, body);
      },
    ],
    ['a chunk left out', 2, () => undefined],
  ])('the chain of chunk signatures finds %s', async (_name, at, change) => {
    const pcm = codedAudio({ utterances: 1, blocks: 20, silentBlocks: 5 }).pcm;
    const tamper = (frame: Buffer, index: number) => (index === at ? change(frame) : frame);
    const answer = await transcribe({ url: await start(), audio: audioChunks(pcm), tamper });
    expect(answer.error).toBe('BadRequestException');
    expect(answer.errorMessage).toContain('signature');
    expect(emulator.streams()[0]).toMatchObject({ outcome: 'refused', audioEvents: at });
  });
});

describe('quotas', () => {
  test('the 26th concurrent stream gets a LimitExceededException as its first frame, and a place that is free again is given', async () => {
    const url = await start({ startsPerSecond: 1000 });
    const streams = [];
    for (let count = 0; count < 25; count += 1) streams.push(await open(url));
    const refused = await transcribe({ url, audio: [SECOND] });
    expect(refused).toMatchObject({ error: 'LimitExceededException', response: undefined });
    expect(refused.errorMessage).toContain('concurrent streams, 25');
    streams[0]?.feed.end();
    expect(await streams[0]?.answer).toMatchObject({ error: 'none' });
    expect(await transcribe({ url, audio: [SECOND] })).toMatchObject({ error: 'none' });
    expect(emulator.usage()).toMatchObject({ streams: 26, refusals: { LimitExceededException: 1 } });
  });

  test('more starts in a second than the quota are refused, by HTTP 429 if so configured', async () => {
    const url = await start({ startsPerSecond: 3 }, { quotaRefusal: 'http' });
    const answers = await Promise.all([1, 2, 3, 4, 5].map(() => transcribe({ url, audio: [CHUNK] })));
    const refused = answers.filter((answer) => answer.error !== 'none');
    expect(refused).toHaveLength(2);
    for (const answer of refused) expect(answer).toMatchObject({ error: 'LimitExceededException', status: 429 });
  });

  test('accounts and regions have quotas of their own', async () => {
    const other = { accessKeyId: 'other', secretAccessKey: 'other' };
    const url = await start({ concurrentStreams: 1 }, { credentials: [CREDENTIALS, other] });
    await open(url);
    expect(await transcribe({ url, audio: [CHUNK] })).toMatchObject({ error: 'LimitExceededException' });
    expect(await transcribe({ url, audio: [CHUNK], client: { credentials: other } })).toMatchObject({ error: 'none' });
    expect(await transcribe({ url, audio: [CHUNK], client: { region: 'eu-west-1' } })).toMatchObject({ error: 'none' });
    expect(Object.keys(emulator.usage().accounts).sort()).toEqual([
      'other/us-east-1',
      'test/eu-west-1',
      'test/us-east-1',
    ]);
  });

  test('a connection that the client has closed is freed at once', async () => {
    const url = await start();
    const once = async (session: ClientHttp2Session) => {
      const stream = session.request({ ':path': '/' });
      await new Promise((resolve) => stream.resume().once('close', resolve));
      session.close();
      await new Promise((resolve) => session.once('close', resolve));
      return Object.getPrototypeOf(session.constructor) as new () => unknown;
    };
    // The class of both the client's and the server's sessions, which Node does not export.
    const Http2Session = await once(connect(url));
    const before = queryObjects(Http2Session, { format: 'count' });
    for (let count = 0; count < 20; count += 1) await once(connect(url));
    await eventually(() => expect(queryObjects(Http2Session, { format: 'count' })).toBeLessThan(before + 10));
  });

  test('one HTTP/2 session carries one stream', async () => {
    const session = connect(await start());
    const ask = () =>
      new Promise<number>((resolve) => {
        const request = session.request({ ':method': 'POST', ':path': '/stream-transcription' }, { endStream: true });
        let status = 0;
        request.on('response', (headers) => {
          status = headers[':status'] ?? 0;
        });
        request.on('error', () => undefined);
        request.on('close', () => resolve(request.rstCode || status));
        request.resume();
      });
    expect(await ask()).toBe(403);
    const REFUSED_STREAM = 7;
    expect(await ask()).toBe(REFUSED_STREAM);
    session.destroy();
  });
});

describe('the life of a stream', () => {
  test('silence ends it with the words of AWS', async () => {
    const url = await start({ silenceMs: 60 });
    const feed = new Feed<Buffer>();
    feed.push(CHUNK);
    expect(await transcribe({ url, audio: feed })).toMatchObject({
      error: 'BadRequestException',
      errorMessage: expect.stringContaining('no new audio was received'),
    });
  });

  test('its age ends it with a LimitExceededException', async () => {
    const url = await start({ maxAgeMs: 60 });
    const { answer } = await open(url);
    expect(await answer).toMatchObject({ error: 'LimitExceededException' });
  });

  test('a session id in use ends the older stream with a ConflictException, and the newer goes on', async () => {
    const url = await start();
    const id = '01234567-89ab-cdef-0123-456789abcdef';
    const older = await open(url, id);
    const newer = transcribe({ url, audio: [SECOND], parameters: { SessionId: id } });
    expect(await older.answer).toMatchObject({ error: 'ConflictException' });
    expect(await newer).toMatchObject({ error: 'none' });
  });

  test('a session id in use ends an older stream that hangs, too', async () => {
    const url = await start({}, { faults: [{ fault: { kind: 'silence', afterAudioMs: 200 }, next: 1 }] });
    const id = '01234567-89ab-cdef-0123-456789abcdef';
    const older = await open(url, id);
    older.feed.push(CHUNK);
    await eventually(() => expect(emulator.streams()[0]?.faults).toEqual(['silence']));
    expect(await transcribe({ url, audio: [SECOND], parameters: { SessionId: id } })).toMatchObject({ error: 'none' });
    expect(await older.answer).toMatchObject({ finals: [] });
    expect(emulator.usage().outcomes).toEqual({ completed: 1, fault: 1 });
  });

  test('a session id in use can be made to end both', async () => {
    const url = await start({}, { sessionConflict: 'both' });
    const id = '01234567-89ab-cdef-0123-456789abcdef';
    const older = await open(url, id);
    expect(await transcribe({ url, audio: [SECOND], parameters: { SessionId: id } })).toMatchObject({
      error: 'ConflictException',
    });
    expect(await older.answer).toMatchObject({ error: 'ConflictException' });
    expect(emulator.usage().activeStreams).toBe(0);
  });

  test('an audio event of more than a second is refused', async () => {
    const url = await start();
    expect(await transcribe({ url, audio: [SECOND] })).toMatchObject({ error: 'none' });
    const answer = await transcribe({ url, audio: [Buffer.alloc(32_002)] });
    expect(answer).toMatchObject({ error: 'BadRequestException', errorMessage: expect.stringContaining('too big') });
  });

  test('an end without the empty frame is refused', async () => {
    const tamper = (frame: Buffer, index: number) => (index === 2 ? undefined : frame);
    const answer = await transcribe({ url: await start(), audio: [CHUNK, CHUNK], tamper });
    expect(answer).toMatchObject({
      error: 'BadRequestException',
      errorMessage: 'A complete signal was sent without the preceding empty frame.',
    });
  });

  test('bytes that are no frame are refused', async () => {
    const tamper = (frame: Buffer, index: number) => (index === 1 ? Buffer.from(frame).fill(1) : frame);
    const answer = await transcribe({ url: await start(), audio: [CHUNK, CHUNK], tamper });
    expect(answer).toMatchObject({ error: 'BadRequestException' });
  });

  test('a client that goes away frees its place', async () => {
    const url = await start({ concurrentStreams: 1 });
    const { abort, answer } = await open(url);
    abort.abort();
    await answer;
    await eventually(() => expect(emulator.usage()).toMatchObject({ activeStreams: 0, outcomes: { client_gone: 1 } }));
    expect(await transcribe({ url, audio: [CHUNK] })).toMatchObject({ error: 'none' });
  });

  test('a client that does not read its results is reset before they pile up', async () => {
    const recogniser = {
      kind: 'coded',
      latency: { partialMs: 0, finalMs: { min: 0, max: 0 } },
      blocksPerPartial: 1,
    } as const;
    const url = await start({}, { recogniser });
    const client = new TranscribeStreamingClient({ region: 'us-east-1', endpoint: url, credentials: CREDENTIALS });
    const feed = new Feed<Buffer>();
    feed.push(...audioChunks(codedAudio({ utterances: 1, blocks: 900, silentBlocks: 0 }).pcm));
    const AudioStream = (async function* () {
      for await (const AudioChunk of feed) yield { AudioEvent: { AudioChunk } };
    })();
    const parameters = { LanguageCode: 'en-US', MediaEncoding: 'pcm', MediaSampleRateHertz: 16_000 } as const;
    await client.send(new StartStreamTranscriptionCommand({ ...parameters, AudioStream }));
    await eventually(() => expect(emulator.usage().outcomes).toEqual({ client_slow: 1 }));
    client.destroy();
  });

  test('close ends it and is idempotent', async () => {
    const { answer } = await open(await start());
    await Promise.all([emulator.close(), emulator.close()]);
    await answer;
    expect(emulator.usage()).toMatchObject({ activeStreams: 0, outcomes: { shutdown: 1 } });
  });
});

test('billing counts seconds begun, at least 15 a stream, running ones included, and shows them on the admin port', async () => {
  const url = await start({}, { adminPort: 0 });
  const seconds = (count: number) => Array.from({ length: count }, () => SECOND);
  await transcribe({ url, audio: [CHUNK] });
  await transcribe({ url, audio: [...seconds(20), CHUNK] });
  const { feed, answer } = await open(url);
  feed.push(...seconds(16));
  await eventually(() => expect(emulator.streams()[0]?.audioSeconds).toBeCloseTo(16.1));

  const usage = (await (await fetch(`${emulator.adminUrl}/usage`)).json()) as UsageReport;
  expect(usage).toMatchObject({ activeStreams: 1, streams: 3, billedSeconds: 15 + 21 + 17 });
  expect(usage.audioSeconds).toBeCloseTo(0.1 + 20.1 + 16.1);
  const metrics = await (await fetch(`${emulator.adminUrl}/metrics`)).text();
  expect(metrics).toContain('transcribe_emulator_billed_seconds_total 53');
  expect(metrics).toContain('transcribe_emulator_streams_active 1');
  const shown = await (await fetch(`${emulator.adminUrl}/streams`)).json();
  expect(shown).toMatchObject({ streams: [{ billedSeconds: 17 }, { billedSeconds: 21 }, { billedSeconds: 15 }] });
  feed.end();
  await answer;
});
