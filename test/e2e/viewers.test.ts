import type { Socket as NetSocket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { encodeBlock } from '../../src/emulator/coded-block.ts';
import { drawMs, seededRandom } from '../../src/emulator/random.ts';
import { connect, emitWithAck, silence, type TestClient } from '../support/client.ts';
import { CodedEngine } from '../support/coded-engine.ts';
import { connectBeside, scripted, startGateway, type TestGateway } from '../support/gateway.ts';
import { killAll, serveGateway } from '../support/process.ts';
import { describeWithRedis, RedisServer, startCluster } from '../support/redis.ts';
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

/** Says utterance n in two halves, so that there is a partial of it; each utterance takes two chunks. */
async function saySlowly(speaker: TestClient, n: number): Promise<void> {
  const before = partials(speaker).length;
  speaker.socket.emit('audio_chunk', { chunk: chunk(n, 8).subarray(0, 5_120), seq: 2 * n - 1 });
  await vi.waitFor(() => expect(partials(speaker).length).toBeGreaterThan(before), 5_000);
  speaker.socket.emit('audio_chunk', { chunk: silence(160), seq: 2 * n });
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
    closers.push(() => one.release());
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
    // Who comes later to the worker that has it gets the last one at once.
    const later = await connectBeside(one, viewer, () => client(one));
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

  it('are asked to go on elsewhere when their gateway drains', async () => {
    const one = await gateway();
    const speaker = await client(one);
    const session = await start(speaker);
    await spoken(speaker, 1, 1);
    const viewer = await client(one);
    await watch(viewer, session);
    const closed = one.close();
    expect(await viewer.next('server_draining')).toMatchObject({ reconnect_within_ms: expect.any(Number) });
    await closed;
  });

  it('get both channels', async () => {
    const steps = [0, 1].map(
      (channel) => ({ do: 'final', atSample: 1_600, text: `channel ${channel}`, channel }) as const,
    );
    const one = await startGateway(scripted(steps, { capabilities: { features: ['channels'] } }));
    closers.push(() => one.release());
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

describe('a viewer that does not read', () => {
  /** Stops reading at the socket, as a phone does in a tunnel; the kernel holds a few megabytes before that shows. */
  const stall = (viewer: TestClient) => {
    const { transport } = viewer.socket.io.engine as unknown as { transport: { ws: { _socket: NetSocket } } };
    transport.ws._socket.pause();
    return () => transport.ws._socket.resume();
  };
  /** Without an assertion that fails, which would print megabytes. */
  const until = async (isTrue: () => boolean) => {
    const deadline = performance.now() + 10_000;
    while (!isTrue() && performance.now() < deadline) await delay(2);
    expect(isTrue()).toBe(true);
  };
  /** One word, because each has a place of its own in a result. */
  const LONG = 'x'.repeat(30_000);
  const CHUNK_SAMPLES = 3_200;

  it('gets the newest partial alone when it reads again, every final, and slows nobody', async () => {
    const steps = upTo(300).map((n) =>
      n % 30 === 0
        ? ({
            do: 'final',
            atSample: n * CHUNK_SAMPLES,
            fromSample: (n - 1) * CHUNK_SAMPLES,
            text: `${n} ${LONG}`,
          } as const)
        : ({
            do: 'partial',
            atSample: n * CHUNK_SAMPLES,
            fromSample: (n - 1) * CHUNK_SAMPLES,
            text: `${n} ${LONG}`,
          } as const),
    );
    const one = await startGateway(scripted([...steps]), { GATEWAY_DRAIN_TIMEOUT_MS: '1000' });
    closers.push(() => one.release());
    const speaker = await client(one);
    const session = await start(speaker);
    const [slow, quick] = [await client(one), await client(one)];
    await Promise.all([watch(slow, session), watch(quick, session)]);
    const resume = stall(slow);
    for (let n = 1; n <= 295; n++) {
      speaker.socket.emit('audio_chunk', { chunk: silence(200), seq: n });
      await until(() => speaker.all('transcription_result').length >= n);
    }
    await until(() => finals(quick).length >= 9);
    expect(await one.metric('transcribe_gateway_viewer_partials_skipped_total')).toBeGreaterThan(50);
    resume();
    await until(() => finals(slow).length >= 9);
    expect(seqs(slow)).toEqual(upTo(9));
    await until(() => String(partials(slow).at(-1)?.text).startsWith('295 '));
    expect(partials(slow).length).toBeLessThan(partials(quick).length);
    const order = (viewer: TestClient) =>
      viewer.all('transcription_result').map(({ text }) => Number.parseInt(String(text), 10));
    expect(order(slow)).toEqual(order(slow).toSorted((x, y) => x - y));
  }, 30_000);

  it('is cut when its finals pile up, while the speaker and the others get theirs', async () => {
    const FINALS = 60;
    const finalsOf = (n: number) =>
      upTo(FINALS).map((part) => {
        const begin = (n - 1) * CHUNK_SAMPLES + (part - 1) * 20;
        return { do: 'final', atSample: begin + 20, fromSample: begin, text: `${n} ${LONG.slice(0, 4_000)}` } as const;
      });
    const one = await startGateway(scripted(upTo(60).flatMap(finalsOf)), { GATEWAY_DRAIN_TIMEOUT_MS: '1000' });
    closers.push(() => one.release());
    const speaker = await client(one);
    const session = await start(speaker);
    const [slow, quick] = [await client(one), await client(one)];
    await Promise.all([watch(slow, session), watch(quick, session)]);
    stall(slow);
    let chunks = 0;
    const more = async () => {
      speaker.socket.emit('audio_chunk', { chunk: silence(200), seq: ++chunks });
      await until(() => finals(speaker).length >= chunks * FINALS);
    };
    while (chunks < 40) await more();
    const deadline = performance.now() + 12_000;
    while ((await one.metric('transcribe_gateway_slow_connections_total')) === 0 && performance.now() < deadline) {
      await delay(500);
      await more();
    }
    expect(await one.metric('transcribe_gateway_slow_connections_total')).toBe(1);
    await until(() => finals(quick).length >= chunks * FINALS);
    expect(seqs(quick)).toEqual(upTo(chunks * FINALS));
    expect(await one.metric('transcribe_gateway_viewers')).toBe(1);
  }, 40_000);
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
    let seq = 0;
    for (let n = 1; n <= 5; n++) {
      // A partial may get lost between the gateways; then the next one shows.
      for (let part = 0; part < 4 && partials(there).at(-1)?.after_seq !== n - 1; part++) {
        const spoken = Array.from({ length: 8 }, (_, index) => encodeBlock(100 * n + 8 * part + index));
        speaker.socket.emit('audio_chunk', { chunk: Buffer.concat(spoken), seq: ++seq });
        const isShown = () => expect(partials(there).at(-1)?.after_seq).toBe(n - 1);
        await vi.waitFor(isShown, 2_000).catch(() => undefined);
      }
      expect(partials(there).at(-1)?.after_seq).toBe(n - 1);
      speaker.socket.emit('audio_chunk', { chunk: silence(160), seq: ++seq });
      await has(speaker, n);
    }
    await Promise.all([has(here, 5), has(there, 5)]);
    expect(finals(there)).toEqual(finals(speaker));
    expect(finals(here)).toEqual(finals(speaker));
    speaker.socket.emit('stop_transcription', {});
    await Promise.all([here, there].map((viewer) => viewer.next('transcription_stopped')));
  });

  it('miss nothing and get nothing twice, whenever they join a stream of finals', async () => {
    const last = 150;
    // A hundred clients and both gateways are one process here, which may be slow to read Redis' answers.
    const { a, b } = await two({ GATEWAY_JOURNAL_ENTRIES: '1000', GATEWAY_REDIS_TIMEOUT_MS: '10000' });
    const speaker = await client(a);
    const session = await start(speaker);
    const random = seededRandom(7);
    const viewers = await Promise.all(Array.from({ length: 100 }, (_, nth) => client(nth % 2 === 0 ? a : b)));
    const speaking = (async () => {
      for (let n = 1; n <= last; n++) {
        say(speaker, n);
        await delay(drawMs({ min: 4, max: 24 }, random));
      }
    })();
    const joins = viewers.map(async (viewer) => {
      await delay(drawMs({ min: 0, max: 2_000 }, random));
      const after = Math.floor(random() * (finals(speaker).length + 1));
      expect(await watch(viewer, session, after)).toMatchObject({ ok: true });
      return { viewer, after };
    });
    await speaking;
    const joined = await Promise.all(joins);
    await has(speaker, last);
    await vi.waitFor(() => {
      for (const { after, viewer } of joined) expect(seqs(viewer)).toEqual(upTo(last, after + 1));
    }, 10_000);
    for (const { after, viewer } of joined) expect(texts(viewer)).toEqual(texts(speaker).slice(after));
    expect(await b.metric('transcribe_gateway_viewers')).toBe(50);
  }, 30_000);

  it('follow a session to its next owner, and the last one is told of it at once', async () => {
    const { a, b } = await two();
    const speaker = await client(a);
    const session = await start(speaker);
    const here = await client(a);
    const there = await client(b);
    await Promise.all([watch(here, session), watch(there, session)]);
    await spoken(speaker, 1, 2);
    const again = await client(b);
    const [, second] = finals(speaker);
    again.socket.emit('resume_transcription', {
      session_id: session.session_id,
      resume_token: session.resume_token,
      attempt: 1,
      epoch: 1,
      last_seq: 2,
      last_end: second?.end_sample,
      acked: 0,
      oldest_chunk: 1,
      oldest_offset: 0,
    });
    const { next_chunk } = await again.next('transcription_resumed');
    for (let n = Number(next_chunk); n <= 4; n++) say(again, n);
    await Promise.all([has(here, 4), has(there, 4)]);
    expect(finals(there).map(({ epoch }) => epoch)).toEqual([1, 1, 2, 2]);
    expect(texts(there)).toEqual(upTo(4).map((n) => `b${3 * n - 2} b${3 * n - 1} b${3 * n}`));
    expect(await speaker.next('taken_over', 500)).toMatchObject({ epoch: 2 });
  });

  it('wait for Redis, get what was committed meanwhile and nothing that is stale', async () => {
    const { a, b } = await two();
    const speaker = await client(a);
    const session = await start(speaker);
    const here = await client(a);
    const there = await client(b);
    await Promise.all([watch(here, session), watch(there, session)]);
    await spoken(speaker, 1, 2);
    await Promise.all([has(here, 2), has(there, 2)]);
    for (const pod of [a, b]) pod.redisGate.shut();
    await spoken(speaker, 3, 5);
    // Not committed, hence not shown.
    expect(finals(speaker).at(-1)).toMatchObject({ seq: 5, durable: false });
    expect(seqs(here)).toEqual([1, 2]);
    const late = await client(b);
    expect(await watch(late, session)).toMatchObject({ error: { code: 'store_unavailable', retryable: true } });
    for (const pod of [a, b]) pod.redisGate.open();
    await Promise.all([has(here, 5), has(there, 5)]);
    await spoken(speaker, 6, 7);
    await Promise.all([has(here, 7), has(there, 7)]);
    const shown = partials(there).map(({ after_seq }) => Number(after_seq));
    expect(shown).toEqual(shown.toSorted((x, y) => x - y));
  }, 30_000);

  it('get partials again after Redis was away', async () => {
    const { a, b } = await two();
    const speaker = await client(a);
    const session = await start(speaker);
    const viewer = await client(b);
    await watch(viewer, session);
    b.redisGate.shut();
    await saySlowly(speaker, 1);
    b.redisGate.open();
    await has(viewer, 1);
    for (let n = 2; partials(viewer).length === 0; n++) {
      await saySlowly(speaker, n);
      await has(viewer, n);
    }
    expect(partials(viewer)[0]).toEqual(
      partials(speaker).find(({ after_seq }) => after_seq === partials(viewer)[0]?.after_seq),
    );
  }, 30_000);

  it('make Redis carry nothing while nobody watches, and no word when somebody does', async () => {
    const { a, b } = await two();
    const listener = new Redis({ ...redis.node, lazyConnect: true });
    await listener.connect();
    closers.push(() => listener.disconnect());
    const published: Buffer[] = [];
    listener.on('pmessageBuffer', (_pattern, _channel, message: Buffer) => published.push(message));
    await listener.psubscribe('*');
    const speaker = await client(a);
    const session = await start(speaker);
    await spoken(speaker, 1, 3);
    expect(published).toEqual([]);
    const viewer = await client(b);
    await watch(viewer, session);
    await spoken(speaker, 4, 6);
    await has(viewer, 6);
    const all = () => Buffer.concat(published).toString('latin1');
    await vi.waitFor(() => expect(published.filter((one) => one.includes('entry'))).toHaveLength(3));
    expect(all()).toContain('entry');
    expect(all()).not.toMatch(/b1[0-8]|text|isPartial/);
    expect(await a.metric('transcribe_gateway_live_messages_total{outcome="published"}')).toBeGreaterThan(2);
  });

  it('share one read and one room', async () => {
    const { a, b } = await two();
    const speaker = await client(a);
    const session = await start(speaker);
    await spoken(speaker, 1, 3);
    const viewers = await Promise.all(Array.from({ length: 20 }, () => client(b)));
    await Promise.all(viewers.map((viewer) => watch(viewer, session)));
    expect(await b.metric('transcribe_gateway_viewer_reads_total{outcome="read"}')).toBeLessThan(20);
    await spoken(speaker, 4, 4);
    await Promise.all(viewers.map((viewer) => has(viewer, 4)));
    for (const viewer of viewers) viewer.close();
    await vi.waitFor(async () => expect(await b.metric('transcribe_gateway_viewers')).toBe(0));
  });

  it('go on without a break when the owner is killed', async () => {
    const env = {
      GATEWAY_ENGINE: 'scripted',
      REDIS_URL: redis.url,
      GATEWAY_REDIS_PREFIX: 'killed:',
      GATEWAY_DRAIN_TIMEOUT_MS: '1000',
    };
    const [owner, other] = await Promise.all([serveGateway(env), serveGateway(env)]);
    closers.push(killAll);
    const speaker = await client(owner);
    const session = await start(speaker);
    const viewer = await client(other);
    await watch(viewer, session);
    const second = silence(1_000);
    for (let n = 1; n <= 3; n++) speaker.socket.emit('audio_chunk', { chunk: second, seq: n });
    await Promise.all([has(speaker, 3), has(viewer, 3)]);
    owner.child.kill('SIGKILL');
    await owner.exited;
    const again = await client(other);
    again.socket.emit('resume_transcription', {
      session_id: session.session_id,
      resume_token: session.resume_token,
      attempt: 1,
      epoch: 1,
      last_seq: 3,
      last_end: 48_000,
      acked: 0,
      oldest_chunk: 1,
      oldest_offset: 0,
    });
    const { next_chunk } = await again.next('transcription_resumed');
    for (let n = Number(next_chunk); n <= 6; n++) again.socket.emit('audio_chunk', { chunk: second, seq: n });
    await has(viewer, 6);
    again.socket.emit('audio_chunk', { chunk: silence(600), seq: 7 });
    await vi.waitFor(() => expect(partials(viewer).at(-1)).toMatchObject({ epoch: 2, after_seq: 6 }), 5_000);
    again.socket.emit('stop_transcription', {});
    expect(await viewer.next('transcription_stopped')).toMatchObject({ last_seq: 7 });
  }, 30_000);
});

describeWithRedis('viewers on a cluster of Redis', () => {
  it('see the same on either gateway', async () => {
    const servers = await startCluster();
    closers.push(() => Promise.all(servers.map((server) => server.stop())));
    const start2 = async () => {
      const one = await startGateway(new CodedEngine(), {
        REDIS_URL: servers[0]?.url ?? '',
        GATEWAY_REDIS_MODE: 'cluster',
        GATEWAY_DRAIN_TIMEOUT_MS: '1000',
      });
      closers.push(() => one.release());
      return one;
    };
    const [a, b] = await Promise.all([start2(), start2()]);
    const speaker = await client(a);
    const session = await start(speaker);
    const viewer = await client(b);
    await watch(viewer, session);
    for (let n = 1; n <= 10; n++) {
      await saySlowly(speaker, n);
      await has(viewer, n);
    }
    await vi.waitFor(() => expect(partials(viewer).length).toBeGreaterThan(0));
    expect(finals(viewer)).toEqual(finals(speaker));
    expect(await a.metric('transcribe_gateway_live_messages_total{outcome="published"}')).toBeGreaterThan(9);
  }, 60_000);
});
