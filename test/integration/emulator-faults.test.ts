import { afterEach, describe, expect, test } from 'vitest';
import { type Emulator, startEmulator } from '../../src/emulator/emulator.ts';
import type { FaultRule } from '../../src/emulator/faults.ts';
import type { EmulatorOptions } from '../../src/emulator/options.ts';
import { audioChunks, codedAudio } from '../support/coded-audio.ts';
import { type Http2Tap, tapHttp2 } from '../support/http2-tap.ts';
import { isClean, reconcile } from '../support/reconcile.ts';
import { eventually, Feed, transcribe } from '../unit/emulator/sdk-client.ts';

const AUDIO = codedAudio({ utterances: 3, blocks: 30, silentBlocks: 10, seed: 3 });
const CHUNKS = [...audioChunks(AUDIO.pcm)];
type Fault = FaultRule['fault'];

let emulator: Emulator;
async function start(options: Partial<EmulatorOptions> = {}): Promise<string> {
  const recogniser = { kind: 'coded', latency: { partialMs: 0, finalMs: { min: 0, max: 0 } } } as const;
  emulator = await startEmulator({ recogniser, adminPort: 0, ...options });
  return emulator.url;
}
afterEach(async () => emulator.close());

function once(call: () => void): () => void {
  let called = false;
  return () => {
    if (!called) call();
    called = true;
  };
}

async function admin(method: string, path: string, body?: unknown): Promise<{ status: number; body: unknown }> {
  const init =
    body === undefined ? {} : { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } };
  const response = await fetch(`${emulator.adminUrl}${path}`, { method, ...init });
  const text = await response.text();
  return { status: response.status, body: text === '' ? undefined : JSON.parse(text) };
}

/**
 * Streams all the audio, but not its end: only the fault can end the stream. The most of the audio is sent when the
 * first result is there, as it would be in real time: a cut connection loses what was just written to it.
 */
async function runWithFault(fault: Fault) {
  const url = await start({ faults: [{ fault, next: 1 }] });
  const feed = new Feed<Buffer>();
  feed.push(...CHUNKS.slice(0, 4));
  const answer = await transcribe({ url, audio: feed, onResult: once(() => feed.push(...CHUNKS.slice(4))) });
  expect(emulator.usage().faults).toEqual({ [fault.kind]: 1 });
  return { url, answer };
}

