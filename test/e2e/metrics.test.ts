/** What a gateway counts of itself, as Prometheus reads it. */
import { afterEach, describe, expect, it } from 'vitest';
import { repeatingScript, ScriptedEngine } from '../../src/engines/scripted/scripted-engine.ts';
import { connect, emitWithAck, type TestClient, tone } from '../support/client.ts';
import { startGateway, type TestGateway } from '../support/gateway.ts';
import { describeWithRedis, RedisServer } from '../support/redis.ts';

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

describe('the metrics of sessions', () => {
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
