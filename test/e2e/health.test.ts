/** What the probes of Kubernetes are told while a gateway runs. Of its start and its end other tests tell. */
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, expect, it, vi } from 'vitest';
import { Wake } from '../../src/session/wake.ts';
import { connect, emitWithAck, type TestClient, tone } from '../support/client.ts';
import { CodedEngine } from '../support/coded-engine.ts';
import { scripted, startGateway, type TestGateway } from '../support/gateway.ts';
import { describeWithRedis, RedisServer } from '../support/redis.ts';
import { TwoGateways } from '../support/two-gateways.ts';
import { WORKERS } from '../support/workers.ts';

/** Longer than audio may lie for want of nothing but a working gateway. */
const STUCK_MS = 11_000;

const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

async function probe({ adminUrl }: TestGateway, path: string): Promise<unknown> {
  const response = await fetch(`${adminUrl}${path}`);
  return [response.status, ((await response.json()) as { status: string }).status];
}

async function speak({ url }: TestGateway, transports = ['websocket']): Promise<TestClient> {
  const client = connect(url, { auth: { protocol: 2 }, transports });
  closers.push(client.close);
  await emitWithAck(client, 'start_transcription');
  client.socket.emit('audio_chunk', { chunk: tone(1000), seq: 1 });
  return client;
}

class BusyEngine extends CodedEngine {
  isFull = false;
}

describeWithRedis('a full gateway', () => {
  let redis: RedisServer;
  beforeAll(async () => {
    redis = await RedisServer.start();
  });
  afterAll(() => redis.stop());

  it('is not ready while another has room, unless clients poll it, and the fleet is never closed as a whole', async () => {
    const two = await TwoGateways.start(redis, {}, () => new BusyEngine());
    closers.push(() => two.close());
    const { a, b } = two;
    const ready = () => Promise.all([probe(a, '/readyz'), probe(b, '/readyz')]);
    const [open, full] = [
      [200, 'ready'],
      [503, 'full'],
    ];
    expect(await ready()).toEqual([open, open]);
    a.engine.isFull = true;
    await expect.poll(ready, { timeout: 10_000 }).toEqual([full, open]);
    expect(await a.metric('transcribe_gateway_workers_with_room')).toBe(0);
    const polling = await speak(a, ['polling']);
    await expect.poll(ready, { timeout: 10_000 }).toEqual([open, open]);
    polling.close();
    await expect.poll(ready, { timeout: 10_000 }).toEqual([full, open]);
    b.engine.isFull = true;
    await expect.poll(ready, { timeout: 10_000 }).toEqual([open, open]);
    expect(await probe(a, '/livez')).toEqual([200, 'alive']);
  }, 60_000);
});

describeWithRedis('a gateway', () => {
  let redis: RedisServer;
  beforeAll(async () => {
    redis = await RedisServer.start();
  });
  afterAll(() => redis.stop());

  it('is alive although its engine and its Redis hang, or nothing is to do, but not if it leaves audio lying', async () => {
    const prompt = { GATEWAY_DRAIN_TIMEOUT_MS: '1000' };
    const hung = await startGateway(scripted([{ do: 'hang', atSample: 8_000 }]), {
      ...prompt,
      REDIS_URL: redis.url,
      GATEWAY_STALL_TIMEOUT_MS: '60000',
    });
    const stuck = await startGateway(new CodedEngine(), prompt);
    closers.push(
      () => hung.release(),
      () => stuck.release(),
      () => redis.unpause(),
    );
    await Promise.all([speak(hung), speak(stuck)]);
    await redis.pause();
    await expect.poll(() => hung.metric('transcribe_gateway_store_available'), { timeout: 10_000 }).toBe(0);
    // By a hand in its process. What becomes of such a worker of several is in fleet/cluster.test.ts.
    if (WORKERS === 1) {
      const lost = Promise.withResolvers<void>();
      closers.push(() => lost.resolve(), vi.restoreAllMocks);
      const wait = vi.spyOn(Wake.prototype, 'wait').mockReturnValue(lost.promise);
      const client = await speak(stuck);
      await expect.poll(() => wait.mock.calls.length).toBeGreaterThan(0);
      client.socket.emit('audio_chunk', { chunk: tone(1000), seq: 2 });
    }
    await delay(1_000);
    expect(await probe(stuck, '/livez')).toEqual([200, 'alive']);
    await delay(STUCK_MS);
    expect(await Promise.all([probe(hung, '/livez'), probe(hung, '/readyz')])).toEqual([
      [200, 'alive'],
      [200, 'ready'],
    ]);
    expect(await probe(stuck, '/livez')).toEqual(WORKERS === 1 ? [503, 'stuck'] : [200, 'alive']);
    expect(await probe(stuck, '/readyz')).toEqual([200, 'ready']);
  }, 60_000);
});
