/** A rolling restart under live coded sessions: every gateway is replaced, one after the other, while all speak. */
import { setTimeout as delay } from 'node:timers/promises';
import { spreadOf } from '../../src/app.ts';
import { SLOWEST } from '../../src/socket/evacuation.ts';
import { Balancer } from './balancer.ts';
import { cli, type ServedGateway, serveGateway, toEmulator } from './process.ts';
import type { BlockAccount } from './reconcile.ts';
import type { RedisServer } from './redis.ts';
import { LibrarySpeaker, type LogLine, OldSpeaker, type Speaker, type TransportName } from './rolling-speakers.ts';

export interface RollingOptions {
  readonly redis: RedisServer;
  readonly gateways: number;
  /** Of each gateway. */
  readonly workers?: number;
  /** Half of them speak version 1. */
  readonly sessions: number;
  /** Of all sessions, how many poll: every how-manieth. */
  readonly pollingEvery: number;
  readonly drainTimeoutMs: number;
  readonly seed: number;
  /** Told of each step: a benchmark takes minutes. */
  readonly onStep?: (step: string) => void;
}

/** One gateway that was replaced. */
interface Roll {
  readonly exit: number | NodeJS.Signals;
  readonly seconds: number;
  /** Clients that were in mid-word when it got its signal, of all. */
  readonly inWord: number;
  /** Clients that it had then. */
  readonly clients: number;
  /** Connections in a second that the pace of the drain makes. */
  readonly steadyRate: number;
  /** Connections in a second, at the balancer, of the busiest `SPIKE_MS`. */
  readonly peakRate: number;
  /** The most connections within one second. */
  readonly busiestSecond: number;
}

export interface RollingReport {
  readonly speakers: readonly Speaker[];
  readonly rolls: readonly Roll[];
  /** By protocol version. */
  readonly accounts: Readonly<Record<1 | 2, readonly BlockAccount[]>>;
  readonly pausesMs: Readonly<Record<1 | 2, readonly number[]>>;
  readonly moves: Readonly<Record<1 | 2, number>>;
  /** See `OldSpeaker.tailsMs`. */
  readonly tailsMs: readonly number[];
  readonly problems: readonly string[];
}

const SECOND_MS = 1_000;
/**
 * Over how long a spike is measured, in milliseconds. The library of version-1 clients draws its delay from 0.5 to 1.5 s
 * (socket.io-client: 1 s, randomised by half): less than twice that spread would measure its dice and not the drain.
 */
const SPIKE_MS = 2_000;
/** Clients that begin in one second; more would be refused by nobody, but would not be steady. */
const STARTS_PER_SECOND = 20;

/** Replaces every gateway while the clients speak; each is in mid-word when a signal comes. */
export async function rollingRestart(options: RollingOptions): Promise<RollingReport> {
  const { drainTimeoutMs, gateways, onStep = () => undefined, redis, seed, sessions } = options;
  const emulator = cli([
    'emulator',
    '--recogniser=coded',
    '--partial-latency-ms=60',
    '--final-latency-ms=60-400',
    '--concurrent-streams=10000',
    '--starts-per-second=10000',
    `--seed=${seed}`,
  ]);
  const [, endpoint = ''] = await emulator.saw(/listens on (\S+),/);
  const env = {
    ...toEmulator(endpoint),
    REDIS_URL: redis.url,
    LOG_LEVEL: 'info',
    GATEWAY_DRAIN_TIMEOUT_MS: String(drainTimeoutMs),
    ...(options.workers !== undefined && { GATEWAY_WORKERS: String(options.workers) }),
  };
  const balancer = await Balancer.start();
  const all: ServedGateway[] = [];
  const launch = async () => {
    const gateway = await serveGateway(env);
    all.push(gateway);
    balancer.add(gateway);
    return gateway;
  };
  let isOver = false;
  try {
    const first = await Promise.all(Array.from({ length: gateways }, launch));
    onStep(`${gateways} gateways serve`);
    const speakers = Array.from({ length: sessions }, (_, n) => {
      // A speaker of each version polls in turn.
      const transport: TransportName = (n >> 1) % options.pollingEvery === 0 ? 'polling' : 'websocket';
      return n % 2 === 0
        ? new LibrarySpeaker(balancer.url, transport, seed * 10_007 + n)
        : new OldSpeaker(balancer.url, transport, seed * 10_007 + n);
    });
    const speaking: Promise<void>[] = [];
    for (const speaker of speakers) {
      speaking.push(speaker.run(() => !isOver));
      await delay(SECOND_MS / STARTS_PER_SECOND);
    }
    await Promise.all(speakers.map((speaker) => speaker.heard()));
    onStep(`${sessions} sessions speak`);
    const rolls: Roll[] = [];
    for (const old of first) {
      await launch();
      onStep(`a gateway is replaced`);
      rolls.push(await roll(old, speakers, balancer, drainTimeoutMs));
    }
    onStep('all are replaced');
    isOver = true;
    await Promise.all(speaking);
    await Promise.all(all.slice(gateways).map(end));
    return reportOf(speakers, rolls, all.flatMap(logsOf));
  } finally {
    isOver = true;
    balancer.close();
    await Promise.all([emulator, ...all].map(end));
  }
}

