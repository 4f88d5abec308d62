/**
 * What the Redis store costs: microseconds and calls per verb, one at a time and many at once, and the round trips of a
 * worker with many sessions, each with 0.5 finals a second and one watermark a second. Prints tables and judges nothing.
 *
 *     node test/bench/store.ts [sessions=100] [seconds=10] [calls=2000]
 *
 * Redis is a process of its own on this machine, without persistence; its CPU is its own count. A round trip here has no
 * network in it.
 */
import { randomBytes } from 'node:crypto';
import { performance } from 'node:perf_hooks';
import { setTimeout as delay } from 'node:timers/promises';
import { RedisStore } from '../../src/store/redis.ts';
import { RedisLink, type ScriptRunner } from '../../src/store/redis-link.ts';
import type { Claim, JournalEntry, Store, StoreBounds, WriteAnswer } from '../../src/store/store.ts';
import { claimOf, entryOptions, newSession, resume, SILENT, snapshot } from '../contract/store-sessions.ts';
import { quantile } from '../support/quantile.ts';
import { RedisServer } from '../support/redis.ts';

const [sessions = 100, seconds = 10, calls = 2_000] = process.argv.slice(2).map(Number);
/** A sentence, encrypted. */
const ENTRY_BYTES = 300;
const FINALS_PER_SECOND = 0.5;
const BOUNDS: StoreBounds = { journal: { entries: 1_000, bytes: 2_000_000, ageMs: 3_600_000 }, ttlMs: 120_000 };

const server = await RedisServer.start();
const link = RedisLink.open({ mode: 'standalone', node: server.node, db: 0 }, 5_000, SILENT);
await link.connected(5_000);
const counted = { calls: 0, roundTrips: 0 };
let roundTrip: Promise<void> | undefined;

/** Counts the calls, and as one round trip those that are sent in one turn of the event loop: they are under way together. */
const runner: ScriptRunner = {
  run(name, keys, args) {
    counted.calls++;
    if (roundTrip === undefined) {
      counted.roundTrips++;
      roundTrip = new Promise((resolve) => setImmediate(resolve)).then(() => {
        roundTrip = undefined;
      });
    }
    return link.run(name, keys, args);
  },
  available: true,
  isCluster: false,
  onAvailability: () => () => undefined,
  close: () => link.close(),
};
const store: Store = new RedisStore(runner, 'bench:', BOUNDS);

function entryOf(seq: number): JournalEntry {
  return { seq, startSample: (seq - 1) * 1_000, endSample: seq * 1_000, data: randomBytes(ENTRY_BYTES) };
}

async function begin(): Promise<Claim> {
  const session = newSession();
  await store.create(session);
  return claimOf(session);
}

/** CPU seconds of Redis so far. */
async function redisCpu(): Promise<number> {
  const info = String(await server.command('info', 'cpu'));
  const value = (name: string) => Number(new RegExp(`${name}:([\\d.]+)`).exec(info)?.[1] ?? 0);
  return value('used_cpu_sys') + value('used_cpu_user');
}

interface Cost {
  readonly wallUs: number;
  readonly ownUs: number;
  readonly redisUs: number;
}

/** Runs something so many times, so many at once. */
async function measure(times: number, atOnce: number, one: (at: number) => Promise<unknown>): Promise<Cost> {
  const own = process.cpuUsage();
  const redis = await redisCpu();
  const began = performance.now();
  for (let at = 0; at < times; at += atOnce) {
    await Promise.all(Array.from({ length: Math.min(atOnce, times - at) }, (_, index) => one(at + index)));
  }
  const wallUs = ((performance.now() - began) * 1_000) / times;
  const { system, user } = process.cpuUsage(own);
  return { wallUs, ownUs: (system + user) / times, redisUs: (((await redisCpu()) - redis) * 1_000_000) / times };
}

function row(name: string, ...figures: (number | string)[]): void {
  const cells = figures.map((one) => (typeof one === 'number' ? one.toFixed(1) : one).padStart(12));
  console.log(name.padEnd(34) + cells.join(''));
}

