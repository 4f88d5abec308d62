/** What a gateway counts of itself, as Prometheus reads it. */
import { readFileSync } from 'node:fs';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { encodeBlock } from '../../src/emulator/coded-block.ts';
import { repeatingScript, ScriptedEngine } from '../../src/engines/scripted/scripted-engine.ts';
import { GatewayError } from '../../src/errors.ts';
import { connect, emitWithAck, type TestClient, tone } from '../support/client.ts';
import { startGateway, type TestGateway } from '../support/gateway.ts';
import { describeWithRedis, RedisServer } from '../support/redis.ts';
import { TwoGateways } from '../support/two-gateways.ts';
import { WORKERS } from '../support/workers.ts';

const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

async function arrive({ url }: TestGateway): Promise<TestClient> {
  const client = connect(url, { auth: { protocol: 2 } });
  closers.push(client.close);
  await client.next('connected');
  return client;
}

async function gatewayWith(environment: Record<string, string> = {}): Promise<TestGateway> {
  const gateway = await startGateway(new ScriptedEngine({ script: () => ({ steps: repeatingScript() }) }), environment);
  closers.push(() => gateway.release());
  return gateway;
}

describe('the counters', () => {
  it('have a sample for each value of a label before the first event, so that a rate shows it', async () => {
    const gateway = await gatewayWith();
    const text = await (await fetch(`${gateway.adminUrl}/metrics`)).text();
    for (const sample of [
      'connections_total{protocol="2"}',
      'sessions_ended_total{reason="error"}',
      'errors_total{code="overloaded"}',
      'gap_seconds_total{reason="engine_failed"}',
      'live_messages_total{outcome="lost"}',
    ]) {
      expect(text).toContain(`transcribe_gateway_${sample} 0`);
    }
  });

  it('tell HTTP requests by their route and status, and not by what else was asked for', async () => {
    const gateway = await gatewayWith();
    const requests = (labels: string) => gateway.metric(`transcribe_gateway_http_requests_total{${labels}}`);
    await fetch(`${gateway.url}/`);
    await fetch(`${gateway.url}/v1/tokens`, { method: 'POST' });
    for (const name of ['a', 'b', 'c']) await fetch(`${gateway.url}/${name}`);
    await expect.poll(() => requests('route="/",status="200"')).toBe(1);
    await expect.poll(() => requests('route="/v1/tokens",status="400"')).toBe(1);
    await expect.poll(() => requests('route="none",status="404"')).toBe(3);
    expect(await gateway.metric('transcribe_gateway_http_request_seconds_count{route="/"}')).toBe(1);
  });
});

