import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { connect, emitWithAck } from '../support/client.ts';
import { killAll, type ServedGateway, serveGateway } from '../support/process.ts';
import { rawTcp, requestHead } from '../support/raw-client.ts';
import { describeWithRedis, RedisServer } from '../support/redis.ts';

const closers: (() => unknown)[] = [];

afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

async function worksFor({ url }: ServedGateway): Promise<void> {
  const client = connect(url, { auth: { protocol: 2 } });
  closers.push(client.close);
  expect(await emitWithAck(client, 'start_transcription')).toMatchObject({ ok: true });
}

async function tcp({ url }: ServedGateway, ...says: readonly string[]) {
  const connection = await rawTcp(url, ...says);
  closers.push(() => connection.socket.destroy());
  return connection;
}

describeWithRedis('a gateway of several workers', () => {
  let redis: RedisServer;
  let gateway: ServedGateway;
  beforeAll(async () => {
    redis = await RedisServer.start();
    gateway = await serveGateway({
      GATEWAY_ENGINE: 'scripted',
      GATEWAY_WORKERS: '2',
      REDIS_URL: redis.url,
      GATEWAY_HEADERS_TIMEOUT_MS: '300',
      GATEWAY_REQUEST_TIMEOUT_MS: '600',
    });
  });
  afterAll(async () => {
    killAll();
    await redis.stop();
  });

  it.each([
    ['says nothing, and so stays with the primary', ''],
    ['never ends its headers, and is with a worker by then', 'GET / HTT'],
    ['never ends a body, which passes through the primary', requestHead('POST /v1/tokens', 'Content-Length: 100')],
  ])('ends a connection that %s', async (_, says) => {
    const slow = await Promise.all(Array.from({ length: 20 }, () => tcp(gateway, says)));
    // A byte now and then does not help.
    const drip = setInterval(() => {
      for (const { socket } of slow) if (says !== '' && socket.writable) socket.write('a');
    }, 50);
    closers.push(() => clearInterval(drip));
    await expect.poll(() => slow.every(({ isClosed }) => isClosed)).toBe(true);
    await worksFor(gateway);
  });

  it('lets a body pause for longer than headers may take', async () => {
    const patient = await serveGateway({
      GATEWAY_ENGINE: 'scripted',
      GATEWAY_WORKERS: '2',
      REDIS_URL: redis.url,
      GATEWAY_HEADERS_TIMEOUT_MS: '300',
    });
    const slow = await tcp(
      patient,
      requestHead('POST /v1/tokens', 'Content-Type: application/json', 'Content-Length: 4'),
    );
    for (const piece of '{}  ') {
      await delay(400);
      slow.socket.write(piece);
    }
    await expect.poll(() => slow.received).toMatch(/^HTTP\/1.1 4\d\d /);
  });

  it('ends an upload without end', async () => {
    const head = requestHead('POST /v1/tokens', 'Content-Type: application/json', 'Content-Length: 1000000000');
    const upload = await tcp(gateway, head);
    const piece = Buffer.alloc(100_000, 'x');
    await expect
      .poll(
        () => {
          if (upload.socket.writable && upload.socket.writableLength === 0) upload.socket.write(piece);
          return upload.isClosed;
        },
        { interval: 1 },
      )
      .toBe(true);
    await worksFor(gateway);
  });
});
