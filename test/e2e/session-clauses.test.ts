/**
 * The protocol's section "Sessions, ownership and what is promised", clause by clause, on two gateways and one Redis.
 * What is proved elsewhere is not repeated here:
 *
 * | clause | proved in |
 * |---|---|
 * | Claims: epoch and claim id, refused writes, attempts, fenced owners, notices | here |
 * | - a connection replaced within the same worker gets taken_over | resume.test.ts |
 * | - a start with a higher attempt ends the earlier session | resume.test.ts |
 * | - the client after taken_over; it listens to its newest connection alone | client-protocol.test.ts |
 * | Finals: committed first, clamped or dropped, repeats, order of streams, no matching by text | here |
 * | - numbers from 1, acks after entries, journal_trimmed | resume.test.ts |
 * | - a client that sees a number skipped resumes | client-protocol.test.ts |
 * | The client is the witness: lower epoch, lower head, owner that knows more | here |
 * | Store away: provisional finals, bound, rebuilding, attaching, new sessions, drain | here |
 * | Audio is not lost: watermark and its chunk, silence, open partials, to the sample | here |
 * | - settle time, catch-up, stalls, pre-roll | unit/session/session.test.ts |
 * | - two channels | unit/session/audio-buffer.test.ts, unit/session/session.test.ts |
 * | - the client keeps every chunk until it is covered | unit/client/ring.test.ts |
 * | Chunks: refused for their rate, not held any more | here |
 * | - doubles, one chunk_gap, bad_audio, stop with last_chunk, resume without what is held | resume.test.ts |
 * | Stop: committed before it is told, replayed on any worker, repeated, resume window | here |
 * | One timeline: over streams, parking and workers | here, unit/session/timeline.test.ts |
 * | Viewers | viewers.test.ts |
 * | A client without a session | client-protocol.test.ts, client-gateway.test.ts |
 * | Version-1 clients: no lingering, no record | here; drain.test.ts, unit/session/session.test.ts |
 * | Secrets: principal, hashes, what a dump shows | here; unit/resume/tokens.test.ts, unit/resume/entry-cipher.test.ts |
 *
 * Random histories of all of them together are in session-model.test.ts.
 */
import { createHash, hkdfSync } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { encodeBlock } from '../../src/emulator/coded-block.ts';
import { ScriptedEngine, type ScriptStep } from '../../src/engines/scripted/scripted-engine.ts';
import { connect, emitWithAck, silence, type TestClient, tone } from '../support/client.ts';
import { connectBeside, type TestGateway } from '../support/gateway.ts';
import { describeWithRedis, RedisServer } from '../support/redis.ts';
import { TwoGateways } from '../support/two-gateways.ts';

/** Samples and speech of one chunk: 10 coded blocks, then 5 silent ones. */
const CHUNK = 4_800;
const SPOKEN = 3_200;

/** The nth chunk says an utterance of its own, which its silence ends. */
function utterance(n: number): Buffer {
  const spoken = Array.from({ length: 10 }, (_, index) => encodeBlock((n - 1) * 10 + index + 1));
  return Buffer.concat([...spoken, ...Array.from({ length: 5 }, () => encodeBlock(0))]);
}

function wordsOf(n: number): string {
  return Array.from({ length: 10 }, (_, index) => `b${(n - 1) * 10 + index + 1}`).join(' ');
}

interface Started {
  readonly session_id: string;
  readonly resume_token: string;
  readonly watch_token: string;
  readonly epoch: number;
}

let redis: RedisServer;
const closers: (() => unknown)[] = [];
let keys = 0;

async function two(environment: Record<string, string> = {}): Promise<TwoGateways> {
  const gateways = await TwoGateways.start(redis, environment);
  closers.push(() => gateways.close());
  return gateways;
}

async function twoWith(steps: () => Iterable<ScriptStep>, environment: Record<string, string> = {}) {
  const engine = () => new ScriptedEngine({ script: () => ({ steps: steps() }) });
  const gateways = await TwoGateways.start(redis, environment, engine);
  closers.push(() => gateways.close());
  return gateways;
}

async function client(gateway: TestGateway): Promise<TestClient> {
  const one = connect(gateway.url, { auth: { protocol: 2 }, transports: ['websocket'] });
  closers.push(one.close);
  await one.next('connected');
  return one;
}

/** Connects anew, to the worker that it had. */
function returning(gateway: TestGateway, before: TestClient): Promise<TestClient> {
  return connectBeside(gateway, before, () => client(gateway));
}

async function start(v2: TestClient, more: object = {}): Promise<Started> {
  const start_key = `clause-key-${String(++keys).padStart(16, '0')}`;
  v2.socket.emit('start_transcription', { acks: true, start_key, attempt: 1, ...more });
  return (await v2.next('transcription_started')) as unknown as Started;
}

/** Sends utterances as chunks. */
function say(v2: TestClient, ...numbers: number[]): void {
  for (const n of numbers) v2.socket.emit('audio_chunk', { chunk: utterance(n), seq: n, offset: (n - 1) * CHUNK });
}

/** What a client knows that has the finals of the first `n` utterances and was acknowledged up to there. */
function knowing(n: number, attempt: number, epoch = 1) {
  const end = n === 0 ? 0 : (n - 1) * CHUNK + SPOKEN;
  const oldest = Math.max(1, n);
  const held = { oldest_chunk: oldest, oldest_offset: (oldest - 1) * CHUNK };
  return { attempt, epoch, last_seq: n, last_end: end, acked: end, ...held };
}

function resume(v2: TestClient, { resume_token, session_id }: Started, what: object): void {
  v2.socket.emit('resume_transcription', { session_id, resume_token, ...what });
}

