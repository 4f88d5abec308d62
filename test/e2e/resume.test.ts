import { afterEach, describe, expect, it } from 'vitest';
import type { Engine } from '../../src/engines/engine.ts';
import { ScriptedEngine, type ScriptStep } from '../../src/engines/scripted/scripted-engine.ts';
import { connect, emitWithAck, type TestClient, tone } from '../support/client.ts';
import { connectBeside, startGateway, type TestGateway } from '../support/gateway.ts';

/** Each second a partial and a final, of whatever stream: `stream N second M`. */
function seconds(): ScriptedEngine {
  return new ScriptedEngine({
    script: (nth) => ({
      steps: (function* (): Generator<ScriptStep> {
        for (let second = 1; ; second++) {
          const at = (second - 1) * 16_000;
          yield { do: 'partial', atSample: at + 8000, fromSample: at, text: `${nth}.${second}` };
          yield { do: 'final', atSample: at + 16_000, fromSample: at, text: `${nth}.${second}` };
        }
      })(),
    }),
  });
}

const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

async function gatewayWith(engine: Engine, environment: Record<string, string> = {}): Promise<TestGateway> {
  const gateway = await startGateway(engine, environment);
  closers.push(() => gateway.release());
  return gateway;
}

function client(gateway: TestGateway): TestClient {
  const one = connect(gateway.url, { auth: { protocol: 2 } });
  closers.push(one.close);
  return one;
}

/** Connects anew, to the worker that it had. */
function returning(gateway: TestGateway, before: TestClient): Promise<TestClient> {
  return connectBeside(gateway, before, async () => {
    const one = client(gateway);
    await one.next('connected');
    return one;
  });
}

interface Started {
  readonly session_id: string;
  readonly resume_token: string;
  readonly epoch: number;
}

let key = 0;

async function start(v2: TestClient, more: object = {}): Promise<Started> {
  const start_key = `start-key-${String(++key).padStart(16, '0')}`;
  v2.socket.emit('start_transcription', { acks: true, start_key, attempt: 1, ...more });
  return (await v2.next('transcription_started')) as unknown as Started;
}

/** Sends seconds of tone as chunks of a second, numbered from `first`. */
function send(v2: TestClient, first: number, count: number): void {
  for (let n = first; n < first + count; n++) {
    v2.socket.emit('audio_chunk', { chunk: tone(1000), seq: n, offset: (n - 1) * 16_000 });
  }
}

const NOTHING = { attempt: 2, epoch: 1, last_seq: 0, last_end: 0, acked: 0, oldest_chunk: 1, oldest_offset: 0 };

function resume(v2: TestClient, { resume_token, session_id }: Started, what: object = {}): void {
  v2.socket.emit('resume_transcription', { ...NOTHING, session_id, resume_token, ...what });
}

function finals(v2: TestClient): unknown[][] {
  return v2
    .all('transcription_result')
    .filter((result) => result.is_partial === false)
    .map(({ seq, start_sample, end_sample, replayed }) => [seq, start_sample, end_sample, replayed ?? false]);
}

describe('a session with acknowledgements', () => {
  it('numbers its finals, says what is covered after them, and commits the stop with the last', async () => {
    const v2 = client(await gatewayWith(seconds()));
    const started = await start(v2);
    expect(started).toMatchObject({ epoch: 1, resume_token: expect.any(String), watch_token: expect.any(String) });
    send(v2, 1, 3);
    await expect.poll(() => v2.all('audio_ack').at(-1)).toEqual({ seq: 3, offset: 48_000 });
    v2.socket.emit('stop_transcription', { last_chunk: 3 });
    expect(await v2.next('transcription_stopped')).toMatchObject({ last_seq: 3, durable: true, finals: 3 });
    expect(finals(v2)).toEqual([1, 2, 3].map((n) => [n, (n - 1) * 16_000, n * 16_000, false]));
    const order = v2.received.map(({ data, event }) => [event, data.seq]).filter(([, seq]) => seq !== undefined);
    for (const n of [1, 2, 3]) {
      const result = order.findIndex(([event, seq]) => event === 'transcription_result' && seq === n);
      const ack = order.findIndex(([event, seq]) => event === 'audio_ack' && (seq as number) >= n);
      expect(result).toBeLessThan(ack);
    }
    for (const { after_seq, is_partial, seq } of v2.all('transcription_result')) {
      if (is_partial) expect([0, 1, 2]).toContain(after_seq);
      else expect(seq).toBeGreaterThan(0);
    }
  });

  it('drops a chunk that it has seen, and asks once for one that is missing', async () => {
    const v2 = client(await gatewayWith(seconds()));
    await start(v2);
    send(v2, 1, 1);
    send(v2, 1, 1);
    send(v2, 3, 2);
    expect(await v2.next('error')).toMatchObject({ code: 'chunk_gap', expected: 2, retryable: true });
    send(v2, 2, 3);
    v2.socket.emit('stop_transcription', { last_chunk: 4 });
    expect(await v2.next('transcription_stopped')).toMatchObject({ audio_ms: 4000, finals: 4 });
    expect(v2.all('error')).toHaveLength(1);
  });

  it('does not stop before the last chunk has come', async () => {
    const v2 = client(await gatewayWith(seconds()));
    await start(v2);
    send(v2, 1, 1);
    v2.socket.emit('stop_transcription', { last_chunk: 2 });
    expect(await v2.next('error')).toMatchObject({ code: 'chunk_gap', expected: 2 });
    send(v2, 2, 1);
    v2.socket.emit('stop_transcription', { last_chunk: 2 });
    expect(await v2.next('transcription_stopped')).toMatchObject({ audio_ms: 2000 });
  });

  it('uses up the number of a bad chunk, and not of one that came too fast', async () => {
    const v2 = client(await gatewayWith(seconds()));
    await start(v2);
    v2.socket.emit('audio_chunk', { chunk: 'x', seq: 1 });
    expect(await v2.next('error')).toMatchObject({ code: 'bad_audio' });
    v2.socket.emit('audio_chunk', { chunk: tone(1000), seq: 2 });
    await expect.poll(() => v2.all('audio_ack').at(-1)).toEqual({ seq: 2, offset: 16_000 });
  });
});