async function verbs(): Promise<void> {
  row('verb (µs per call)', 'one by one', '50 at once', 'CPU here', 'CPU Redis');
  const compare = async (name: string, one: (at: number) => Promise<unknown>, times = calls) => {
    const single = await measure(times, 1, one);
    const many = await measure(times, 50, (at) => one(times + at));
    row(name, single.wallUs, many.wallUs, many.ownUs, many.redisUs);
  };
  await compare('create', () => begin());
  const claims = await Promise.all(Array.from({ length: 50 }, begin));
  const heads = claims.map(() => 0);
  const pick = (at: number) => at % claims.length;
  await compare('append', async (at) => {
    const index = pick(at);
    const claim = claims[index];
    const seq = (heads[index] ?? 0) + 1;
    heads[index] = seq;
    if (claim !== undefined) expectOk(await store.append(claim, entryOf(seq), entryOptions(seq)));
  });
  await compare('update of one', (at) => store.update([updateOf(claims[pick(at)], at)]));
  const hundred = await Promise.all(Array.from({ length: 100 }, begin));
  await compare('update of 100', (at) => store.update(hundred.map((claim) => updateOf(claim, at))), calls / 20);
  const whole = newSession();
  const entries = Array.from({ length: 20 }, (_, at) => entryOf(at + 1));
  await store.rebuild(snapshot(whole, claimOf(whole), { head: 20, ends: [20_000], entries }));
  let attempt = 0;
  await compare('claim that misses 20 entries', () => {
    attempt++;
    return store.claim(resume(whole, { attempt, epoch: attempt }));
  });
  await compare('rebuild of 20 entries', () => {
    const session = newSession();
    return store.rebuild(snapshot(session, claimOf(session), { head: 20, ends: [20_000], entries }));
  });
  await compare('stop', async () => {
    const claim = await begin();
    return store.stop(claim, 0, { reason: 'end', samples: 0, finals: 0 });
  });
}

/** A worker as it runs: finals as they fall, and once a second one update of all its sessions. */
async function worker(): Promise<void> {
  const claims = await Promise.all(Array.from({ length: sessions }, begin));
  const heads = claims.map(() => 0);
  Object.assign(counted, { calls: 0, roundTrips: 0 });
  const own = process.cpuUsage();
  const redis = await redisCpu();
  const began = performance.now();
  const sends: Promise<void>[] = [];
  const latencies: number[] = [];
  const finals = Math.round(sessions * FINALS_PER_SECOND * seconds);
  const events = [
    ...Array.from({ length: finals }, (_, at) => ({
      at: ((at + 0.5) / finals) * seconds * 1_000,
      index: at % sessions,
    })),
    ...Array.from({ length: seconds }, (_, at) => ({ at: at * 1_000, index: undefined })),
  ].sort((a, b) => a.at - b.at);
  for (const { at, index } of events) {
    await delay(Math.max(0, began + at - performance.now()));
    const sent = performance.now();
    const done = () => void latencies.push(performance.now() - sent);
    if (index === undefined) sends.push(store.update(claims.map((claim) => updateOf(claim, at))).then(done));
    else {
      const claim = claims[index];
      const seq = (heads[index] ?? 0) + 1;
      heads[index] = seq;
      if (claim !== undefined)
        sends.push(store.append(claim, entryOf(seq), entryOptions(seq)).then(expectOk).then(done));
    }
  }
  await Promise.all(sends);
  const elapsed = (performance.now() - began) / 1_000;
  const sessionSeconds = sessions * seconds;
  const { system, user } = process.cpuUsage(own);
  console.log(`\n${sessions} sessions for ${elapsed.toFixed(1)} s: ${finals} finals, ${seconds} updates of all`);
  row('calls per session-second', (counted.calls / sessionSeconds).toFixed(3));
  row('round trips per session-second', (counted.roundTrips / sessionSeconds).toFixed(3));
  row('µs per session-second here', (system + user) / sessionSeconds);
  row('µs per session-second in Redis', (((await redisCpu()) - redis) * 1_000_000) / sessionSeconds);
  row(
    'answer in ms: median, 99%, most',
    ...[0.5, 0.99, 1].map((share) => (quantile(latencies, share) ?? 0).toFixed(2)),
  );
}

function updateOf(claim: Claim | undefined, offset: number) {
  if (claim === undefined) throw new Error('no claim');
  return { claim, head: 0, watermark: { offset: Math.round(offset), chunk: Math.round(offset), chunkEnd: 0 } };
}

function expectOk({ kind }: WriteAnswer): void {
  if (kind !== 'ok') throw new Error(`the store answered ${kind}`);
}

try {
  await verbs();
  await worker();
} finally {
  await store.close();
  await server.stop();
}