/** Number, place, words and flags of each final so far. */
function finals(v2: TestClient): unknown[][] {
  return v2
    .all('transcription_result')
    .filter(({ is_partial }) => is_partial === false)
    .map(({ durable, end_sample, replayed, seq, start_sample, text }) => [
      seq,
      start_sample,
      end_sample,
      text,
      ...(replayed === true ? ['replayed'] : []),
      ...(durable === false ? ['not durable'] : []),
    ]);
}

/** The final of the nth utterance as entry `seq`. */
function final(n: number, seq = n, ...flags: string[]): unknown[] {
  return [seq, (n - 1) * CHUNK, (n - 1) * CHUNK + SPOKEN, wordsOf(n), ...flags];
}

async function heard(v2: TestClient, ...expected: unknown[][]): Promise<void> {
  await expect.poll(() => finals(v2), { timeout: 10_000 }).toEqual(expected);
}

const lastAck = (v2: TestClient) => v2.all('audio_ack').at(-1)?.offset ?? 0;

beforeAll(async () => {
  redis = await RedisServer.start();
});
afterEach(async () => {
  await redis.unpause();
  for (const close of closers.splice(0).reverse()) await close();
});
afterAll(() => redis?.stop());

describeWithRedis('Claims', () => {
  it('"a claim writes a higher epoch and a random claim id", and "returns watermark, chunk position and journal tail"', async () => {
    const { a, b, fields } = await two();
    const first = await client(a);
    const started = await start(first);
    const claims = [await fields(started.session_id, 'epoch', 'claim')];
    say(first, 1, 2, 3);
    await heard(first, final(1), final(2), final(3));
    first.close();
    for (const [turn, pod] of [b, a, b].entries()) {
      const v2 = await client(pod);
      resume(v2, started, { ...knowing(1, turn + 1, turn + 1) });
      expect(await v2.next('transcription_resumed')).toMatchObject({
        epoch: turn + 2,
        missed: 2,
        next_chunk: 3,
        next_offset: 2 * CHUNK,
      });
      expect(finals(v2)).toEqual([final(2, 2, 'replayed'), final(3, 3, 'replayed')]);
      claims.push(await fields(started.session_id, 'epoch', 'claim'));
      v2.close();
    }
    expect(claims.map(([epoch]) => epoch)).toEqual(['1', '2', '3', '4']);
    expect(new Set(claims.map(([, claim]) => claim)).size).toBe(4);
  });

  it('"the new epoch is one above the higher of the record\'s and the client\'s"', async () => {
    const { a, b } = await two();
    const first = await client(a);
    const started = await start(first);
    const second = await client(b);
    resume(second, started, knowing(0, 1, 7));
    expect(await second.next('transcription_resumed')).toMatchObject({ epoch: 8 });
    const third = await client(a);
    resume(third, started, knowing(0, 2, 3));
    expect(await third.next('transcription_resumed')).toMatchObject({ epoch: 9 });
  });

  it('"every write carries both and is refused": of an owner that was passed over nothing is stored, and it "sends taken_over, closes its stream and is silent"', async () => {
    const { a, b, fields } = await two();
    const first = await client(a);
    const started = await start(first);
    say(first, 1);
    await heard(first, final(1));
    const second = await client(b);
    resume(second, started, knowing(1, 1));
    await second.next('transcription_resumed');
    say(second, 1, 2);
    await heard(second, final(2));
    // The old connection is not closed, and its audio goes on.
    say(first, 2, 3);
    expect(await first.next('taken_over')).toEqual({ session_id: started.session_id, epoch: 2 });
    await expect.poll(() => a.engine.openStreams).toBe(0);
    expect(finals(first)).toEqual([final(1)]);
    // It may have been told before that audio came, which is refused then; an answer to more of it comes after that.
    await emitWithAck(first, 'audio_chunk', { chunk: utterance(4), seq: 4 });
    const said = first.received.length;
    say(second, 3);
    await heard(second, final(2), final(3));
    expect(first.received.slice(said)).toEqual([]);
    expect(await fields(started.session_id, 'epoch', 'head')).toEqual(['2', '3']);
  });

  it('"a fenced owner sends taken_over with its epoch, closes its stream": also one that nobody speaks to, by its heartbeat', async () => {
    const { a, b } = await two({ GATEWAY_RESUME_WINDOW_MS: '1000' });
    const first = await client(a);
    const started = await start(first);
    const second = await client(b);
    resume(second, started, knowing(0, 1));
    await second.next('transcription_resumed');
    expect(await first.next('taken_over')).toEqual({ session_id: started.session_id, epoch: 2 });
    await expect.poll(() => [a.engine.openStreams, b.engine.openStreams]).toEqual([0, 1]);
  });

  it('"a claim whose attempt is not above the record\'s, or above the one that this worker holds, gets resume_refused"', async () => {
    const { a, b, tamper } = await two();
    const first = await client(a);
    const started = await start(first);
    const second = await client(b);
    resume(second, started, knowing(0, 3));
    await second.next('transcription_resumed');
    for (const [pod, attempt] of [
      [a, 3],
      [a, 2],
      [b, 3],
    ] as const) {
      const late = await client(pod);
      resume(late, started, knowing(0, attempt));
      expect(await late.next('error')).toMatchObject({ code: 'resume_refused', attempt: 3 });
    }
    // The store has forgotten the attempt, its owner has not.
    await tamper(started.session_id, { attempt: 0 });
    const late = await returning(b, second);
    resume(late, started, knowing(0, 3));
    expect(await late.next('error')).toMatchObject({ code: 'resume_refused', attempt: 3 });
    say(second, 1);
    await heard(second, final(1));
  });

  it('"a notice about an epoch not above one\'s own is ignored": the store that says so was rolled back, and its record is made anew', async () => {
    const { a, b, dump, fields, rollBack } = await two();
    const first = await client(a);
    const started = await start(first);
    say(first, 1);
    await heard(first, final(1));
    const before = await dump();
    const second = await client(b);
    resume(second, started, knowing(1, 1));
    await second.next('transcription_resumed');
    say(second, 1, 2);
    await heard(second, final(2));
    // Without the claim of the second, and so with that of the first.
    await rollBack(before);
    say(second, 3);
    await heard(second, final(2), final(3));
    expect(second.all('taken_over')).toEqual([]);
    expect(await fields(started.session_id, 'epoch', 'head')).toEqual(['2', '3']);
  });
});

