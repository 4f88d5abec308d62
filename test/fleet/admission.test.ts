import { io } from 'socket.io-client';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { startEmulator } from '../../src/emulator/emulator.ts';
import { admissionRamp, type RampOptions, type RampReport } from '../support/admission-ramp.ts';
import { codedAudio } from '../support/coded-audio.ts';
import { killAll, serveGateway, toEmulator } from '../support/process.ts';
import { formatAccount, isClean } from '../support/reconcile.ts';
import { describeWithRedis, RedisServer } from '../support/redis.ts';
import { recorded } from '../unit/client/spoken.ts';

/** Twice as many sessions as there are streams, and one tenant that comes first with half of them. */
const RAMP: Omit<RampOptions, 'redis'> = {
  pods: 3,
  streams: 10,
  startsPerSecond: 5,
  sessions: { many: 10, few: 5, some: 5 },
  rampMs: 2_000,
  utterances: 3,
};

afterEach(killAll);

function expectServed({ mostStreams, refusals, served, speakers }: RampReport): void {
  expect(refusals).toEqual({});
  expect(mostStreams).toBeLessThanOrEqual(RAMP.streams);
  expect(speakers.map(({ waitedMs }) => waitedMs)).not.toContain(undefined);
  for (const { account } of speakers) expect(isClean(account), formatAccount(account)).toBe(true);
  // Those of the other tenants do not wait until all are through who came before them.
  const lastOfMany = served.lastIndexOf('many');
  for (const tenant of ['few', 'some']) expect(served.indexOf(tenant)).toBeLessThan(lastOfMany);
}

describeWithRedis('sessions of twice the quota on three gateways', () => {
  let redis: RedisServer;
  beforeAll(async () => {
    redis = await RedisServer.start();
  });
  afterAll(() => redis.stop());

  it('are all served, each in its turn, and AWS refuses nothing', async () => {
    const report = await admissionRamp({ ...RAMP, redis });
    expectServed(report);
    expect(report.speakers.flatMap(({ errors }) => errors)).toEqual([]);
    expect(report.speakers.some(({ positions }) => positions.length > 0)).toBe(true);
  });

  it('are all served when a gateway is killed among them', async () => {
    const strike: RampOptions['strike'] = async (pods, emulator) => {
      await expect.poll(() => emulator.usage().activeStreams, { timeout: 20_000 }).toBeGreaterThan(5);
      pods.kill(0);
    };
    expectServed(await admissionRamp({ ...RAMP, redis, strike }));
  });

  it('are all served when a gateway is drained among them', async () => {
    const strike: RampOptions['strike'] = async (pods, emulator) => {
      await expect.poll(() => emulator.usage().activeStreams, { timeout: 20_000 }).toBeGreaterThan(5);
      pods.gateway(0)?.child.kill('SIGTERM');
    };
    expectServed(await admissionRamp({ ...RAMP, redis, strike }));
  });
});

describeWithRedis('the slots of a killed gateway', () => {
  let redis: RedisServer;
  beforeAll(async () => {
    redis = await RedisServer.start();
  });
  afterAll(() => redis.stop());

  it('are free when their lease is over, also if nobody comes back for them', async () => {
    const emulator = await startEmulator({
      recogniser: { kind: 'coded' },
      limits: { concurrentStreams: 2, startsPerSecond: 25 },
    });
    const env = {
      ...toEmulator(emulator.url),
      REDIS_URL: redis.url,
      GATEWAY_AWS_STREAMS: '2',
      GATEWAY_AWS_RESERVE: '0',
      GATEWAY_LEASE_MS: '2000',
    };
    const [doomed, other] = await Promise.all([serveGateway(env), serveGateway(env)]);
    const connect = (url: string) => io(url, { transports: ['websocket'], reconnection: false });
    const start = async (socket: ReturnType<typeof connect>) => {
      const started = new Promise((resolve) => socket.once('transcription_started', resolve));
      socket.emit('start_transcription', { language_code: 'en-US' });
      return started;
    };
    const sockets = [connect(doomed.url), connect(doomed.url), connect(other.url)];
    await Promise.all(sockets.slice(0, 2).map(start));
    const [, , waiting] = sockets;
    const started = waiting && start(waiting);
    const metrics = async () => (await fetch(`${other.adminUrl}/metrics`)).text();
    await expect.poll(metrics, { timeout: 10_000 }).toContain('transcribe_gateway_queue_sessions 1');
    doomed.child.kill('SIGKILL');
    await started;
    expect(emulator.usage().refusals).toEqual({});
    for (const socket of sockets) socket.disconnect();
    await emulator.close();
  });
});

describeWithRedis('a gateway without its Redis', () => {
  it('opens broken streams again, and takes new sessions within the quota', async () => {
    const redis = await RedisServer.start();
    const emulator = await startEmulator({
      recogniser: { kind: 'coded', latency: { partialMs: 20, finalMs: { min: 20, max: 50 } } },
      limits: { concurrentStreams: 2, startsPerSecond: 25 },
    });
    const gateway = await serveGateway({
      ...toEmulator(emulator.url),
      REDIS_URL: redis.url,
      GATEWAY_AWS_STREAMS: '2',
      GATEWAY_AWS_RESERVE: '0',
      GATEWAY_REDIS_TIMEOUT_MS: '300',
    });
    const { pcm, utterances } = codedAudio({ utterances: 2, blocks: 30, silentBlocks: 10 });
    const { client, entries } = recorded({ url: gateway.url });
    await client.start();
    client.send(pcm.subarray(0, pcm.length / 2));
    await expect.poll(() => entries.length, { timeout: 20_000 }).toBe(1);

    await redis.kill();
    await gateway.saw(/"store unavailable"/);
    emulator.addFault({ fault: { kind: 'disconnect' }, running: true });
    client.send(pcm.subarray(pcm.length / 2));
    await expect.poll(() => entries.length, { timeout: 20_000 }).toBe(2);
    const [taken, waiting] = [1, 2].map(() => io(gateway.url, { transports: ['websocket'], reconnection: false }));
    const started = new Promise((resolve) => taken?.once('transcription_started', resolve));
    taken?.emit('start_transcription', {});
    await started;
    const startedLater = new Promise((resolve) => waiting?.once('transcription_started', resolve));
    waiting?.emit('start_transcription', {});
    const metrics = async () => (await fetch(`${gateway.adminUrl}/metrics`)).text();
    await expect.poll(metrics, { timeout: 10_000 }).toContain('transcribe_gateway_queue_sessions 1');

    await redis.restart();
    expect(await client.stop()).toMatchObject({ finals: 2, gaps: 0 });
    const words = utterances.map((blocks) => blocks.map((block) => `b${block}`).join(' '));
    expect(entries.map((entry) => entry.kind === 'final' && entry.text)).toEqual(words);
    await startedLater;
    expect(emulator.usage().refusals).toEqual({});
    for (const socket of [taken, waiting]) socket?.disconnect();
    await emulator.close();
    await redis.stop();
  });
});