async function end({ child, exited }: Pick<ServedGateway, 'child' | 'exited'>): Promise<void> {
  child.kill('SIGKILL');
  await exited;
}

async function roll(
  gateway: ServedGateway,
  speakers: readonly Speaker[],
  balancer: Balancer,
  drainTimeoutMs: number,
): Promise<Roll> {
  for (const speaker of speakers) speaker.held = true;
  while (!speakers.every(({ isInWord }) => isInWord)) await delay(10);
  const clients = await connectionsOf(gateway);
  const chunks = speakers.map((speaker) => speaker.chunks);
  const inWord = speakers.filter((speaker) => speaker.isInWord).length;
  const begin = performance.now();
  gateway.child.kill('SIGTERM');
  // The word goes on beyond the signal.
  while (speakers.some((speaker, n) => speaker.chunks === chunks[n] && performance.now() - begin < SECOND_MS)) {
    await delay(10);
  }
  for (const speaker of speakers) speaker.held = false;
  const exit = await gateway.exited;
  const ended = performance.now();
  balancer.remove(gateway);
  // Those that were sent off last are still on their way.
  await Promise.all(speakers.map((speaker) => speaker.heard()));
  const connects = balancer.connectsAt.filter((at) => at >= begin);
  const spreadSeconds = spreadOf(drainTimeoutMs) / SECOND_MS;
  return {
    exit,
    seconds: (ended - begin) / SECOND_MS,
    inWord,
    clients,
    steadyRate: Math.max(SLOWEST * SECOND_MS, clients / spreadSeconds),
    peakRate: mostWithin(SPIKE_MS, connects) / (SPIKE_MS / SECOND_MS),
    busiestSecond: mostWithin(SECOND_MS, connects),
  };
}

/** The most of the moments that fall within so many milliseconds. */
function mostWithin(windowMs: number, moments: readonly number[]): number {
  return Math.max(0, ...moments.map((at) => moments.filter((one) => one >= at && one < at + windowMs).length));
}

async function connectionsOf(gateway: ServedGateway): Promise<number> {
  const text = await (await fetch(`${gateway.adminUrl}/metrics`)).text();
  const lines = text.split('\n').filter((line) => line.startsWith('transcribe_gateway_connections{'));
  return lines.reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0);
}

function logsOf(gateway: ServedGateway): LogLine[] {
  const lines = gateway.stdout().split('\n');
  return lines.filter((line) => line.startsWith('{') && line.endsWith('}')).map((line) => JSON.parse(line) as LogLine);
}

function reportOf(speakers: readonly Speaker[], rolls: readonly Roll[], logs: readonly LogLine[]): RollingReport {
  const old = speakers.filter((speaker) => speaker instanceof OldSpeaker);
  const byVersion = <Value>(of: (some: readonly Speaker[]) => Value) => ({
    1: of(old),
    2: of(speakers.filter((speaker) => speaker instanceof LibrarySpeaker)),
  });
  return {
    speakers,
    rolls,
    accounts: byVersion((some) => some.map((speaker) => speaker.account(logs))),
    pausesMs: byVersion((some) => some.flatMap(({ pausesMs }) => pausesMs)),
    moves: byVersion((some) => some.reduce((sum, { moves }) => sum + moves, 0)),
    tailsMs: old.flatMap(({ tailsMs }) => tailsMs),
    problems: speakers.flatMap(({ problems, transport }) => problems.map((problem) => `${transport}: ${problem}`)),
  };
}