describe('the table of the README', () => {
  it('has every metric of a gateway, and no other', async () => {
    const gateway = await gatewayWith();
    const text = await (await fetch(`${gateway.adminUrl}/metrics`)).text();
    const served = new Set(
      [...text.matchAll(/^# TYPE (transcribe_gateway_\w+) (\w+)$/gm)].map(([, ...row]) => row.join()),
    );
    const readme = readFileSync(new URL('../../README.md', import.meta.url), 'utf8');
    const rows = [...readme.matchAll(/^\| `(transcribe_gateway_\w+)` \| (\w+) \|.*\| (.*) \|$/gm)];
    // Those of the primary are there only where there is one.
    const told = rows.filter(([, , , meaning]) => WORKERS > 1 || !meaning?.startsWith('With GATEWAY_WORKERS'));
    expect(new Set(told.map(([, name, type]) => `${name},${type}`))).toEqual(served);
  });
});

describe('the metrics of connections and events', () => {
  it('tell who was let in and who was not, what was asked, how it ended and how long it took', async () => {
    const gateway = await gatewayWith({ GATEWAY_CONNECTIONS_PER_ADDRESS: '1', GATEWAY_TRUSTED_PROXIES: '1' });
    const ours = (sample: string) => gateway.metric(`transcribe_gateway_${sample}`);
    const options = { auth: { protocol: 2 }, extraHeaders: { 'X-Forwarded-For': '198.51.100.1' } };
    const [client, other] = [connect(gateway.url, options), connect(gateway.url, { ...options, autoConnect: false })];
    closers.push(client.close, other.close);
    await client.next('connected');
    other.socket.connect();
    await new Promise((resolve) => other.socket.once('connect_error', resolve));
    expect(await ours('connections_total{protocol="2"}')).toBe(1);
    expect(await ours('connection_refusals_total{code="connections_exceeded"}')).toBe(1);
    expect(await ours('handshake_seconds_count')).toBe(2);
    await emitWithAck(client, 'audio_chunk', { chunk: tone(100), seq: 1 });
    await emitWithAck(client, 'start_transcription');
    await emitWithAck(client, 'audio_chunk', { chunk: tone(100), seq: 1 });
    client.socket.emit('audio_chunk', { chunk: tone(100), seq: 2 });
    const events = (event: string, outcome: string) => ours(`events_total{event="${event}",outcome="${outcome}"}`);
    await expect.poll(() => events('audio_chunk', 'ok')).toBe(2);
    expect([await events('audio_chunk', 'error'), await events('start_transcription', 'ok')]).toEqual([1, 1]);
    expect(await ours('event_seconds_count{event="audio_chunk"}')).toBe(3);
    expect(await events('watch_transcription', 'ok')).toBe(0);
  });
});

describe('the metrics of sessions', () => {
  it('split the time from the microphone to the transcript into ours and the engine’s', async () => {
    const gateway = await gatewayWith();
    const ours = (sample: string) => gateway.metric(`transcribe_gateway_${sample}`);
    const client = await arrive(gateway);
    await emitWithAck(client, 'start_transcription');
    expect(await ours('session_start_seconds_count')).toBe(1);
    for (let seq = 1; seq <= 10; seq++) await emitWithAck(client, 'audio_chunk', { chunk: tone(200), seq });
    await emitWithAck(client, 'stop_transcription');
    await client.next('transcription_stopped');
    const utterances = new Set(client.all('transcription_result').map(({ result_id }) => result_id)).size;
    expect(await ours('first_partial_seconds_count')).toBe(utterances);
    expect(await ours('audio_wait_seconds_count')).toBeGreaterThan(0);
    // What waits for more audio to be written with is not engine time.
    expect(await ours('audio_wait_seconds_sum')).toBeLessThan(10);
    expect(await ours('session_seconds_count')).toBe(1);
    const states = ['live', 'parked', 'detached'].map((state) => ours(`session_states{state="${state}"}`));
    expect(await Promise.all(states)).toEqual([0, 0, 0]);
  });

  it('tell how long a session was without an engine stream that had broken', async () => {
    const error = new GatewayError('engine_unavailable', 'The stream broke.');
    const broken = [{ do: 'fail', atSample: 8_000, error }] as const;
    const gateway = await startGateway(
      new ScriptedEngine({ script: (nth) => ({ steps: nth === 0 ? broken : repeatingScript() }) }),
    );
    closers.push(() => gateway.release());
    const client = await arrive(gateway);
    await emitWithAck(client, 'start_transcription');
    await emitWithAck(client, 'audio_chunk', { chunk: tone(1000), seq: 1 });
    const failovers = () => gateway.metric('transcribe_gateway_engine_failover_seconds_count{engine="scripted"}');
    await expect.poll(failovers).toBe(1);
  });

  it('tell what became of resumes, and how long a final was on its way from the engine to the client', async () => {
    const gateway = await gatewayWith();
    const start = { acks: true, start_key: 'a-key-of-the-metrics-test', attempt: 1 };
    const client = await arrive(gateway);
    client.socket.emit('start_transcription', start);
    const { resume_token, session_id } = await client.next('transcription_started');
    await emitWithAck(client, 'audio_chunk', { chunk: tone(1000), seq: 1, offset: 0 });
    await expect
      .poll(() => client.all('transcription_result').some(({ is_partial }) => is_partial === false))
      .toBe(true);
    expect(await gateway.metric('transcribe_gateway_delivery_seconds_count')).toBeGreaterThan(0);
    const states = (state: string) => gateway.metric(`transcribe_gateway_session_states{state="${state}"}`);
    expect([await states('live'), await states('starting'), await states('detached')]).toEqual([1, 0, 0]);
    const session = { session_id, resume_token, epoch: 1, last_seq: 0, last_end: 0, acked: 0 };
    const resume = { ...session, attempt: 1, oldest_chunk: 1, oldest_offset: 0 };
    expect(await emitWithAck(client, 'resume_transcription', resume)).toMatchObject({ ok: true });
    expect(await emitWithAck(client, 'resume_transcription', resume)).toMatchObject({
      error: { code: 'resume_refused' },
    });
    const outcomes = (outcome: string) => gateway.metric(`transcribe_gateway_resumes_total{outcome="${outcome}"}`);
    expect([await outcomes('resumed'), await outcomes('resume_refused'), await outcomes('internal')]).toEqual([
      1, 1, 0,
    ]);
  });
});

describeWithRedis('the metrics of the store', () => {
  it('tell how long each call took, and which got none', async () => {
    const redis = await RedisServer.start();
    closers.push(() => redis.stop());
    const gateway = await gatewayWith({ REDIS_URL: redis.url });
    const client = await arrive(gateway);
    await emitWithAck(client, 'start_transcription');
    expect(await gateway.metric('transcribe_gateway_store_call_seconds_count{call="create"}')).toBe(1);
    await redis.kill();
    await expect.poll(() => gateway.metric('transcribe_gateway_store_available')).toBe(0);
    const other = await arrive(gateway);
    expect(await emitWithAck(other, 'start_transcription')).toMatchObject({ error: { code: 'store_unavailable' } });
    expect(await gateway.metric('transcribe_gateway_store_failures_total{call="create"}')).toBe(1);
    expect(await gateway.metric('transcribe_gateway_store_call_seconds_count{call="create"}')).toBe(1);
  });
});

describeWithRedis('the metrics of sessions that go on elsewhere', () => {
  let redis: RedisServer;
  beforeAll(async () => {
    redis = await RedisServer.start();
  });
  afterAll(() => redis.stop());

  it('tell how long a client was away, who lost its session, and what waited for the store', async () => {
    const two = await TwoGateways.start(redis);
    closers.push(() => two.close());
    const { a, b } = two;
    const client = await arrive(a);
    client.socket.emit('start_transcription', { acks: true, start_key: 'a-key-of-the-pause-test', attempt: 1 });
    const { resume_token, session_id } = await client.next('transcription_started');
    const spoken = (n: number) => Buffer.concat([encodeBlock(n), ...Array.from({ length: 6 }, () => encodeBlock(0))]);
    await emitWithAck(client, 'audio_chunk', { chunk: spoken(1), seq: 1 });
    const entries = (gateway: TestGateway, durable: boolean) =>
      gateway.metric(`transcribe_gateway_entries_total{kind="final",durable="${durable}"}`);
    await expect.poll(() => entries(a, true)).toBe(1);
    a.redisGate.shut();
    await expect.poll(() => a.metric('transcribe_gateway_store_available')).toBe(0);
    await emitWithAck(client, 'audio_chunk', { chunk: spoken(2), seq: 2 });
    await expect.poll(() => entries(a, false)).toBe(1);
    expect(await a.metric('transcribe_gateway_entries_pending')).toBe(1);
    a.redisGate.open();
    await expect.poll(() => a.metric('transcribe_gateway_entries_pending')).toBe(0);
    const other = await arrive(b);
    const known = { session_id, resume_token, epoch: 1, last_seq: 2, last_end: 0, acked: 0 };
    const resume = { ...known, attempt: 2, oldest_chunk: 1, oldest_offset: 0 };
    expect(await emitWithAck(other, 'resume_transcription', resume)).toMatchObject({ ok: true });
    await client.next('taken_over');
    await expect.poll(() => a.metric('transcribe_gateway_resume_pause_seconds_count')).toBe(1);
    expect(await a.metric('transcribe_gateway_fences_total{by="notice"}')).toBe(1);
    expect(await a.metric('transcribe_gateway_fences_total{by="write"}')).toBe(0);
  });
});
