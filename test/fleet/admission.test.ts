import { io } from 'socket.io-client';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { startEmulator } from '../../src/emulator/emulator.ts';
import { admissionRamp, type RampOptions, type RampReport } from '../support/admission-ramp.ts';
import { killAll, serveGateway, toEmulator } from '../support/process.ts';
import { formatAccount, isClean } from '../support/reconcile.ts';
import { describeWithRedis, RedisServer } from '../support/redis.ts';

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