describeWithRedis('Finals are exactly once', () => {
  it('"a final is committed before it is sent", and the watermark "committed before the ack is sent"', async () => {
    const { a, fields } = await two({ GATEWAY_REDIS_TIMEOUT_MS: '20000' });
    const v2 = await client(a);
    const started = await start(v2);
    await redis.pause();
    v2.socket.emit('audio_chunk', { chunk: utterance(1).subarray(0, SPOKEN), seq: 1 });
    await v2.next('transcription_result');
    v2.socket.emit('audio_chunk', { chunk: utterance(1).subarray(SPOKEN), seq: 2 });
    // Time enough for the engine; what is waited for must not come.
    await delay(300);
    expect(finals(v2)).toEqual([]);
    expect(v2.all('audio_ack')).toEqual([]);
    await redis.unpause();
    await heard(v2, final(1));
    await expect.poll(() => lastAck(v2)).toBe(SPOKEN);
    expect(await fields(started.session_id, 'head', 'offset', 'chunk', 'chunkEnd')).toEqual(['1', '3200', '1', '1600']);
  });

  it('"its start is not before the end of the last entry (not the watermark: a late final after a silence is right)"', async () => {
    const { a } = await twoWith(() => [{ do: 'final', atSample: 64_000, fromSample: 16_000, text: 'late' }]);
    const v2 = await client(a);
    await start(v2);
    for (let n = 1; n <= 3; n++) v2.socket.emit('audio_chunk', { chunk: silence(1000), seq: n });
    await expect.poll(() => lastAck(v2), { timeout: 5_000 }).toBeGreaterThan(32_000);
    v2.socket.emit('audio_chunk', { chunk: tone(1000), seq: 4 });
    await heard(v2, [1, 16_000, 64_000, 'late']);
  });

  it('"one that overlaps is clamped; one wholly covered is dropped and counted"', async () => {
    const { a } = await twoWith(() => [
      { do: 'final', atSample: 16_000, fromSample: 0, text: 'one' },
      { do: 'final', atSample: 16_000, fromSample: 8_000, text: 'covered' },
      { do: 'final', atSample: 32_000, fromSample: 8_000, text: 'two' },
    ]);
    const v2 = await client(a);
    await start(v2);
    for (let n = 1; n <= 2; n++) v2.socket.emit('audio_chunk', { chunk: tone(1000), seq: n });
    await heard(v2, [1, 0, 16_000, 'one'], [2, 16_000, 32_000, 'two']);
    expect(await a.metric('transcribe_gateway_finals_dropped_total')).toBe(1);
  });

  it('"a repeat of the last append by the same claim answers as the first did (its reply may have been lost)"', async () => {
    const { a, b, fields } = await two();
    const v2 = await client(a);
    const started = await start(v2);
    a.redisGate.swallowAnswers();
    say(v2, 1);
    // It is there, and its owner does not know.
    await expect.poll(() => fields(started.session_id, 'head')).toEqual(['1']);
    expect(lastAck(v2)).toBe(0);
    a.redisGate.open();
    await expect.poll(() => lastAck(v2), { timeout: 5_000 }).toBe(SPOKEN);
    say(v2, 2);
    await expect.poll(() => finals(v2).at(-1)).toEqual(final(2));
    expect(finals(v2)).toHaveLength(2);
    const second = await client(b);
    resume(second, started, knowing(0, 1));
    await second.next('transcription_resumed');
    expect(finals(second)).toEqual([final(1, 1, 'replayed'), final(2, 2, 'replayed')]);
  });

  it('"results of a following stream wait until the earlier one has ended"', async () => {
    let streams = 0;
    const { a } = await twoWith(() =>
      streams++ === 0
        ? [
            { do: 'delay', atSample: 8_001, ms: 500 },
            { do: 'final', atSample: 8_002, fromSample: 0, text: 'slow' },
          ]
        : [{ do: 'final', atSample: 16_000, fromSample: 8_000, text: 'quick' }],
    );
    const v2 = await client(a);
    await start(v2);
    await emitWithAck(v2, 'audio_chunk', { chunk: tone(500), seq: 1 });
    await emitWithAck(v2, 'pause_transcription');
    v2.socket.emit('audio_chunk', { chunk: tone(1000), seq: 2 });
    await expect
      .poll(() => finals(v2).map(([seq, , , text]) => [seq, text]))
      .toEqual([
        [1, 'slow'],
        [2, 'quick'],
      ]);
  });

  it('"results are matched by position and number, never by text"', async () => {
    const { a, b } = await twoWith(() =>
      [1, 2, 3].map((n) => ({ do: 'final', atSample: n * 16_000, fromSample: (n - 1) * 16_000, text: 'yes' })),
    );
    const first = await client(a);
    const started = await start(first);
    for (let n = 1; n <= 3; n++) first.socket.emit('audio_chunk', { chunk: tone(1000), seq: n });
    const said = [1, 2, 3].map((n) => [n, (n - 1) * 16_000, n * 16_000, 'yes']);
    await heard(first, ...said);
    const second = await client(b);
    resume(second, started, { ...knowing(0, 1), last_seq: 1, last_end: 16_000 });
    await second.next('transcription_resumed');
    expect(finals(second)).toEqual(said.slice(1).map((one) => [...one, 'replayed']));
  });
});

