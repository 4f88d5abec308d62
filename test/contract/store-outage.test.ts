import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { keysOf } from '../../src/store/keys.ts';
import { RedisStore } from '../../src/store/redis.ts';
import { RedisLink } from '../../src/store/redis-link.ts';
import type { RedisTarget } from '../../src/store/redis-target.ts';
import { StoreUnavailableError } from '../../src/store/store.ts';
import { describeWithRedis, RedisServer, startCluster, startSentinel } from '../support/redis.ts';
import {
  claimed,
  claimOf,
  created,
  entry,
  entryOptions,
  newSession,
  resume,
  SILENT,
  snapshot,
  WIDE,
  withEntries,
} from './store-sessions.ts';

const TIMEOUT_MS = 200;
const PATIENCE = { timeout: 15_000, interval: 10 };

const opened: RedisLink[] = [];
afterEach(() => {
  for (const link of opened.splice(0)) link.close();
});

async function open(target: RedisTarget, prefix = `test:${randomUUID()}:`): Promise<RedisStore> {
  const link = RedisLink.open(target, TIMEOUT_MS, SILENT);
  opened.push(link);
  await link.connected(5_000);
  return new RedisStore(link, prefix, WIDE);
}

/** How long a call takes to fail. */
async function failureMs(call: Promise<unknown>): Promise<number> {
  const begin = performance.now();
  await expect(call).rejects.toBeInstanceOf(StoreUnavailableError);
  return performance.now() - begin;
}

const until = (store: RedisStore, available: boolean) =>
  vi.waitFor(() => expect(store.available).toBe(available), PATIENCE);