describe('a session whose connection is lost', () => {
  it('goes on with the same engine stream when its client returns to the same worker', async () => {
    const engine = seconds();
    const gateway = await gatewayWith(engine);
    const first = client(gateway);
    const started = await start(first);
    send(first, 1, 2);
    await expect.poll(() => finals(first)).toHaveLength(2);
    first.close();
    const second = await returning(gateway, first);
    resume(second, started, { last_seq: 1, last_end: 16_000, acked: 16_000, oldest_chunk: 2, oldest_offset: 16_000 });
    expect(await second.next('transcription_resumed')).toEqual({
      session_id: started.session_id,
      epoch: 2,
      next_chunk: 3,
      next_offset: 32_000,
      language_code: 'en-US',
      missed: 1,
    });
    send(second, 3, 1);
    second.socket.emit('stop_transcription', { last_chunk: 3 });
    expect(await second.next('transcription_stopped')).toMatchObject({ last_seq: 3, finals: 3, audio_ms: 3000 });
    expect(finals(second)).toEqual([
      [2, 16_000, 32_000, true],
      [3, 32_000, 48_000, false],
    ]);
    expect(second.all('transcription_result').at(-1)).toMatchObject({ text: '0.3' });
  });

  it('tells the connection that it had that it was taken over, and says nothing more there', async () => {
    const gateway = await gatewayWith(seconds());
    const first = client(gateway);
    const started = await start(first);
    const second = client(gateway);
    await second.next('connected');
    resume(second, started);
    await second.next('transcription_resumed');
    expect(await first.next('taken_over')).toEqual({ session_id: started.session_id, epoch: 2 });
    send(second, 1, 1);
    await expect.poll(() => finals(second)).toHaveLength(1);
    expect(finals(first)).toEqual([]);
    send(first, 2, 1);
    expect(await first.next('error')).toMatchObject({ code: 'no_session' });
  });

  it('refuses an attempt that is not above the last, with that', async () => {
    const gateway = await gatewayWith(seconds());
    const first = client(gateway);
    const started = await start(first);
    for (const attempt of [2, 3]) {
      resume(first, started, { attempt });
      await first.next('transcription_resumed');
    }
    resume(first, started, { attempt: 3 });
    expect(await first.next('error')).toMatchObject({ code: 'resume_refused', attempt: 3 });
    expect(first.all('taken_over')).toEqual([]);
  });

  it('is not given to a client without its token, nor to one that names another session', async () => {
    const gateway = await gatewayWith(seconds());
    const first = client(gateway);
    const started = await start(first);
    const other = await start(client(gateway));
    const thief = client(gateway);
    await thief.next('connected');
    resume(thief, { ...started, resume_token: other.resume_token });
    expect(await thief.next('error')).toMatchObject({ code: 'forbidden' });
    resume(thief, { ...started, resume_token: 'x' });
    expect(await thief.next('error')).toMatchObject({ code: 'forbidden' });
    resume(thief, { ...started, session_id: 'nobody' });
    expect(await thief.next('error')).toMatchObject({ code: 'resume_expired' });
    send(first, 1, 1);
    await expect.poll(() => finals(first)).toHaveLength(1);
  });

  it('flushes the engine after lingering, so that the words wait for the client', async () => {
    const engine = seconds();
    const gateway = await gatewayWith(engine, { GATEWAY_LINGER_MS: '50' });
    const first = client(gateway);
    const started = await start(first);
    await emitWithAck(first, 'audio_chunk', { chunk: tone(500), seq: 1 });
    first.close();
    await expect.poll(() => engine.openStreams).toBe(0);
    const second = client(gateway);
    await second.next('connected');
    resume(second, started, { oldest_chunk: 1 });
    expect(await second.next('transcription_resumed')).toMatchObject({ missed: 1, next_chunk: 2, next_offset: 8000 });
    expect(finals(second)).toEqual([[1, 0, 8000, true]]);
  });

  it('ends when nobody comes for it within the resume window', async () => {
    const gateway = await gatewayWith(seconds(), { GATEWAY_LINGER_MS: '50', GATEWAY_RESUME_WINDOW_MS: '1000' });
    const first = client(gateway);
    const started = await start(first);
    first.close();
    await expect.poll(() => gateway.metric('transcribe_gateway_sessions'), { timeout: 5000 }).toBe(0);
    const second = client(gateway);
    await second.next('connected');
    resume(second, started);
    expect(await second.next('error')).toMatchObject({ code: 'resume_expired' });
  });

  it('replays the end of a session that was stopped without its client', async () => {
    const gateway = await gatewayWith(seconds());
    const first = client(gateway);
    const started = await start(first);
    await emitWithAck(first, 'audio_chunk', { chunk: tone(1000), seq: 1 });
    first.socket.emit('stop_transcription', { last_chunk: 1 });
    await first.next('transcription_stopped');
    first.close();
    const second = client(gateway);
    await second.next('connected');
    resume(second, started);
    expect(await second.next('transcription_stopped')).toMatchObject({ last_seq: 1, finals: 1, reason: 'client_stop' });
    expect(finals(second)).toEqual([[1, 0, 16_000, true]]);
  });

  it('reports as a gap what the client does not hold any more', async () => {
    const gateway = await gatewayWith(seconds());
    const first = client(gateway);
    const started = await start(first);
    await emitWithAck(first, 'audio_chunk', { chunk: tone(500), seq: 1 });
    first.close();
    const second = await returning(gateway, first);
    resume(second, started, { oldest_chunk: 5, oldest_offset: 64_000 });
    expect(await second.next('transcription_resumed')).toMatchObject({ next_chunk: 5, next_offset: 64_000 });
    expect(await second.next('transcription_gap')).toMatchObject({
      seq: 2,
      from_sample: 8000,
      to_sample: 64_000,
      reason: 'client_overflow',
    });
    second.socket.emit('audio_chunk', { chunk: tone(1000), seq: 5 });
    await expect
      .poll(() => finals(second))
      .toEqual([
        [1, 0, 8000, true],
        [3, 64_000, 80_000, false],
      ]);
  });

  it('tells a client that is behind the journal of the part that is missing', async () => {
    const gateway = await gatewayWith(seconds(), { GATEWAY_JOURNAL_ENTRIES: '2' });
    const first = client(gateway);
    const started = await start(first);
    for (let n = 1; n <= 4; n++) await emitWithAck(first, 'audio_chunk', { chunk: tone(1000), seq: n });
    await expect.poll(() => finals(first)).toHaveLength(4);
    first.close();
    const second = client(gateway);
    await second.next('connected');
    resume(second, started, { oldest_chunk: 5, oldest_offset: 64_000 });
    await second.next('transcription_resumed');
    expect(second.all('transcription_gap')).toMatchObject([
      { seq: 2, from_sample: 0, to_sample: 32_000, reason: 'journal_trimmed' },
    ]);
    expect(finals(second).map(([seq]) => seq)).toEqual([3, 4]);
  });
});