describeWithRedis('The client is the witness', () => {
  it('"if the record\'s epoch is below the client\'s, entries after last_seq are void, last_seq is the head, and the watermark is the later of last_end and acked"', async () => {
    const { a, b, dump, fields, rollBack } = await two();
    const first = await client(a);
    const started = await start(first);
    say(first, 1, 2);
    await heard(first, final(1), final(2));
    first.close();
    const before = await dump();
    const second = await client(b);
    // An older client would have missed the second.
    resume(second, started, knowing(1, 1));
    await second.next('transcription_resumed');
    second.close();
    await rollBack(before);
    // It had seen epoch 2, and the answer to that claim but no entry of it.
    const third = await client(b);
    resume(third, started, { ...knowing(1, 2, 5), acked: CHUNK });
    expect(await third.next('transcription_resumed')).toMatchObject({
      epoch: 6,
      next_chunk: 1,
      next_offset: 0,
      missed: 0,
    });
    expect(await fields(started.session_id, 'epoch', 'head', 'offset')).toEqual(['6', '1', String(CHUNK)]);
    say(third, 1, 2);
    await heard(third, final(2));
  });

  it('"if only the head is below last_seq, the numbers between are taken as known to the client alone, and head and watermark rise to the client\'s"', async () => {
    const { a, b, dump, fields, rollBack } = await two();
    const first = await client(a);
    const started = await start(first);
    say(first, 1);
    await heard(first, final(1));
    const before = await dump();
    say(first, 2, 3);
    await heard(first, final(1), final(2), final(3));
    first.close();
    await rollBack(before);
    const second = await client(b);
    resume(second, started, knowing(3, 1));
    expect(await second.next('transcription_resumed')).toMatchObject({ epoch: 2, missed: 0 });
    expect(await fields(started.session_id, 'head', 'offset')).toEqual(['3', String(2 * CHUNK + SPOKEN)]);
    say(second, 3, 4);
    await heard(second, final(4));
    // Whoever has none of them is told that they are missing.
    const third = await client(a);
    resume(third, started, knowing(0, 2, 2));
    await third.next('transcription_resumed');
    expect(third.all('transcription_gap')).toMatchObject([{ seq: 3, reason: 'journal_trimmed', from_sample: 0 }]);
    expect(finals(third)).toEqual([final(4, 4, 'replayed')]);
  });

  it('"a store that knows less than the client is wrong", and than the owner: what that holds is replayed all the same', async () => {
    const { a, dump, fields, rollBack } = await two();
    const first = await client(a);
    const started = await start(first);
    say(first, 1);
    await heard(first, final(1));
    const before = await dump();
    say(first, 2, 3);
    await heard(first, final(1), final(2), final(3));
    first.close();
    await rollBack(before);
    // The answers after the first entry were lost.
    const second = await returning(a, first);
    resume(second, started, knowing(1, 1));
    expect(await second.next('transcription_resumed')).toMatchObject({ epoch: 2, missed: 2 });
    expect(finals(second)).toEqual([final(2, 2, 'replayed'), final(3, 3, 'replayed')]);
    say(second, 4);
    await heard(second, final(2, 2, 'replayed'), final(3, 3, 'replayed'), final(4));
    expect(await fields(started.session_id, 'head')).toEqual(['4']);
  });
});