describeWithRedis('Redis away', () => {
  let server: RedisServer;
  beforeAll(async () => {
    server = await RedisServer.start();
  });
  afterAll(() => server.stop());
  const openHere = () => open({ mode: 'standalone', node: server.node, db: 0 });

  it('fails every verb at once while the server is gone, tells it, and goes on when it is back', async () => {
    const store = await openHere();
    const session = await withEntries(store, 2);
    const claim = claimOf(session);
    const changes: boolean[] = [];
    store.onAvailability((available) => changes.push(available));
    await server.kill();
    await until(store, false);
    const verbs = [
      () => store.create(newSession()),
      () => store.claim(resume(session)),
      () => store.append(claim, entry(3), entryOptions(3)),
      () => store.stop(claim, 2, { reason: 'end', samples: 0, finals: 0 }),
      () => store.update([{ claim, head: 2 }]),
      () => store.rebuild(snapshot(session, claim)),
      () => store.remove(claim),
    ];
    for (const verb of verbs) expect(await failureMs(verb())).toBeLessThan(TIMEOUT_MS);
    await server.restart();
    await until(store, true);
    expect(changes).toEqual([false, true]);
    expect(await store.create(newSession())).toMatchObject({ kind: 'created' });
  });

  it('lets the owner make its session anew when the server comes back empty', async () => {
    const store = await openHere();
    const session = await withEntries(store, 2);
    const claim = claimOf(session);
    await server.kill();
    await server.restart();
    await until(store, true);
    expect(await store.append(claim, entry(3), entryOptions(3))).toEqual({ kind: 'absent' });
    const whole = snapshot(session, claim, { head: 2, ends: [2000], entries: [entry(1), entry(2)] });
    expect(await store.rebuild(whole)).toEqual({ kind: 'ok' });
    expect(await store.append(claim, entry(3), entryOptions(3))).toEqual({ kind: 'ok' });
    expect((await claimed(store, session)).missed).toEqual([entry(1), entry(2), entry(3)]);
  });

  it('fails a call in time when the server is paused, the next ones at once, and comes back by itself', async () => {
    const store = await openHere();
    const session = await withEntries(store, 1);
    await server.pause();
    const took = await failureMs(store.append(claimOf(session), entry(2), entryOptions(2)));
    expect(took).toBeGreaterThan(TIMEOUT_MS / 2);
    expect(took).toBeLessThan(TIMEOUT_MS * 3);
    expect(store.available).toBe(false);
    expect(await failureMs(store.update([{ claim: claimOf(session), head: 1 }]))).toBeLessThan(TIMEOUT_MS);
    // Long enough for the kernel to take new connections, of which none is answered.
    await delay(TIMEOUT_MS * 3);
    expect(store.available).toBe(false);
    await server.unpause();
    await until(store, true);
    expect(await store.update([{ claim: claimOf(session), head: 1 }])).toEqual([{ kind: 'ok' }]);
  });

  it('does no harm with what a paused server carries out late', async () => {
    const target: RedisTarget = { mode: 'standalone', node: server.node, db: 0 };
    const [store, other] = await Promise.all([open(target, 'late:'), open(target, 'late:')]);
    const session = await withEntries(store, 1);
    const claim = claimOf(session);
    await server.pause();
    const mark = { offset: 9000, chunk: 9, chunkEnd: 9000 };
    const late = [
      store.append(claim, entry(2), entryOptions(2)),
      store.update([{ claim, head: 1, watermark: mark }]),
      other.remove({ ...claim, epoch: 0 }),
    ];
    await Promise.all(late.map(failureMs));
    await server.unpause();
    const { record } = keysOf('late:', session.sessionId);
    await vi.waitFor(async () => {
      expect(await server.command('hmget', record, 'head', 'offset')).toEqual(['2', '9000']);
    }, PATIENCE);
    await Promise.all([until(store, true), until(other, true)]);
    expect(await store.append(claim, entry(2), entryOptions(2))).toEqual({ kind: 'ok' });
    const answer = await claimed(other, session, { epoch: 1 });
    expect(answer).toMatchObject({ head: 2, missed: [entry(1), entry(2)], watermark: mark });
    expect(await store.append(claim, entry(3), entryOptions(3))).toEqual({ kind: 'fenced', epoch: 2 });
  });

  it('refuses a claim that is carried out after a later one of the same client', async () => {
    const store = await openHere();
    const session = await withEntries(store, 1);
    const later = await claimed(store, session, { attempt: 8 });
    expect(await store.claim(resume(session, { attempt: 7 }))).toEqual({ kind: 'stale_attempt', attempt: 8 });
    expect(await store.append(later.claim, entry(2), entryOptions(2))).toEqual({ kind: 'ok' });
  });

  it('takes a replica for a store that is away, until it is a master again', async () => {
    const store = await openHere();
    const claim = await created(store, newSession());
    await server.command('replicaof', '127.0.0.1', '1');
    await failureMs(store.append(claim, entry(1), entryOptions(1)));
    await server.command('replicaof', 'no', 'one');
    await vi.waitFor(async () => {
      expect(await store.append(claim, entry(1), entryOptions(1))).toEqual({ kind: 'ok' });
    }, PATIENCE);
  });

  it('survives a listener that throws', async () => {
    const store = await openHere();
    store.onAvailability(() => {
      throw new Error('a fault of the listener');
    });
    const changes: boolean[] = [];
    store.onAvailability((available) => changes.push(available));
    await server.kill();
    await server.restart();
    await until(store, true);
    expect(changes).toEqual([false, true]);
  });

  it('goes on when an operator empties the script cache', async () => {
    const store = await openHere();
    const claim = await created(store, newSession());
    expect(await store.append(claim, entry(1), entryOptions(1))).toEqual({ kind: 'ok' });
    await server.command('script', 'flush');
    expect(await store.append(claim, entry(2), entryOptions(2))).toEqual({ kind: 'ok' });
  });

  it('sends no more calls than it may have under way, and settles every one of them', async () => {
    const store = await openHere();
    const claim = await created(store, newSession());
    await server.pause();
    const calls = Array.from({ length: 12_000 }, () => store.update([{ claim, head: 0 }]));
    const results = await Promise.allSettled(calls);
    await server.unpause();
    const reasons = results.map((one) => (one.status === 'rejected' ? String(one.reason) : 'answered'));
    expect(reasons.filter((reason) => reason.includes('too many'))).toHaveLength(2_000);
    expect(reasons).not.toContain('answered');
    await until(store, true);
  });

  it.each([
    ['is not there', (): RedisTarget => ({ mode: 'standalone', node: { host: '127.0.0.1', port: 1 }, db: 0 })],
    ['has no such name', (): RedisTarget => ({ mode: 'standalone', node: { host: 'redis.invalid', port: 1 }, db: 0 })],
    [
      'wants another password',
      (): RedisTarget => ({ mode: 'standalone', node: server.node, db: 0, username: 'x', password: 'secret word' }),
    ],
    [
      'has no Sentinel there',
      (): RedisTarget => ({ mode: 'sentinel', sentinels: [{ host: '127.0.0.1', port: 1 }], name: 'x', db: 0 }),
    ],
    ['is no cluster', (): RedisTarget => ({ mode: 'cluster', nodes: [server.node] })],
    [
      'has no node of the cluster there',
      (): RedisTarget => ({ mode: 'cluster', nodes: [{ host: '127.0.0.1', port: 1 }] }),
    ],
  ])('is away from the start where Redis %s, and can be closed', async (_what, target) => {
    const link = RedisLink.open(target(), TIMEOUT_MS, SILENT);
    opened.push(link);
    expect(await link.connected(400)).toBe(false);
    const store = new RedisStore(link, 'test:', WIDE);
    const failure = await store.create(newSession()).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(StoreUnavailableError);
    expect(String(failure)).not.toContain('secret word');
    await store.close();
  });
});

