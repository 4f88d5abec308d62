import { spawnSync } from 'node:child_process';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Actor, flood, knock, speak, speakOnTwoConnections, speakSample, speakToViewer } from '../support/actors.ts';
import { DASHBOARDS, dataPanels } from '../support/dashboards.ts';
import { childrenOf, cli, killAll, type ServedGateway, serveGateway, toEmulator } from '../support/process.ts';
import { NO_PROMETHEUS, Prometheus, type Series } from '../support/prometheus.ts';
import { NO_REDIS, RedisServer } from '../support/redis.ts';
import { JWT_AUTH, signToken } from '../support/tokens.ts';

const SPEAKERS = 6;
/** Several programs start one after the other. */
const STARTED_MS = 90_000;
const SEEN = { timeout: 90_000, interval: 1_000 };

/** What the emulator does to streams, so that there is something to see in the panels of what goes wrong. */
const FAULTS = [
  'http_error:0.2,status=503',
  'reset:0.3,afterAudioMs=300-1000',
  // Nothing more is said, not even the last final, which is given up after a while and reported as lost.
  'silence:0.3,afterAudioMs=200-800',
];

/** A gateway that gives up soon, grants fewer streams than there are speakers, and has a pool of which one entry is dead. */
function busyGateway(emulator: string, redis: string) {
  const region = 'us-east-1';
  const pool = [
    { name: 'dead', region, endpoint: 'http://127.0.0.1:1' },
    { name: 'live', region, endpoint: emulator, priority: 2 },
  ];
  // It stands in the pool.
  const { GATEWAY_AWS_ENDPOINT: _, ...aws } = toEmulator(emulator);
  return {
    ...aws,
    ...JWT_AUTH,
    GATEWAY_AWS_POOL: JSON.stringify(pool),
    GATEWAY_AWS_STREAMS: '3',
    GATEWAY_QUEUE_LENGTH: '1',
    GATEWAY_QUEUE_TIMEOUT_MS: '1000',
    GATEWAY_FLUSH_TIMEOUT_MS: '500',
    GATEWAY_START_TIMEOUT_MS: '2000',
    GATEWAY_RECOVERY_TIMEOUT_MS: '1000',
    GATEWAY_EVENTS_PER_SECOND: '50',
    GATEWAY_SESSIONS_PER_USER: '100',
    GATEWAY_SILENCE_TRIMMING_TENANTS: '*',
    GATEWAY_WORKERS: '2',
    REDIS_URL: redis,
  };
}

/** One with the local engine and a small budget for each user. */
const LOCAL = {
  ...JWT_AUTH,
  GATEWAY_ENGINE: 'local',
  GATEWAY_LOCAL_PROCESSES: '1',
  GATEWAY_USER_DAILY_AUDIO_SECONDS: '10',
  GATEWAY_DRAIN_TIMEOUT_MS: '6000',
};

/** Panels that show nothing but 0 in health, and that no load of a few seconds changes. */
const QUIET = [
  // It takes a machine that has no memory or time left.
  'Workers under pressure',
  // It takes megabytes of results that wait for somebody who reads none of them.
  'Clients that read slowly',
  // It takes an engine that says something again.
  'Finals dropped',
  // It takes a Redis that loses what it was given.
  'Records made anew',
];
const BLOCKED = 'Workers not answering';
const WITHOUT_REDIS = [
  'Calls that failed',
  'Failed calls by kind',
  'Decided without Redis',
  'Entries sent without Redis',
  'Entries that wait for Redis',
];
const OF_THE_END = ['Gateways draining', 'Gateways that drain', 'Draining', 'Gateways not answering'];

function isEmpty(series: readonly Series[], mayBeQuiet: boolean): boolean {
  const values = series.flatMap((one) => one.values.map(([, value]) => Number(value)));
  return !values.some((value) => Number.isFinite(value) && (mayBeQuiet || value !== 0));
}