describeWithRedis('Store away', () => {
  it('"finals are sent with durable: false, are not acknowledged, and are committed in order when the store is back"', async () => {
    const { a, b, fields } = await two();
    const first = await client(a);
    const started = await start(first);
    say(first, 1);
    await heard(first, final(1));
    await expect.poll(() => lastAck(first)).toBe(SPOKEN);
    a.redisGate.shut();
    await expect.poll(() => a.metric('transcribe_gateway_store_available')).toBe(0);
    say(first, 2, 3);
    await heard(first, final(1), final(2, 2, 'not durable'), final(3, 3, 'not durable'));
    expect(lastAck(first)).toBe(SPOKEN);
    expect(await fields(started.session_id, 'head')).toEqual(['1']);
    a.redisGate.open();
    await expect.poll(() => lastAck(first), { timeout: 10_000 }).toBe(2 * CHUNK + SPOKEN);
    expect(finals(first)).toHaveLength(3);
    const second = await client(b);
    resume(second, started, knowing(0, 1));
    await second.next('transcription_resumed');
    expect(finals(second)).toEqual([1, 2, 3].map((n) => final(n, n, 'replayed')));
  });

  it('"within a bound": a session with more entries than may wait ends with store_unavailable', async () => {
    const { a } = await two({ GATEWAY_STORE_OUTAGE_ENTRIES: '2' });
    const v2 = await client(a);
    await start(v2);
    a.redisGate.shut();
    await expect.poll(() => a.metric('transcribe_gateway_store_available')).toBe(0);
    say(v2, 1, 2, 3);
    expect(await v2.next('error')).toMatchObject({ code: 'store_unavailable', retryable: true });
    expect(finals(v2)).toEqual([final(1, 1, 'not durable'), final(2, 2, 'not durable')]);
    await expect.poll(() => a.engine.openStreams).toBe(0);
  });

  it('"the owner keeps its journal tail; it rebuilds the record where the record is absent" or "is its own claim with a lower head"', async () => {
    const { a, b, dump, fields, flush, rollBack } = await two();
    const first = await client(a);
    const started = await start(first);
    say(first, 1);
    await heard(first, final(1));
    const before = await dump();
    await flush();
    say(first, 2);
    await heard(first, final(1), final(2));
    expect(await fields(started.session_id, 'head', 'epoch')).toEqual(['2', '1']);
    await rollBack(before);
    say(first, 3);
    await heard(first, final(1), final(2), final(3));
    const second = await client(b);
    resume(second, started, knowing(0, 1));
    await second.next('transcription_resumed');
    expect(finals(second)).toEqual([1, 2, 3].map((n) => final(n, n, 'replayed')));
    // What the new owner has handed on it can bring back as well.
    await flush();
    say(second, 3, 4);
    await expect.poll(() => finals(second).at(-1)).toEqual(final(4));
    const third = await client(a);
    resume(third, started, knowing(1, 2, 2));
    await third.next('transcription_resumed');
    expect(finals(third)).toEqual([2, 3, 4].map((n) => final(n, n, 'replayed')));
  });

  it('"it rebuilds the record where the record is absent": also before the first entry', async () => {
    const { a, fields, flush } = await two();
    const v2 = await client(a);
    const started = await start(v2);
    await flush();
    say(v2, 1, 2);
    await heard(v2, final(1), final(2));
    expect(await fields(started.session_id, 'head', 'epoch')).toEqual(['2', '1']);
  });

  it('"it rebuilds only while its client is attached"', async () => {
    const { a, b, flush, record } = await two({ GATEWAY_LINGER_MS: '200' });
    const first = await client(a);
    const started = await start(first);
    say(first, 1);
    await heard(first, final(1));
    await emitWithAck(first, 'audio_chunk', { chunk: utterance(2).subarray(0, 2 * SPOKEN), seq: 2 });
    await flush();
    first.close();
    // After lingering the engine is flushed, and its last final cannot be committed.
    await expect.poll(() => a.engine.openStreams).toBe(0);
    expect(await record(started.session_id)).toEqual({});
    const stranger = await client(b);
    resume(stranger, started, knowing(1, 1));
    expect(await stranger.next('error')).toMatchObject({ code: 'resume_expired' });
    expect(await record(started.session_id)).toEqual({});
    const second = await returning(a, first);
    resume(second, started, knowing(1, 2));
    await second.next('transcription_resumed');
    await expect.poll(() => finals(second).map(([seq, , , text]) => [seq, text])).toEqual([[2, wordsOf(2)]]);
  });

  it('"meanwhile a connection is attached only by the present owner, and only if its epoch is not below the client\'s; others answer store_unavailable", with retry_after_ms', async () => {
    const { a, b } = await two();
    const first = await client(a);
    const started = await start(first);
    say(first, 1);
    await heard(first, final(1));
    for (const { metric, redisGate } of [a, b]) {
      redisGate.shut();
      await expect.poll(() => metric('transcribe_gateway_store_available')).toBe(0);
    }
    say(first, 2, 3);
    await heard(first, final(1), final(2, 2, 'not durable'), final(3, 3, 'not durable'));
    first.close();
    const away = { code: 'store_unavailable', retryable: true, retry_after_ms: expect.any(Number) };
    const stranger = await client(b);
    resume(stranger, started, knowing(1, 1));
    expect(await stranger.next('error')).toMatchObject(away);
    const ahead = await returning(a, first);
    resume(ahead, started, knowing(1, 1, 2));
    expect(await ahead.next('error')).toMatchObject(away);
    const second = await returning(a, first);
    resume(second, started, knowing(2, 2));
    expect(await second.next('transcription_resumed')).toMatchObject({ epoch: 1, missed: 1, next_chunk: 4 });
    say(second, 4);
    // Each of them once.
    await heard(second, final(3, 3, 'replayed', 'not durable'), final(4, 4, 'not durable'));
    for (const { redisGate } of [a, b]) redisGate.open();
    await expect.poll(() => lastAck(second), { timeout: 10_000 }).toBe(3 * CHUNK + SPOKEN);
    expect(finals(second)).toHaveLength(2);
  });

  it('"others answer store_unavailable" at once: also an owner that could only hand the session over, or that was passed over', async () => {
    const { a, b } = await two();
    const first = await client(a);
    const started = await start(first);
    say(first, 1);
    await heard(first, final(1));
    for (const { metric, redisGate } of [a, b]) {
      redisGate.shut();
      await expect.poll(() => metric('transcribe_gateway_store_available')).toBe(0);
    }
    say(first, 2);
    await heard(first, final(1), final(2, 2, 'not durable'));
    const skipping = { oldest_chunk: 4, oldest_offset: 3 * CHUNK };
    for (const [attempt, epoch] of [
      [1, 1],
      [2, 5],
    ] as const) {
      const second = await returning(a, first);
      resume(second, started, { ...knowing(1, attempt, epoch), ...skipping });
      expect(await second.next('error', 2_000)).toMatchObject({ code: 'store_unavailable' });
    }
    for (const { redisGate } of [a, b]) redisGate.open();
    await expect.poll(() => b.metric('transcribe_gateway_store_available'), { timeout: 5_000 }).toBe(1);
    await expect.poll(() => a.metric('transcribe_gateway_sessions'), { timeout: 5_000 }).toBe(0);
    const third = await client(b);
    resume(third, started, { ...knowing(1, 3), ...skipping });
    await third.next('transcription_resumed');
    expect(finals(third)).toEqual([final(2, 2, 'replayed')]);
    await expect.poll(() => third.all('transcription_gap')).toMatchObject([{ seq: 3, to_sample: 3 * CHUNK }]);
  });

  it('"running sessions go on": also under a claim that the store has carried out and whose answer was lost', async () => {
    const { a, b, fields } = await two();
    const first = await client(a);
    const started = await start(first);
    say(first, 1);
    await heard(first, final(1));
    first.close();
    a.redisGate.swallowAnswers();
    const second = await returning(a, first);
    resume(second, started, knowing(1, 1));
    expect(await second.next('transcription_resumed')).toMatchObject({ epoch: 1, next_chunk: 2 });
    expect(await fields(started.session_id, 'epoch')).toEqual(['2']);
    a.redisGate.open();
    say(second, 2, 3);
    await expect.poll(() => lastAck(second), { timeout: 10_000 }).toBe(2 * CHUNK + SPOKEN);
    expect(finals(second).map(([seq]) => seq)).toEqual([2, 3]);
    expect(second.all('taken_over')).toEqual([]);
    const third = await client(b);
    resume(third, started, knowing(1, 2, 2));
    expect(await third.next('transcription_resumed')).toMatchObject({ epoch: 3 });
    expect(finals(third)).toEqual([final(2, 2, 'replayed'), final(3, 3, 'replayed')]);
  });

  it('new sessions get store_unavailable with retry_after_ms', async () => {
    const { a } = await two();
    a.redisGate.shut();
    await expect.poll(() => a.metric('transcribe_gateway_store_available')).toBe(0);
    const v2 = await client(a);
    v2.socket.emit('start_transcription', { acks: true });
    expect(await v2.next('error')).toMatchObject({
      code: 'store_unavailable',
      retryable: true,
      retry_after_ms: expect.any(Number),
    });
    await expect.poll(() => a.engine.openStreams).toBe(0);
  });

  it('"a drain then holds its sessions until the store is back or the deadline comes"', async () => {
    const { a, b } = await two({ GATEWAY_DRAIN_TIMEOUT_MS: '8000' });
    const first = await client(a);
    const started = await start(first);
    a.redisGate.shut();
    await expect.poll(() => a.metric('transcribe_gateway_store_available')).toBe(0);
    say(first, 1);
    await heard(first, final(1, 1, 'not durable'));
    const closed = a.close().then(() => 'closed');
    await first.next('server_draining');
    // Longer than the clients' time to move.
    expect(await Promise.race([closed, delay(3_500, 'held')])).toBe('held');
    a.redisGate.open();
    expect(await closed).toBe('closed');
    const second = await client(b);
    resume(second, started, knowing(0, 1));
    await second.next('transcription_resumed');
    expect(finals(second)).toEqual([final(1, 1, 'replayed')]);
  });
});