describe('each fault strikes the next stream, and the one after it is whole', () => {
  afterEach(async () => {
    const answer = await transcribe({ url: emulator.url, audio: CHUNKS });
    const account = reconcile({ expected: AUDIO.blocks, finals: answer.finals, gaps: [] });
    expect(isClean(account)).toBe(true);
  });

  test.each([
    'BadRequestException',
    'LimitExceededException',
    'InternalFailureException',
    'ConflictException',
    'ServiceUnavailableException',
  ] as const)('%s at once rejects send, and later ends the results', async (exception) => {
    const { answer: early } = await runWithFault({ kind: 'exception', exception });
    expect(early).toMatchObject({ error: exception, response: undefined });
    await emulator.close();
    const { answer: late } = await runWithFault({ kind: 'exception', exception, message: 'said', afterAudioMs: 1500 });
    expect(late).toMatchObject({ error: exception, errorMessage: 'said' });
    expect(late.finals.length).toBeGreaterThan(0);
    expect(late.response).toBeDefined();
  });

  test.each([
    [429, 'LimitExceededException'],
    [503, 'ServiceUnavailableException'],
  ])('HTTP %i', async (status, error) => {
    const { answer } = await runWithFault({ kind: 'http_error', status });
    expect(answer).toMatchObject({ status, error, response: undefined });
    expect(emulator.usage()).toMatchObject({ streams: 0, billedSeconds: 0 });
  });

  test('reset before the headers rejects send without a code', async () => {
    const { answer } = await runWithFault({ kind: 'reset_before_headers' });
    expect(answer.response).toBeUndefined();
    expect(answer.error).not.toBe('none');
  });

  test.each<Fault>([
    { kind: 'reset', code: 0, afterAudioMs: 1500 },
    { kind: 'reset', code: 8, afterAudioMs: 1500 },
    { kind: 'disconnect', afterAudioMs: 1500 },
    { kind: 'early_end', afterAudioMs: { min: 1000, max: 1500 } },
  ])('%o ends the results without an error', async (fault) => {
    const { answer } = await runWithFault(fault);
    expect(answer.error).toBe('none');
    expect(answer.response).toBeDefined();
    expect(answer.finals.length).toBeLessThan(AUDIO.utterances.length);
    expect(emulator.streams()[0]).toMatchObject({ outcome: 'fault', faults: [fault.kind] });
  });

  test('a reset with any code but NO_ERROR and CANCEL breaks the results', async () => {
    const { answer } = await runWithFault({ kind: 'reset', afterAudioMs: 1500 });
    expect(answer.errorMessage).toContain('NGHTTP2_INTERNAL_ERROR');
    expect(emulator.streams()[0]).toMatchObject({ outcome: 'fault', faults: ['reset'] });
  });

  test('GOAWAY 0 lets the stream go on to its end', async () => {
    const url = await start({ faults: [{ fault: { kind: 'goaway', afterAudioMs: 500 }, next: 1 }] });
    const answer = await transcribe({ url, audio: CHUNKS });
    expect(answer).toMatchObject({ error: 'none' });
    expect(isClean(reconcile({ expected: AUDIO.blocks, finals: answer.finals, gaps: [] }))).toBe(true);
  });

  test('GOAWAY with a code breaks the stream', async () => {
    const { answer } = await runWithFault({ kind: 'goaway', code: 2, afterAudioMs: 500 });
    expect(answer.errorMessage).toContain('error code 2');
  });

  test('a truncated frame ends the results', async () => {
    const { answer } = await runWithFault({ kind: 'truncated_frame', afterAudioMs: 500 });
    expect(answer.finals).toEqual([]);
  });

  test('a corrupt frame is found by its checksum', async () => {
    const { answer } = await runWithFault({ kind: 'corrupt_frame', afterAudioMs: 500 });
    expect(answer.errorMessage).toContain('checksum');
  });

  test('silence in mid-speech: audio is taken on, but nothing more is said, not even the end', async () => {
    const url = await start({ faults: [{ fault: { kind: 'silence', afterAudioMs: 500 }, next: 1 }] });
    const abort = new AbortController();
    const feed = new Feed<Buffer>();
    feed.push(...CHUNKS);
    const answer = transcribe({ url, audio: feed, signal: abort.signal });
    await eventually(() => expect(emulator.streams()[0]?.audioEvents).toBe(CHUNKS.length));
    feed.end();
    expect(emulator.streams()[0]).toMatchObject({ finals: 0, faults: ['silence'] });
    expect(emulator.usage().activeStreams).toBe(1);
    abort.abort();
    expect(await answer).toMatchObject({ finals: [] });
    await eventually(() => expect(emulator.usage().outcomes).toEqual({ client_gone: 1 }));
  });

  test('a reader that does not read pushes back on the client', async () => {
    const fault: Fault = { kind: 'slow_reader', bytesPerSecond: 0, afterAudioMs: 100 };
    const url = await start({ faults: [{ fault, next: 1 }], limits: { silenceMs: 150 } });
    const feed = new Feed<Buffer>();
    feed.push(...Array.from({ length: 1000 }, () => Buffer.alloc(3200)));
    expect(await transcribe({ url, audio: feed })).toMatchObject({ error: 'BadRequestException' });
    expect(feed.pulled).toBeLessThan(200);
    expect(emulator.streams()[0]?.audioEvents).toBeLessThan(20);
  });

  test('a slow reader takes audio at its pace', async () => {
    const fault: Fault = { kind: 'slow_reader', bytesPerSecond: 400_000 };
    const url = await start({ faults: [{ fault, next: 1 }] });
    const started = performance.now();
    const answer = await transcribe({ url, audio: CHUNKS });
    expect(isClean(reconcile({ expected: AUDIO.blocks, finals: answer.finals, gaps: [] }))).toBe(true);
    // The pause after the last part of the audio does not delay the end, so a part less than the whole is promised.
    expect(performance.now() - started).toBeGreaterThan(((AUDIO.pcm.length - 32_768) / 400_000) * 1000);
  });

  test('a late first event delays send', async () => {
    const url = await start({ faults: [{ fault: { kind: 'late_first_event', delayMs: 120 }, next: 1 }] });
    const started = performance.now();
    let first = 0;
    const answer = await transcribe({ url, audio: CHUNKS, onResult: () => (first ||= performance.now()) });
    expect(first - started).toBeGreaterThan(119);
    expect(isClean(reconcile({ expected: AUDIO.blocks, finals: answer.finals, gaps: [] }))).toBe(true);
  });

  test('a skewed Date header poisons the later signatures of a client that corrects its clock by it', async () => {
    const skew: FaultRule = { fault: { kind: 'clock_skew', skewMs: 3_600_000 }, next: 2 };
    const url = await start({ faults: [skew] });
    async function run(disableClockSkewCorrection: boolean) {
      const feed = new Feed<Buffer>();
      feed.push(...CHUNKS.slice(0, 10));
      const onResult = () => {
        feed.push(...CHUNKS.slice(10));
        feed.end();
      };
      return transcribe({ url, audio: feed, onResult: once(onResult), client: { disableClockSkewCorrection } });
    }
    const corrected = await run(false);
    expect(corrected.error).toBe('BadRequestException');
    expect(corrected.errorMessage).toContain('Signature not yet current');
    expect(await run(true)).toMatchObject({ error: 'none' });
  });
});