describeWithRedis('a failover by Sentinel', () => {
  let servers: [RedisServer, RedisServer, RedisServer];
  beforeAll(async () => {
    servers = await startSentinel();
  });
  afterAll(() => Promise.all(servers.map((one) => one.stop())));

  it('is followed to the new master, which knows the sessions', { timeout: 30_000 }, async () => {
    const [sentinel, master, replica] = servers;
    const target: RedisTarget = { mode: 'sentinel', sentinels: [sentinel.node], name: 'mymaster', db: 0 };
    const store = await open(target, 'failover:');
    const session = await withEntries(store, 2);
    // The replica must have it, since a failover may lose what it has not.
    const { record } = keysOf('failover:', session.sessionId);
    await vi.waitFor(async () => expect(await replica.command('hget', record, 'head')).toBe('2'), PATIENCE);
    await master.kill();
    await until(store, false);
    await vi.waitFor(async () => {
      const answer = await store.append(claimOf(session), entry(3), entryOptions(3));
      expect(answer).toEqual({ kind: 'ok' });
    }, PATIENCE);
    expect((await claimed(store, session)).missed).toEqual([entry(1), entry(2), entry(3)]);
  });
});

describeWithRedis('a cluster that loses a node', () => {
  let servers: RedisServer[] = [];
  beforeAll(async () => {
    servers = await startCluster();
  });
  afterAll(() => Promise.all(servers.map((one) => one.stop())));

  it('is away while all of them are, and comes back with them', async () => {
    const store = await open({ mode: 'cluster', nodes: servers.map(({ node }) => node) });
    await created(store, newSession());
    await Promise.all(servers.map((one) => one.kill()));
    await until(store, false);
    expect(await failureMs(store.create(newSession()))).toBeLessThan(TIMEOUT_MS);
    await Promise.all(servers.map((one) => one.restart()));
    await until(store, true);
    await vi.waitFor(async () => {
      expect(await store.create(newSession())).toMatchObject({ kind: 'created' });
    }, PATIENCE);
  });

  describe.each(['killed', 'paused'] as const)('because it is %s', (how) => {
    it('goes on with the sessions of the others, and says of which it has no answer', async () => {
      const store = await open({ mode: 'cluster', nodes: servers.map(({ node }) => node) });
      const claims = await Promise.all(Array.from({ length: 30 }, () => created(store, newSession())));
      const [first] = servers;
      if (how === 'killed') await first?.kill();
      else await first?.pause();
      const updates = claims.map((claim) => ({ claim, head: 0 }));
      for (let round = 0; round < 3; round++) {
        const answers = await store.update(updates);
        expect(new Set(answers.map(({ kind }) => kind))).toEqual(new Set(['ok', 'unavailable']));
      }
      expect(store.available).toBe(true);
      if (how === 'killed') await first?.restart();
      else await first?.unpause();
      await vi.waitFor(async () => {
        const kinds = (await store.update(updates)).map(({ kind }) => kind);
        expect(kinds).not.toContain('unavailable');
      }, PATIENCE);
    });
  });
});