describeWithRedis('Audio is not lost', () => {
  it('"without an entry the watermark moves on only through silence", and "it does not move while a partial is open"', async () => {
    const { a } = await twoWith(() => [{ do: 'partial', atSample: 48_000, fromSample: 40_000, text: 'pending' }]);
    const v2 = await client(a);
    await start(v2);
    v2.socket.emit('audio_chunk', { chunk: silence(1000), seq: 1 });
    v2.socket.emit('audio_chunk', { chunk: silence(1000), seq: 2 });
    await expect.poll(() => lastAck(v2), { timeout: 5_000 }).toBeGreaterThanOrEqual(16_000);
    v2.socket.emit('audio_chunk', { chunk: tone(1000), seq: 3 });
    await v2.next('transcription_result');
    for (let n = 4; n <= 6; n++) v2.socket.emit('audio_chunk', { chunk: silence(1000), seq: n });
    // Two heartbeats.
    await delay(2_200);
    expect(lastAck(v2)).toBeLessThanOrEqual(32_000);
    expect(v2.all('audio_ack').every(({ seq, offset }) => Number(seq) * 16_000 <= Number(offset))).toBe(true);
  });

  it('"stored together with its chunk number and offset": the ack names the chunks that are covered whole', async () => {
    const { a, fields } = await two();
    const v2 = await client(a);
    const started = await start(v2);
    say(v2, 1, 2, 3);
    await expect.poll(() => v2.all('audio_ack').at(-1)).toEqual({ seq: 2, offset: 2 * CHUNK + SPOKEN });
    expect(await fields(started.session_id, 'offset', 'chunk', 'chunkEnd')).toEqual([
      String(2 * CHUNK + SPOKEN),
      '2',
      String(2 * CHUNK),
    ]);
  });

  it('"on resume the server drops the samples before the watermark, to the sample"', async () => {
    const { a, b } = await two();
    const first = await client(a);
    const started = await start(first);
    // One chunk: the first utterance, and the beginning of the second.
    const whole = Buffer.concat([utterance(1), utterance(2)]);
    const cut = (CHUNK + 1_700) * 2;
    first.socket.emit('audio_chunk', { chunk: whole.subarray(0, cut), seq: 1 });
    await heard(first, final(1));
    first.close();
    const second = await client(b);
    resume(second, started, knowing(1, 1));
    expect(await second.next('transcription_resumed')).toMatchObject({ next_chunk: 1, next_offset: 0, missed: 0 });
    second.socket.emit('audio_chunk', { chunk: whole.subarray(0, cut), seq: 1 });
    second.socket.emit('audio_chunk', { chunk: whole.subarray(cut), seq: 2 });
    await heard(second, final(2));
  });
});

