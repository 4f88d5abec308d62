import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { encodeBlock } from '../../src/emulator/coded-block.ts';
import { connect, emitWithAck, silence, type TestClient } from '../support/client.ts';
import { CodedEngine } from '../support/coded-engine.ts';
import { scripted, startGateway, type TestGateway } from '../support/gateway.ts';
import { describeWithRedis, RedisServer } from '../support/redis.ts';
import { TwoGateways } from '../support/two-gateways.ts';

interface Started {
  readonly session_id: string;
  readonly resume_token: string;
  readonly watch_token: string;
}

const closers: (() => unknown)[] = [];
let keys = 0;

async function client(gateway: Pick<TestGateway, 'url'>, transports = ['websocket']): Promise<TestClient> {
  const one = connect(gateway.url, { auth: { protocol: 2 }, transports });
  closers.push(one.close);
  await one.next('connected');
  return one;
}

async function start(v2: TestClient, more: object = {}): Promise<Started> {
  const start_key = `viewer-key-${String(++keys).padStart(16, '0')}`;
  v2.socket.emit('start_transcription', { acks: true, start_key, attempt: 1, ...more });
  return (await v2.next('transcription_started')) as unknown as Started;
}

/** Chunk n: an utterance of its own, `b1 b2 b3` for the first, which its silence ends. */
function chunk(n: number, blocks = 3) {
  const spoken = Array.from({ length: blocks }, (_, index) => encodeBlock((n - 1) * blocks + index + 1));
  return Buffer.concat([...spoken, ...Array.from({ length: 4 }, () => encodeBlock(0))]);
}

function say(speaker: TestClient, n: number): void {
  speaker.socket.emit('audio_chunk', { chunk: chunk(n), seq: n });
}

async function spoken(speaker: TestClient, from: number, to: number): Promise<void> {
  for (let n = from; n <= to; n++) say(speaker, n);
  await vi.waitFor(() => expect(finals(speaker).length).toBeGreaterThanOrEqual(to), 10_000);
}

const watch = (viewer: TestClient, { session_id, watch_token }: Started, after_seq = 0) =>
  emitWithAck(viewer, 'watch_transcription', { session_id, watch_token, after_seq });

const finals = (one: TestClient) => one.all('transcription_result').filter(({ is_partial }) => is_partial === false);
const partials = (one: TestClient) => one.all('transcription_result').filter(({ is_partial }) => is_partial === true);
const seqs = (one: TestClient) => finals(one).map(({ seq }) => seq);
const upTo = (last: number, from = 1) => Array.from({ length: last - from + 1 }, (_, index) => from + index);
const texts = (one: TestClient) => finals(one).map(({ text }) => text);

async function has(one: TestClient, last: number, from = 1): Promise<void> {
  await vi.waitFor(() => expect(seqs(one)).toEqual(upTo(last, from)), 10_000);
}

afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

