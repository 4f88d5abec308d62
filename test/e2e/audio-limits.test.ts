/** How much audio a session may have, how fast it may come, and how many events. */
import { afterEach, describe, expect, it } from 'vitest';
import type { TranscriptionError } from '../../src/client/index.ts';
import { encodeBlock } from '../../src/emulator/coded-block.ts';
import { connect, emitWithAck, type TestClient } from '../support/client.ts';
import { CodedEngine } from '../support/coded-engine.ts';
import { connectBeside, startGateway, type TestGateway } from '../support/gateway.ts';
import { killAll, serveGateway } from '../support/process.ts';
import { formatAccount, isClean } from '../support/reconcile.ts';
import { JWT_AUTH, signToken } from '../support/tokens.ts';
import { accountOf, orderFaults, recorded, speak, speech } from '../unit/client/spoken.ts';

const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
  killAll();
});

async function gatewayWith(environment: Record<string, string>): Promise<TestGateway> {
  const gateway = await startGateway(new CodedEngine(), environment);
  closers.push(() => gateway.release());
  return gateway;
}

async function arrive({ url }: { url: string }, protocol = 2, token?: string): Promise<TestClient> {
  const client = connect(url, { transports: ['websocket'], auth: { protocol, token } });
  closers.push(client.close);
  await client.next('connected');
  return client;
}

let keys = 0;
async function start(client: TestClient) {
  const start_key = `audio-key-${String(++keys).padStart(16, '0')}`;
  client.socket.emit('start_transcription', { acks: true, start_key, attempt: 1 });
  return (await client.next('transcription_started')) as { session_id: string; resume_token: string };
}

/** Samples of one chunk: ten coded blocks of speech, then five of silence. */
const CHUNK = 4_800;

/** The nth chunk, an utterance of its own of 300 ms. */
function utterance(n: number): Buffer {
  const spoken = Array.from({ length: 10 }, (_, index) => encodeBlock((n - 1) * 10 + index + 1));
  return Buffer.concat([...spoken, ...Array.from({ length: 5 }, () => encodeBlock(0))]);
}

const wordsOf = (n: number) => Array.from({ length: 10 }, (_, index) => `b${(n - 1) * 10 + index + 1}`).join(' ');

function say(client: TestClient, from: number, to: number): void {
  for (let n = from; n <= to; n++) {
    client.socket.emit('audio_chunk', { chunk: utterance(n), seq: n, offset: (n - 1) * CHUNK });
  }
}

const finalsOf = (client: TestClient) =>
  client
    .all('transcription_result')
    .filter(({ is_partial }) => is_partial === false)
    .map(({ text }) => text);

const metricOf = (gateway: TestGateway, limit: string) =>
  gateway.metric(`transcribe_gateway_limit_refusals_total{limit="${limit}"}`);