describe.skipIf(NO_REDIS || NO_PROMETHEUS)('a Prometheus that scrapes gateways under load', () => {
  let gateway: ServedGateway;
  let local: ServedGateway;
  let redis: RedisServer;
  let prometheus: Prometheus;
  /** What has been started, to be closed in reverse order. */
  const closers: (() => Promise<unknown>)[] = [];

  beforeAll(async () => {
    const faults = FAULTS.flatMap((fault) => ['--fault', fault]);
    const scripted = ['--recogniser', 'scripted', '--final-latency-ms', '100'];
    const emulator = cli(['emulator', '--port', '0', ...scripted, ...faults]);
    redis = await RedisServer.start();
    closers.push(() => redis.stop());
    const [, endpoint = ''] = await emulator.saw(/listens on (\S+),/);
    [gateway, local] = await Promise.all([serveGateway(busyGateway(endpoint, redis.url)), serveGateway(LOCAL)]);
    prometheus = await Prometheus.start([gateway.adminUrl, local.adminUrl]);
    closers.push(() => prometheus.stop());
    const [ann, bob] = [await signToken({ sub: 'ann' }), await signToken({ sub: 'bob' })];
    const actors = [
      ...Array.from({ length: SPEAKERS / 2 }, () => [
        new Actor(gateway.url, { protocol: 1, token: ann }, speak(gateway.url)),
        new Actor(gateway.url, { protocol: 2, token: bob }, speakOnTwoConnections),
      ]).flat(),
      // Whenever Redis goes, somebody speaks.
      new Actor(gateway.url, { protocol: 2, token: bob }, speakToViewer),
      new Actor(gateway.url, { protocol: 2, token: ann }, flood),
      new Actor(gateway.url, { protocol: 2, token: 'forged' }, knock),
      // One uses the budget up; the other stays below it, and has a session to the end.
      new Actor(local.url, { protocol: 1, token: ann }, speakSample(50)),
      new Actor(local.url, { protocol: 1, token: bob }, speakSample(500)),
    ];
    closers.push(() => Promise.all(actors.map((actor) => actor.stop())));
  }, STARTED_MS);

  afterAll(async () => {
    for (const close of closers.splice(0).reverse()) await close();
    killAll();
  });

  const queries = DASHBOARDS.flatMap(([file, dashboard]) =>
    dataPanels(dashboard).flatMap(({ targets = [], title }) =>
      targets.map(({ expr, refId }) => ({ name: `${file}: ${title} ${refId}`, title, expr })),
    ),
  );

  /** Waits until each of these panels has had data. What a query has brought once it brings again. */
  async function seen(which: (title: string) => boolean): Promise<void> {
    let left = queries.filter(({ title }) => which(title));
    expect(left).not.toEqual([]);
    const ask = async () => {
      const empty = left.map(async ({ expr, title }) => {
        const query = expr.replace(/\$(job|instance)/g, '.+').replaceAll('$__rate_interval', '10s');
        return isEmpty(await prometheus.range(query), QUIET.includes(title));
      });
      const isLeft = await Promise.all(empty);
      left = left.filter((_, index) => isLeft[index]);
      return left.map(({ name }) => name);
    };
    await expect.poll(ask, SEEN).toEqual([]);
  }

  it('is served metrics that promtool has nothing against, but for the names of three of Node', async () => {
    const input = await (await fetch(`${gateway.adminUrl}/metrics`)).text();
    const { stderr } = spawnSync('promtool', ['check', 'metrics'], { input, encoding: 'utf8' });
    const complaints = stderr.split('\n').filter((line) => line !== '');
    expect(complaints.filter((line) => !/^nodejs_active_\w+_total non-counter/.test(line))).toEqual([]);
    // It does complain.
    expect(complaints).toHaveLength(3);
  });

  it('has data for every query of every panel', async () => {
    const [victim = 0] = childrenOf(gateway.child.pid ?? 0);
    // A worker that dies is replaced between two scrapes; one that is blocked stays so until it is seen.
    process.kill(victim, 'SIGSTOP');
    await seen((title) => title === BLOCKED);
    process.kill(victim, 'SIGKILL');
    const [recogniser = 0] = childrenOf(local.child.pid ?? 0);
    process.kill(recogniser, 'SIGKILL');
    await seen((title) => ![...WITHOUT_REDIS, ...OF_THE_END].includes(title));
    await redis.pause();
    await seen((title) => WITHOUT_REDIS.includes(title));
    await redis.unpause();
    local.child.kill('SIGTERM');
    await seen(() => true);
  });

  it('finds a query empty that asks for what is not there, or cannot be read', async () => {
    expect(isEmpty(await prometheus.range('transcribe_gateway_sesions'), true)).toBe(true);
    expect(isEmpty(await prometheus.range('vector(0)'), false)).toBe(true);
    await expect(prometheus.range('sum(')).rejects.toThrow('parse error');
  });
});