describe('viewers of one gateway', () => {
  const gateway = async (environment: Record<string, string> = {}) => {
    const one = await startGateway(new CodedEngine(), { GATEWAY_DRAIN_TIMEOUT_MS: '1000', ...environment });
    closers.push(() => one.app.close());
    return one;
  };

  it('get what was said before they came, then what is said, then the end', async () => {
    const one = await gateway();
    const speaker = await client(one);
    const session = await start(speaker);
    await spoken(speaker, 1, 3);
    const viewer = await client(one);
    expect(await watch(viewer, session)).toEqual({ ok: true, session_id: session.session_id });
    expect(seqs(viewer)).toEqual([1, 2, 3]);
    expect(finals(viewer).map(({ replayed }) => replayed)).toEqual([true, true, true]);
    await spoken(speaker, 4, 6);
    await has(viewer, 6);
    expect(texts(viewer)).toEqual(texts(speaker));
    const { replayed: _replayed, ...first } = finals(viewer)[0] ?? {};
    expect(first).toEqual(finals(speaker)[0]);
    expect(finals(viewer)[5]).toEqual(finals(speaker)[5]);
    speaker.socket.emit('stop_transcription', {});
    const [stopped, seen] = await Promise.all([speaker, viewer].map((each) => each.next('transcription_stopped')));
    expect(seen).toEqual(stopped);
    expect(seqs(viewer)).toEqual(upTo(6));
    expect(await one.metric('transcribe_gateway_viewers')).toBe(0);
  });

  it('get only what is after the number that they name, and partials as they come', async () => {
    const one = await gateway();
    const speaker = await client(one);
    const session = await start(speaker);
    await spoken(speaker, 1, 3);
    const viewer = await client(one);
    await watch(viewer, session, 2);
    expect(seqs(viewer)).toEqual([3]);
    const half = Buffer.concat(upTo(17, 10).map(encodeBlock));
    speaker.socket.emit('audio_chunk', { chunk: half, seq: 4 });
    await vi.waitFor(() =>
      expect(partials(viewer).at(-1)).toMatchObject({
        text: 'b10 b11 b12 b13 b14 b15 b16 b17',
        after_seq: 3,
        epoch: 1,
      }),
    );
    expect(partials(viewer).at(-1)).toEqual(partials(speaker).at(-1));
    // Who comes later gets the last one at once.
    const later = await client(one);
    await watch(later, session, 3);
    await vi.waitFor(() => expect(partials(later).at(-1)?.text).toMatch(/^b10 .* b17$/));
  });

  it('are refused with another token, another session, and one that is malformed', async () => {
    const one = await gateway();
    const speaker = await client(one);
    const session = await start(speaker);
    await spoken(speaker, 1, 1);
    const viewer = await client(one);
    const refused = { ok: false, error: { code: 'watch_refused', retryable: false } };
    const resume = { ...session, watch_token: session.resume_token };
    expect(await watch(viewer, resume)).toMatchObject(refused);
    expect(await watch(viewer, { ...session, watch_token: 'x' })).toMatchObject(refused);
    expect(
      await watch(viewer, {
        ...session,
        session_id: session.session_id.replace(/.$/, (last) => (last === 'A' ? 'B' : 'A')),
      }),
    ).toMatchObject(refused);
    expect(await watch(viewer, { ...session, session_id: 'x' })).toMatchObject(refused);
    expect(await emitWithAck(viewer, 'watch_transcription')).toMatchObject({ error: { code: 'bad_request' } });
    expect(viewer.all('transcription_result')).toEqual([]);
    // The right one still opens it, also on this connection.
    expect(await watch(viewer, session)).toMatchObject({ ok: true });
    await has(viewer, 1);
  });

  it('may only read: the watch token neither resumes nor stops the session', async () => {
    const one = await gateway();
    const speaker = await client(one);
    const session = await start(speaker);
    const viewer = await client(one);
    await watch(viewer, session);
    const resume = { attempt: 1, epoch: 1, last_seq: 0, last_end: 0, acked: 0, oldest_chunk: 1, oldest_offset: 0 };
    const { session_id, watch_token } = session;
    expect(
      await emitWithAck(viewer, 'resume_transcription', { session_id, resume_token: watch_token, ...resume }),
    ).toMatchObject({ error: { code: 'forbidden' } });
    expect(await emitWithAck(viewer, 'stop_transcription')).toMatchObject({ error: { code: 'no_session' } });
    await spoken(speaker, 1, 1);
    await has(viewer, 1);
  });

  it('can leave, come back at their place, and watch one session while they speak in another', async () => {
    const one = await gateway();
    const speaker = await client(one);
    const session = await start(speaker);
    const viewer = await client(one);
    await watch(viewer, session);
    await spoken(speaker, 1, 2);
    await has(viewer, 2);
    await emitWithAck(viewer, 'unwatch_transcription', { session_id: session.session_id });
    await spoken(speaker, 3, 4);
    expect(seqs(viewer)).toEqual([1, 2]);
    await watch(viewer, session, 2);
    await has(viewer, 4);
    const own = await start(viewer);
    viewer.socket.emit('audio_chunk', { chunk: chunk(500), seq: 1 });
    await vi.waitFor(() => {
      const results = finals(viewer).filter(({ session_id }) => session_id === own.session_id);
      expect(results.map(({ text }) => text)).toEqual(['b1498 b1499 b1500']);
    });
    expect(finals(speaker).every(({ session_id }) => session_id === session.session_id)).toBe(true);
  });

  it('get the whole of a session that is over, as long as it is known', async () => {
    const one = await gateway();
    const speaker = await client(one);
    const session = await start(speaker);
    await spoken(speaker, 1, 2);
    speaker.socket.emit('stop_transcription', {});
    await speaker.next('transcription_stopped');
    const viewer = await client(one);
    expect(await watch(viewer, session)).toMatchObject({ ok: true });
    await viewer.next('transcription_stopped');
    expect(seqs(viewer)).toEqual([1, 2]);
  });

  it('are told of entries that were trimmed before they came', async () => {
    const one = await gateway({ GATEWAY_JOURNAL_ENTRIES: '2' });
    const speaker = await client(one);
    const session = await start(speaker);
    await spoken(speaker, 1, 5);
    const viewer = await client(one);
    await watch(viewer, session);
    const [first] = finals(speaker).slice(2);
    expect(viewer.all('transcription_gap')).toEqual([
      expect.objectContaining({ seq: 3, reason: 'journal_trimmed', from_sample: 0, to_sample: first?.end_sample }),
    ]);
    expect(seqs(viewer)).toEqual([4, 5]);
  });

  it('get both channels', async () => {
    const steps = [0, 1].map(
      (channel) => ({ do: 'final', atSample: 1_600, text: `channel ${channel}`, channel }) as const,
    );
    const one = await startGateway(scripted(steps, { capabilities: { features: ['channels'] } }));
    closers.push(() => one.app.close());
    const speaker = await client(one);
    const session = await start(speaker, { channels: 2 });
    const viewer = await client(one);
    await watch(viewer, session);
    speaker.socket.emit('audio_chunk', { chunk: Buffer.concat([silence(200), silence(200)]), seq: 1 });
    await has(viewer, 2);
    expect(finals(viewer).map(({ channel, text }) => [channel, text])).toEqual([
      [0, 'channel 0'],
      [1, 'channel 1'],
    ]);
  });
});