describe('a reset is RST_STREAM alone at the wire, with the code asked for, and no END_STREAM before it', () => {
  let tap: Http2Tap;
  afterEach(() => tap.close());

  async function tapped(options: Partial<EmulatorOptions>) {
    tap = await tapHttp2(await start(options));
    const feed = new Feed<Buffer>();
    feed.push(...CHUNKS);
    return transcribe({ url: tap.url, audio: feed });
  }

  test.each<Fault>([
    { kind: 'reset_before_headers' },
    { kind: 'reset_before_headers', code: 7 },
    { kind: 'reset' },
    { kind: 'reset', code: 0, afterAudioMs: 500 },
    { kind: 'reset', code: 8, afterAudioMs: 1500 },
    { kind: 'reset', code: 11, afterAudioMs: 1500 },
  ])('%o', async (fault) => {
    await tapped({ faults: [{ fault, next: 1 }] });
    await eventually(() => expect(tap.ends).toEqual({ endStream: 0, resets: ['code' in fault ? fault.code : 2] }));
  });

  test('also of a stream that was muted and reaches its age', async () => {
    const fault: Fault = { kind: 'silence' };
    await tapped({ faults: [{ fault, next: 1 }], limits: { maxAgeMs: 100 } });
    await eventually(() => expect(tap.ends).toEqual({ endStream: 0, resets: [8] }));
  });
});

describe('the plan of faults', () => {
  test('strikes at a rate, by the seed', async () => {
    const fault: Fault = { kind: 'http_error', status: 503 };
    const url = await start({ faults: [{ fault, rate: 0.5 }], seed: 11, limits: { startsPerSecond: 100 } });
    let errors = 0;
    for (let count = 0; count < 20; count += 1) {
      errors += (await transcribe({ url, audio: [Buffer.alloc(3200)] })).error === 'none' ? 0 : 1;
    }
    expect(errors).toBeGreaterThan(4);
    expect(errors).toBeLessThan(16);
    expect(emulator.usage().faults).toEqual({ http_error: errors });
  });

  test('is read and changed by the admin API while running', async () => {
    const url = await start();
    const fault: Fault = { kind: 'exception', exception: 'InternalFailureException' };
    const added = await admin('POST', '/faults', { fault, next: 1 });
    expect(added).toMatchObject({ status: 201, body: { id: expect.any(String) } });
    await admin('POST', '/faults', { fault: { kind: 'http_error', status: 429 }, rate: 1 });
    expect(await admin('GET', '/faults')).toMatchObject({
      body: { rules: [{ remaining: 1, fault: { kind: 'exception', afterAudioMs: 0 } }, { rate: 1 }] },
    });
    expect(await transcribe({ url, audio: CHUNKS })).toMatchObject({ status: 429 });
    expect((await admin('DELETE', '/faults')).status).toBe(204);
    expect(await transcribe({ url, audio: CHUNKS })).toMatchObject({ error: 'none' });

    const second = await admin('POST', '/faults', { fault, next: 1 });
    const { id } = second.body as { id: string };
    expect((await admin('DELETE', `/faults/${id}`)).status).toBe(204);
    expect((await admin('DELETE', `/faults/${id}`)).status).toBe(404);
    expect((await admin('GET', '/healthz')).status).toBe(200);
  });

  test('strikes the streams that run now', async () => {
    const url = await start();
    const feed = new Feed<Buffer>();
    feed.push(...CHUNKS);
    const answer = transcribe({ url, audio: feed });
    await eventually(() => expect(emulator.streams()[0]?.audioEvents).toBe(CHUNKS.length));
    expect((await admin('POST', '/faults', { fault: { kind: 'reset' }, running: true })).status).toBe(202);
    expect((await answer).errorMessage).toContain('NGHTTP2_INTERNAL_ERROR');
    expect(emulator.streams()[0]).toMatchObject({ outcome: 'fault', faults: ['reset'] });
  });

  test.each([
    ['no way to apply it', { fault: { kind: 'reset' } }],
    ['two ways to apply it', { fault: { kind: 'reset' }, next: 1, rate: 1 }],
    ['an unknown fault', { fault: { kind: 'fire' }, next: 1 }],
    ['an unknown field', { fault: { kind: 'reset', after: 1 }, next: 1 }],
  ])('refuses a rule with %s', async (_name, rule) => {
    await start();
    expect(await admin('POST', '/faults', rule)).toMatchObject({ status: 400, body: { error: 'invalid_rule' } });
    await expect(startEmulator({ recogniser: { kind: 'coded' }, faults: [rule as FaultRule] })).rejects.toThrow();
  });
});