describe('a session that reaches its longest duration', () => {
  const SECOND = { GATEWAY_SESSION_AUDIO_MS: '1000' };

  it('gets its last finals, then why, then its end', async () => {
    const gateway = await gatewayWith(SECOND);
    const client = await arrive(gateway);
    const { session_id } = await start(client);
    say(client, 1, 8);
    expect(await client.next('transcription_stopped')).toMatchObject({
      session_id,
      reason: 'duration_exceeded',
      audio_ms: 900,
      last_seq: 3,
      durable: true,
    });
    expect(finalsOf(client)).toEqual([1, 2, 3].map(wordsOf));
    const order = client.received
      .filter(({ data }) => data.is_partial !== true)
      .map(({ event }) => event)
      .filter((event) => event !== 'audio_ack');
    // What was on its way then is answered as any audio without a session.
    expect(order.slice(0, 7)).toEqual([
      ...['connected', 'transcription_started'],
      ...Array<string>(3).fill('transcription_result'),
      ...['error', 'transcription_stopped'],
    ]);
    expect(client.all('error')[0]).toMatchObject({ code: 'duration_exceeded', retryable: false, session_id });
    expect(await metricOf(gateway, 'session_audio')).toBe(1);
    expect(await emitWithAck(client, 'start_transcription')).toMatchObject({ ok: true });
  });

  it('of version 1 is told by its message', async () => {
    const client = await arrive(await gatewayWith(SECOND), 1);
    client.socket.emit('start_transcription', {});
    await client.next('transcription_started');
    for (let n = 1; n <= 8; n++) client.socket.emit('audio_chunk', { chunk: utterance(n).toString('base64') });
    expect(await client.next('transcription_stopped')).toEqual({ status: 'stopped', message: 'Transcription stopped' });
    expect(client.all('error')[0]).toEqual({ message: expect.stringContaining('longest allowed duration') });
    expect(finalsOf(client)).toEqual([1, 2, 3].map(wordsOf));
  });

  it('has as much as its token says', async () => {
    const gateway = await gatewayWith({ ...SECOND, ...JWT_AUTH });
    const client = await arrive(gateway, 2, await signToken({ limits: { sessionSeconds: 1.6 } }));
    await start(client);
    say(client, 1, 8);
    expect(await client.next('transcription_stopped')).toMatchObject({ reason: 'duration_exceeded', audio_ms: 1500 });
  });

  it('has it over all its connections, and says it again to whoever comes for the end', async () => {
    const gateway = await gatewayWith(SECOND);
    const first = await arrive(gateway);
    const { resume_token, session_id } = await start(first);
    say(first, 1, 2);
    await expect.poll(() => finalsOf(first)).toEqual([1, 2].map(wordsOf));
    first.close();
    const resume = async (attempt: number) => {
      const client = await connectBeside(gateway, first, () => arrive(gateway));
      client.socket.emit('resume_transcription', {
        ...{ session_id, resume_token, attempt, epoch: 1, last_seq: 2, last_end: CHUNK + 3_200, acked: CHUNK + 3_200 },
        ...{ oldest_chunk: 2, oldest_offset: CHUNK },
      });
      return client;
    };
    const second = await resume(2);
    await second.next('transcription_resumed');
    say(second, 3, 6);
    await second.next('transcription_stopped');
    expect(finalsOf(second)).toEqual([wordsOf(3)]);
    const third = await resume(3);
    expect(await third.next('transcription_stopped')).toMatchObject({ reason: 'duration_exceeded', audio_ms: 900 });
    expect(third.all('error')).toMatchObject([{ code: 'duration_exceeded' }]);
  });

  it('ends a transcription of the library with all its finals and the reason', async () => {
    const { url } = await gatewayWith(SECOND);
    const { client, entries, retries } = recorded({ url });
    const failed = new Promise<TranscriptionError>((resolve) => client.once('error', resolve));
    await client.start();
    for (let n = 1; n <= 8; n++) client.send(utterance(n));
    expect(await failed).toMatchObject({ code: 'duration_exceeded', retryable: false });
    const words = entries.flatMap((entry) => (entry.kind === 'final' ? [entry.text] : []));
    // The library cuts audio anew: the last utterance may be cut in two by the end.
    expect(words.slice(0, 3)).toEqual([1, 2, 3].map(wordsOf));
    expect(retries).toEqual([]);
  });
});

describe('audio that comes too fast', () => {
  const SLOW = {
    GATEWAY_AUDIO_SPEED: '1.1',
    GATEWAY_AUDIO_BURST_MS: '1000',
    GATEWAY_REPLAY_MS: '1000',
    GATEWAY_CATCH_UP_SPEED: '4',
  };

  it('is refused when the burst is used up, without using up the number of the chunk', async () => {
    const gateway = await gatewayWith(SLOW);
    const client = await arrive(gateway);
    await start(client);
    say(client, 1, 3);
    const send = () => emitWithAck(client, 'audio_chunk', { chunk: utterance(4), seq: 4, offset: 3 * CHUNK });
    expect(await send()).toMatchObject({
      ok: false,
      error: { code: 'audio_rate_exceeded', retryable: true, retry_after_ms: expect.any(Number) },
    });
    expect(await metricOf(gateway, 'audio_speed')).toBe(1);
    await expect.poll(send).toMatchObject({ ok: true });
    expect(await emitWithAck(client, 'stop_transcription', { last_chunk: 4 })).toMatchObject({ ok: true });
    expect(finalsOf(client)).toEqual([1, 2, 3, 4].map(wordsOf));
  });

  it('is held back by its acknowledgements first, so that nobody is refused who waits for them', async () => {
    const gateway = await gatewayWith(SLOW);
    const client = await arrive(gateway);
    await start(client);
    for (let n = 1; n <= 20; n++) {
      const chunk = { chunk: utterance(n), seq: n, offset: (n - 1) * CHUNK };
      expect(await emitWithAck(client, 'audio_chunk', chunk)).toMatchObject({ ok: true });
    }
    expect(await metricOf(gateway, 'audio_speed')).toBe(0);
  });

  it('loses nothing where the library sends it', async () => {
    const gateway = await gatewayWith({ ...SLOW, GATEWAY_REPLAY_MS: '20000', GATEWAY_AUDIO_BURST_MS: '1000' });
    const narrow = await gatewayWith(SLOW);
    for (const { url } of [gateway, narrow]) {
      const { client, entries } = recorded({ url });
      const audio = speech(31);
      void client.start();
      await speak(client, audio.pcm, undefined, 0);
      await client.stop();
      const account = accountOf(audio, entries);
      expect(isClean(account), formatAccount(account)).toBe(true);
      expect(account.coveredByGap).toEqual([]);
      expect(orderFaults(audio, entries)).toEqual([]);
    }
  });
});