describeWithRedis('viewers of two gateways', () => {
  let redis: RedisServer;
  beforeAll(async () => {
    redis = await RedisServer.start();
  });
  afterAll(() => redis.stop());

  const two = async (environment: Record<string, string> = {}) => {
    const gateways = await TwoGateways.start(redis, environment);
    closers.push(() => gateways.close());
    return gateways;
  };

  it('see the same on either, with partials', async () => {
    const { a, b } = await two();
    const speaker = await client(a);
    const session = await start(speaker);
    const here = await client(a);
    const there = await client(b);
    await Promise.all([watch(here, session), watch(there, session)]);
    for (let n = 1; n <= 5; n++) {
      speaker.socket.emit('audio_chunk', { chunk: chunk(n, 8).subarray(0, 5_120), seq: 2 * n - 1 });
      await vi.waitFor(() => expect(partials(there).at(-1)?.after_seq).toBe(n - 1), 5_000);
      speaker.socket.emit('audio_chunk', { chunk: silence(160), seq: 2 * n });
      await has(speaker, n);
    }
    await Promise.all([has(here, 5), has(there, 5)]);
    expect(finals(there)).toEqual(finals(speaker));
    expect(finals(here)).toEqual(finals(speaker));
    speaker.socket.emit('stop_transcription', {});
    await Promise.all([here, there].map((viewer) => viewer.next('transcription_stopped')));
  });
});
