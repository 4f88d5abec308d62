/** What a gateway counts of itself, as Prometheus reads it. */
import { afterEach, describe, expect, it } from 'vitest';
import { connect, emitWithAck } from '../support/client.ts';
import { scripted, startGateway, type TestGateway } from '../support/gateway.ts';
import { describeWithRedis, RedisServer } from '../support/redis.ts';

const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

async function gatewayWith(environment: Record<string, string> = {}): Promise<TestGateway> {
  const gateway = await startGateway(scripted([]), environment);
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

describeWithRedis('the metrics of the store', () => {
  it('tell how long each call took, and which got none', async () => {
    const redis = await RedisServer.start();
    closers.push(() => redis.stop());
    const gateway = await gatewayWith({ REDIS_URL: redis.url });
    const client = connect(gateway.url, { auth: { protocol: 2 } });
    closers.push(client.close);
    await client.next('connected');
    await emitWithAck(client, 'start_transcription');
    expect(await gateway.metric('transcribe_gateway_store_call_seconds_count{call="create"}')).toBe(1);
    await redis.kill();
    await expect.poll(() => gateway.metric('transcribe_gateway_store_available')).toBe(0);
    const other = connect(gateway.url, { auth: { protocol: 2 } });
    closers.push(other.close);
    await other.next('connected');
    expect(await emitWithAck(other, 'start_transcription')).toMatchObject({ error: { code: 'store_unavailable' } });
    expect(await gateway.metric('transcribe_gateway_store_failures_total{call="create"}')).toBe(1);
    expect(await gateway.metric('transcribe_gateway_store_call_seconds_count{call="create"}')).toBe(1);
  });
});