describe('a repeated start', () => {
  it('with a higher attempt ends the session of the earlier one', async () => {
    const engine = seconds();
    const gateway = await gatewayWith(engine);
    const first = client(gateway);
    const start_key = 'the-key-of-both-starts';
    const earlier = await start(first, { start_key, attempt: 1 });
    const second = client(gateway);
    const later = await start(second, { start_key, attempt: 2 });
    expect(later.session_id).not.toBe(earlier.session_id);
    await first.next('taken_over');
    await expect.poll(() => engine.openStreams).toBe(1);
    const third = client(gateway);
    await third.next('connected');
    third.socket.emit('start_transcription', { acks: true, start_key, attempt: 1 });
    expect(await third.next('error')).toMatchObject({ code: 'session_exists' });
  });
});

describe('a pause', () => {
  it('parks the stream at once, and audio opens another on the same timeline', async () => {
    const engine = seconds();
    const v2 = client(await gatewayWith(engine));
    await start(v2);
    await emitWithAck(v2, 'audio_chunk', { chunk: tone(500), seq: 1 });
    expect(await emitWithAck(v2, 'pause_transcription')).toMatchObject({ ok: true });
    await expect.poll(() => engine.openStreams).toBe(0);
    expect(await emitWithAck(v2, 'unpause_transcription')).toMatchObject({ ok: true });
    send(v2, 2, 1);
    await expect
      .poll(() => finals(v2))
      .toEqual([
        [1, 0, 8000, false],
        [2, 8000, 24_000, false],
      ]);
    expect(v2.all('transcription_gap')).toEqual([]);
  });
});