describeWithRedis('Chunks are in order', () => {
  it('"one refused for its rate does not" use up its number', async () => {
    const { a } = await two({ GATEWAY_BACKLOG_MS: '1000' });
    const v2 = await client(a);
    await start(v2);
    // In one burst, of which the engine takes little in between.
    const replies = await Promise.all(
      [1, 2, 3, 4, 5].map((seq) => emitWithAck(v2, 'audio_chunk', { chunk: tone(900), seq })),
    );
    const codes = replies.map((reply) => (reply as { error?: { code: string } }).error?.code);
    const refused = 1 + codes.indexOf('audio_rate_exceeded');
    expect(refused).toBeGreaterThan(0);
    expect(v2.all('error')[0]).toMatchObject({ code: 'audio_rate_exceeded', retryable: true });
    await expect.poll(() => v2.all('error').at(-1)).toMatchObject({ code: 'chunk_gap', expected: refused });
    expect(await emitWithAck(v2, 'audio_chunk', { chunk: tone(900), seq: refused })).toMatchObject({ ok: true });
  });

  it('"a client that no longer holds expected sends resume_transcription again, also on the same connection, and the session gets a transcription_gap"', async () => {
    const { a } = await two();
    const v2 = await client(a);
    const started = await start(v2);
    say(v2, 1);
    await heard(v2, final(1));
    say(v2, 4);
    expect(await v2.next('error')).toMatchObject({ code: 'chunk_gap', expected: 2 });
    resume(v2, started, { ...knowing(1, 1), oldest_chunk: 4, oldest_offset: 3 * CHUNK });
    expect(await v2.next('transcription_resumed')).toMatchObject({ next_chunk: 4, next_offset: 3 * CHUNK });
    say(v2, 4);
    await heard(v2, final(1), final(4, 3));
    expect(v2.all('transcription_gap')).toMatchObject([
      { seq: 2, from_sample: SPOKEN, to_sample: 3 * CHUNK, reason: 'client_overflow' },
    ]);
    expect(v2.all('taken_over')).toEqual([]);
  });

  it('"a client that no longer holds next_chunk": another worker reports the gap as well', async () => {
    const { a, b } = await two();
    const first = await client(a);
    const started = await start(first);
    say(first, 1);
    await heard(first, final(1));
    first.close();
    const second = await client(b);
    resume(second, started, { ...knowing(1, 1), oldest_chunk: 3, oldest_offset: 2 * CHUNK });
    expect(await second.next('transcription_resumed')).toMatchObject({ next_chunk: 3, next_offset: 2 * CHUNK });
    say(second, 3);
    await heard(second, final(3, 3));
    expect(second.all('transcription_gap')).toMatchObject([
      { seq: 2, from_sample: SPOKEN, to_sample: 2 * CHUNK, reason: 'client_overflow' },
    ]);
  });
});

describeWithRedis('Stop', () => {
  it('"stopped is committed" before it is told, and "a resume of a stopped session replays what is missed and then gets transcription_stopped" on any worker', async () => {
    const { a, b, fields } = await two();
    const first = await client(a);
    const started = await start(first);
    say(first, 1, 2);
    first.socket.emit('stop_transcription', { last_chunk: 2 });
    expect(await first.next('transcription_stopped')).toMatchObject({ last_seq: 2, durable: true, finals: 2 });
    expect(await fields(started.session_id, 'stopped')).toEqual([expect.stringContaining('client_stop')]);
    for (const [index, pod] of [b, a].entries()) {
      const second = await client(pod);
      resume(second, started, knowing(1, index + 1, index + 1));
      expect(await second.next('transcription_stopped')).toMatchObject({ last_seq: 2, finals: 2, durable: true });
      expect(finals(second)).toEqual([final(2, 2, 'replayed')]);
    }
  });

  it('a stop is "repeated after a resume until transcription_stopped", and "a missing chunk gets chunk_gap, not a stop"', async () => {
    const { a, b } = await two();
    const first = await client(a);
    const started = await start(first);
    say(first, 1);
    await heard(first, final(1));
    first.close();
    const second = await client(b);
    resume(second, started, knowing(1, 1));
    await second.next('transcription_resumed');
    second.socket.emit('stop_transcription', { last_chunk: 2 });
    expect(await second.next('error')).toMatchObject({ code: 'chunk_gap', expected: 1 });
    say(second, 1, 2);
    second.socket.emit('stop_transcription', { last_chunk: 2 });
    second.socket.emit('stop_transcription', { last_chunk: 2 });
    expect(await second.next('transcription_stopped')).toMatchObject({ last_seq: 2, finals: 2, audio_ms: 600 });
    expect(finals(second)).toEqual([final(2)]);
  });

  it('a stop while the store is away is told as not durable, and committed when it is back', async () => {
    const { a, b } = await two();
    const first = await client(a);
    const started = await start(first);
    a.redisGate.shut();
    await expect.poll(() => a.metric('transcribe_gateway_store_available')).toBe(0);
    say(first, 1);
    first.socket.emit('stop_transcription', { last_chunk: 1 });
    expect(await first.next('transcription_stopped')).toMatchObject({ last_seq: 1, durable: false });
    a.redisGate.open();
    await expect.poll(() => a.metric('transcribe_gateway_sessions'), { timeout: 10_000 }).toBe(0);
    const second = await client(b);
    resume(second, started, knowing(0, 1));
    expect(await second.next('transcription_stopped')).toMatchObject({ last_seq: 1, durable: true });
    expect(finals(second)).toEqual([final(1, 1, 'replayed')]);
  });

  it('a client that missed the stop while the store is away is told of it once by its owner', async () => {
    const { a } = await two();
    const first = await client(a);
    const started = await start(first);
    a.redisGate.shut();
    await expect.poll(() => a.metric('transcribe_gateway_store_available')).toBe(0);
    say(first, 1);
    first.socket.emit('stop_transcription', { last_chunk: 1 });
    await first.next('transcription_stopped');
    first.close();
    const second = await returning(a, first);
    resume(second, started, knowing(0, 1));
    expect(await second.next('transcription_stopped')).toMatchObject({ last_seq: 1, durable: false });
    await heard(second, final(1, 1, 'replayed', 'not durable'));
    a.redisGate.open();
    await expect.poll(() => a.metric('transcribe_gateway_sessions'), { timeout: 10_000 }).toBe(0);
    expect(second.all('transcription_stopped')).toHaveLength(1);
    expect(finals(second)).toHaveLength(1);
  });

  it('only "for the resume window"; "an unknown session gets resume_expired"', async () => {
    const { a, b, record } = await two({ GATEWAY_RESUME_WINDOW_MS: '1000' });
    const first = await client(a);
    const started = await start(first);
    first.socket.emit('stop_transcription');
    await first.next('transcription_stopped');
    await expect.poll(() => record(started.session_id), { timeout: 5_000 }).toEqual({});
    for (const pod of [a, b]) {
      const second = await client(pod);
      resume(second, started, knowing(0, 1));
      expect(await second.next('error')).toMatchObject({ code: 'resume_expired', retryable: false });
    }
  });
});