describe('audio that was recorded at another sample rate', () => {
  it('gets a warning that names the rate, once, and the session goes on', async () => {
    const gateway = await gatewayWith({});
    const { client, entries } = recorded({ url: gateway.url });
    closers.push(() => client.close());
    const warnings: TranscriptionError[] = [];
    client.on('error', (error) => warnings.push(error));
    const old = await arrive(gateway, 1);
    old.socket.emit('start_transcription', {});
    await Promise.all([client.start(), old.next('transcription_started')]);
    // As a recorder does, by its own clock: 100 ms of sound are 4,410 samples.
    let sent = 0;
    const began = performance.now();
    const recorder = setInterval(() => {
      for (; sent < (performance.now() - began) / 100; sent++) {
        const chunk = utterance(sent + 1).subarray(0, 2 * 4_410);
        client.send(chunk);
        old.socket.emit('audio_chunk', { chunk });
      }
    }, 20);
    closers.push(() => clearInterval(recorder));
    await expect.poll(() => warnings.length, { timeout: 60_000 }).toBe(1);
    expect(warnings[0]).toMatchObject({ code: 'bad_audio', message: expect.stringContaining('recorded at 44100 Hz') });
    expect(Object.keys(await old.next('error', 60_000))).toEqual(['message']);
    const { length } = entries;
    await expect.poll(() => entries.length).toBeGreaterThan(length + 3);
    expect(warnings).toHaveLength(1);
  });
});

describe('a gateway with too much on it', () => {
  it('refuses new sessions, of both protocols', async () => {
    // A heap so small that more than a hundredth of it is always used.
    const gateway = await serveGateway({
      GATEWAY_ENGINE: 'scripted',
      GATEWAY_SHED_MEMORY_PERCENT: '1',
      NODE_OPTIONS: '--max-old-space-size=256',
    });
    expect(await emitWithAck(await arrive(gateway), 'start_transcription')).toMatchObject({
      ok: false,
      error: { code: 'overloaded', retryable: true, retry_after_ms: expect.any(Number) },
    });
    const old = await arrive(gateway, 1);
    old.socket.emit('start_transcription', {});
    expect(Object.keys(await old.next('error'))).toEqual(['message']);
  });
});

describe('too many events', () => {
  const FEW = { GATEWAY_EVENTS_PER_SECOND: '10' };

  it('are refused with a wait, and a chunk keeps its number', async () => {
    const gateway = await gatewayWith(FEW);
    const client = await arrive(gateway);
    await start(client);
    const send = (n: number) =>
      emitWithAck(client, 'audio_chunk', { chunk: encodeBlock(n), seq: n, offset: (n - 1) * 320 });
    const replies = await Promise.all(Array.from({ length: 110 }, (_, index) => send(index + 1)));
    const refused = replies.findIndex((reply) => (reply as { ok: boolean }).ok === false);
    expect(refused).toBeGreaterThanOrEqual(100);
    expect(replies[refused]).toMatchObject({ error: { code: 'rate_exceeded', retry_after_ms: expect.any(Number) } });
    await expect.poll(() => send(refused + 1)).toMatchObject({ ok: true });
    expect(await emitWithAck(client, 'stop_transcription', { last_chunk: refused + 1 })).toMatchObject({ ok: true });
  });

  it('lose nothing where the library sends them, and its stop comes through', async () => {
    const gateway = await gatewayWith({ GATEWAY_EVENTS_PER_SECOND: '4' });
    const { client, entries } = recorded({ url: gateway.url });
    const audio = speech(32);
    void client.start();
    await speak(client, audio.pcm, undefined, 0);
    await client.stop();
    expect(isClean(accountOf(audio, entries))).toBe(true);
    expect(orderFaults(audio, entries)).toEqual([]);
    expect(await metricOf(gateway, 'events_per_connection')).toBeGreaterThan(0);
  });

  it('end the connection of whoever does not stop', async () => {
    const gateway = await gatewayWith(FEW);
    const client = await arrive(gateway);
    const gone = new Promise((resolve) => client.socket.once('disconnect', resolve));
    const flood = setInterval(() => {
      for (let n = 0; n < 100; n++) client.socket.volatile.emit('audio_chunk', { chunk: '' });
    }, 5);
    closers.push(() => clearInterval(flood));
    await gone;
    await expect
      .poll(() => gateway.logs)
      .toContainEqual(expect.objectContaining({ msg: 'client sends far too many events; connection cut' }));
    await arrive(gateway);
  });
});