describeWithRedis('One timeline', () => {
  it('"positions count from the first sample of the session, over every stream, parking and resume; they never run backwards"', async () => {
    const { a, b } = await two();
    const first = await client(a);
    const started = await start(first);
    const before = silence(340);
    const at = before.length / 2;
    const emit = (v2: TestClient, n: number) =>
      emitWithAck(v2, 'audio_chunk', { chunk: n === 1 ? before : utterance(n - 1), seq: n });
    const placed = (n: number) => [n, at + (n - 1) * CHUNK, at + (n - 1) * CHUNK + SPOKEN, wordsOf(n)];
    await emit(first, 1);
    await emit(first, 2);
    await heard(first, placed(1));
    await emitWithAck(first, 'pause_transcription');
    await expect.poll(() => a.engine.openStreams).toBe(0);
    await emit(first, 3);
    await heard(first, placed(1), placed(2));
    let attempt = 0;
    for (const [index, pod] of [b, b, a].entries()) {
      const n = index + 3;
      const second = await client(pod);
      const last_end = at + (n - 2) * CHUNK + SPOKEN;
      const held = { oldest_chunk: n, oldest_offset: at + (n - 2) * CHUNK };
      resume(second, started, {
        attempt: ++attempt,
        epoch: attempt,
        last_seq: n - 1,
        last_end,
        acked: last_end,
        ...held,
      });
      const { next_chunk } = await second.next('transcription_resumed');
      for (let chunk = Number(next_chunk); chunk <= n + 1; chunk++) await emit(second, chunk);
      await heard(second, placed(n));
      second.close();
    }
  });
});

describeWithRedis('Version-1 sessions', () => {
  it('a version-1 session "ends at disconnect, without lingering", and is not stored', async () => {
    const { a, dump } = await two();
    const v1 = connect(a.url);
    closers.push(v1.close);
    v1.socket.emit('start_transcription');
    await v1.next('transcription_started');
    v1.socket.emit('audio_chunk', { chunk: utterance(1).toString('base64') });
    await expect.poll(() => v1.all('transcription_result').at(-1)).toEqual({ text: wordsOf(1), is_partial: false });
    expect((await dump()).size).toBe(0);
    v1.close();
    await expect.poll(() => a.metric('transcribe_gateway_sessions')).toBe(0);
    expect(a.engine.openStreams).toBe(0);
  });
});

describeWithRedis('Secrets', () => {
  it('"resume_token is bound to the principal that started the session"', async () => {
    const { a, b, tamper } = await two();
    const first = await client(a);
    const started = await start(first);
    first.close();
    await tamper(started.session_id, { principal: createHash('sha256').update('issuer somebody-else').digest() });
    const second = await client(b);
    resume(second, started, knowing(0, 1));
    expect(await second.next('error')).toMatchObject({ code: 'forbidden' });
  });

  it('"from it HKDF derives the journal key; watch_token carries only that"; "the store holds hashes of both"', async () => {
    const { a, record } = await two();
    const v2 = await client(a);
    const { resume_token, session_id, watch_token } = await start(v2);
    const secret = Buffer.from(resume_token, 'base64url');
    expect(secret).toHaveLength(32);
    const key = Buffer.from(hkdfSync('sha256', secret, session_id, 'transcribe-gateway journal key', 32));
    expect(watch_token).toBe(key.toString('base64url'));
    const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest();
    expect(await record(session_id)).toMatchObject({ resume: sha256(secret), watch: sha256(key) });
  });

  it('"a dump of Redis contains no word that anyone said", no token, no key, no audio and no identity', async () => {
    const { a, b } = await twoWith(() =>
      [1, 2, 3].map((n) => ({
        do: 'final',
        atSample: n * 16_000,
        fromSample: (n - 1) * 16_000,
        text: `zebra quagga${n}`,
      })),
    );
    const start_key = 'a-start-key-of-the-client';
    const first = await client(a);
    const started = await start(first, { start_key });
    const audio = tone(1000);
    for (let n = 1; n <= 3; n++) first.socket.emit('audio_chunk', { chunk: audio, seq: n });
    await expect.poll(() => finals(first)).toHaveLength(3);
    const second = await client(b);
    resume(second, started, knowing(0, 1));
    await second.next('transcription_resumed');
    const everything = await redis.withClient(async (plain) => {
      const parts: Buffer[] = [];
      for (const key of await plain.keys('*')) {
        parts.push(Buffer.from(key), (await plain.dumpBuffer(key)) ?? Buffer.alloc(0));
        if ((await plain.type(key)) !== 'hash') continue;
        // As it is, too: a dump may be compressed.
        for (const [field, value] of Object.entries(await plain.hgetallBuffer(key)))
          parts.push(Buffer.from(field), value);
      }
      return Buffer.concat(parts);
    });
    const { resume_token, session_id, watch_token } = started;
    // What must be there, so that the search is known to work.
    expect(everything.includes(session_id.split('.')[1] ?? '')).toBe(true);
    const secrets = [resume_token, watch_token].flatMap((token) => {
      const bytes = Buffer.from(token, 'base64url');
      return [token, bytes, bytes.toString('hex'), bytes.toString('base64')];
    });
    for (const forbidden of [
      ...secrets,
      'zebra',
      'quagga',
      'anonymous',
      start_key,
      audio.subarray(100, 116),
      audio.subarray(300, 330).toString('base64'),
    ]) {
      expect(everything.includes(forbidden), `${forbidden.toString()} is in the store`).toBe(false);
    }
  });
});
