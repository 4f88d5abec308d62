import { createHash, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { loadConfig } from '../../src/config/load.ts';
import { openStore } from '../../src/store/index.ts';
import { keysOf } from '../../src/store/keys.ts';
import type { Leases } from '../../src/store/leases.ts';
import { RedisStore } from '../../src/store/redis.ts';
import { RedisLink } from '../../src/store/redis-link.ts';
import type { Store } from '../../src/store/store.ts';
import { describeWithRedis, RedisServer } from '../support/redis.ts';
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

const CERTIFICATE = new URL('../fixtures/emulator/cert.pem', import.meta.url).pathname;
const KEY = new URL('../fixtures/emulator/key.pem', import.meta.url).pathname;

const opened: Store[] = [];
afterEach(async () => {
  for (const store of opened.splice(0)) await store.close();
});

/** A store as the gateway opens it, from the environment. */
async function open(environment: Record<string, string>): Promise<Store> {
  return (await openAll(environment)).store;
}

async function openAll(environment: Record<string, string>) {
  const all = await openStore(loadConfig(environment), WIDE, SILENT);
  opened.push(all.store);
  return all;
}

/** Every verb once, each with an effect. */
async function useAll(store: Store): Promise<void> {
  const key = `key ${Math.random()}`;
  const earlier = newSession({ start: { key, attempt: 1 } });
  await created(store, earlier);
  const session = newSession({ start: { key, attempt: 2 } });
  expect(await store.create(session)).toMatchObject({ ended: { sessionId: earlier.sessionId } });
  for (let seq = 1; seq <= WIDE.journal.entries + 1; seq += 500) {
    const whole = snapshot(session, claimOf(session), {
      head: seq,
      ends: [0],
      entries: [{ ...entry(seq), startSample: 0 }],
    });
    expect(await store.rebuild(whole)).toEqual({ kind: 'ok' });
  }
  const { claim, head } = await claimed(store, session, { epoch: 7, lastSeq: 3, lastEnd: 3000 });
  expect(await store.append(claim, entry(head + 1), entryOptions(head + 1))).toEqual({ kind: 'ok' });
  expect(await store.update([{ claim, head: head + 1 }])).toEqual([{ kind: 'ok' }]);
  expect(await store.stop(claim, head + 1, { reason: 'end', samples: 1, finals: 1 })).toEqual({ kind: 'ok' });
  await store.remove(claim);
  expect(await store.claim(resume(session))).toEqual({ kind: 'unknown' });
}

/** The same of places, with one that has ended. */
async function useLeases(leases: Leases): Promise<void> {
  const lease = { scope: 'issuer/subject', holder: 'session', grip: 'grip' };
  await leases.acquire({ ...lease, holder: 'gone' }, 2, 1);
  await expect.poll(() => leases.acquire(lease, 1, 60_000)).toMatchObject({ kind: 'granted' });
  expect(await leases.acquire({ ...lease, holder: 'another' }, 1, 60_000)).toMatchObject({ kind: 'refused' });
  expect(await leases.renew([lease], 60_000)).toEqual(['kept']);
  await leases.release(lease);
}

describe('without REDIS_URL', () => {
  it('keeps sessions and places in the process', async () => {
    const { leases, store } = await openAll({});
    await useAll(store);
    await useLeases(leases);
  });
});

describeWithRedis('access to Redis', () => {
  let server: RedisServer;
  beforeAll(async () => {
    server = await RedisServer.start();
  });
  afterAll(() => server.stop());

  it('uses the database and the prefix that it is given, and no other key', async () => {
    const store = await open({ REDIS_URL: `${server.url}/3`, GATEWAY_REDIS_PREFIX: 'mine:' });
    await withEntries(store, 1);
    expect(await server.command('dbsize')).toBe(0);
    const keys = await server.withClient(async (client) => {
      await client.select(3);
      return client.keys('*');
    });
    expect(keys).toHaveLength(1);
    expect(keys.every((key) => key.startsWith('mine:{'))).toBe(true);
  });

  it('works as a user with no more rights than these, and is told by name where one is missing', async () => {
    const rights = [
      ...'+eval +evalsha +info +hget +hset +hmget +hdel +del +pexpire +time'.split(' '),
      ...'+zadd +zrem +zcard +zscore +zrange +zrangebyscore'.split(' '),
      ...'+set +incrby +hincrby +pttl +expire'.split(' '),
    ];
    await server.command('acl', 'setuser', 'gateway', 'on', '>p@ss:word', 'resetkeys', '~own:*', '-@all', ...rights);
    const url = `redis://gateway:${encodeURIComponent('p@ss:word')}@127.0.0.1:${server.port}`;
    const { leases, ledger, makeRate, store } = await openAll({ REDIS_URL: url, GATEWAY_REDIS_PREFIX: 'own:' });
    await useAll(store);
    await useLeases(leases);
    const users = [{ user: 'ann', audioMs: 1 }];
    const batch = { tenant: 'acme', writer: 'w', number: 1, billedSeconds: 1, audioMs: 1, users };
    expect(await ledger.book(batch)).toMatchObject({ billedSeconds: 1, users: [1] });
    let fallbacks = 0;
    const rate = makeRate({ name: 'rate', most: 1, seconds: 60, onFallback: () => fallbacks++ });
    expect([await rate.count('key'), fallbacks]).toEqual([0, 0]);
    const stranger = await open({ REDIS_URL: url, GATEWAY_REDIS_PREFIX: 'foreign:' });
    await expect(stranger.create(newSession())).rejects.toThrow(/NOPERM|ERR/);
  });

  it('keeps nothing for ever, no secret and no identity', async () => {
    await server.command('flushall');
    const store = await open({ REDIS_URL: server.url });
    const resumeSecret = Buffer.from('the resume secret');
    const facts = {
      principal: 'https://issuer.example/alice',
      resumeHash: createHash('sha256').update(resumeSecret).digest(),
    };
    const key = 'start-key-of-the-client';
    const earlier = newSession({ ...facts, start: { key, attempt: 3 } });
    await store.create(earlier);
    const session = newSession({ ...facts, start: { key, attempt: 4 } });
    const claim = await created(store, session);
    await store.append(claim, entry(1), entryOptions(1));
    await store.stop(claim, 1, { reason: 'end', samples: 1, finals: 1 });
    const again = newSession(facts);
    await store.rebuild(snapshot(again, claimOf(again), { head: 1, ends: [1000], entries: [entry(1)] }));
    await claimed(store, again);
    const dump: Buffer[] = [];
    await server.withClient(async (client) => {
      for (const name of await client.keys('*')) {
        expect(await client.pttl(name), name).toBeGreaterThan(0);
        expect(await client.pttl(name), name).toBeLessThanOrEqual(WIDE.ttlMs);
        dump.push(Buffer.from(name));
        for (const [field, value] of Object.entries(await client.hgetallBuffer(name)))
          dump.push(Buffer.from(field), value);
      }
    });
    const { record } = keysOf('transcribe-gateway:', earlier.sessionId);
    expect(await server.command('hgetall', record)).toEqual({ epoch: '2', claim: '' });
    const text = Buffer.concat(dump);
    for (const word of [resumeSecret.toString(), 'alice', 'issuer.example', key])
      expect(text.includes(word), word).toBe(false);
    expect(text.includes(session.resumeHash)).toBe(true);
    expect(text.includes(entry(1).data)).toBe(true);
  });

  it('has all keys of a session, and of all sessions of a start key, in one slot', async () => {
    const start = { key: 'the same', attempt: 1 };
    const ids = [newSession({ start }), newSession({ start })].map(({ sessionId }) => sessionId);
    const keys = ids.flatMap((id) => Object.values(keysOf('p:', id)));
    // A server without cluster mode does not say the slot; the hash tag is what decides it.
    expect(new Set(keys.map((key) => /\{([^}]+)\}/.exec(key)?.[1])).size).toBe(1);
    expect(new Set(keys).size).toBe(3);
  });
});

describeWithRedis('access to Redis by TLS', () => {
  let server: RedisServer;
  beforeAll(async () => {
    const files = ['--tls-cert-file', CERTIFICATE, '--tls-key-file', KEY, '--tls-ca-cert-file', CERTIFICATE];
    server = await RedisServer.start({ args: ['--tls-auth-clients', 'no', ...files], tls: true });
  });
  afterAll(() => server.stop());

  it('trusts the authority that it is given', async () => {
    expect(new X509Certificate(readFileSync(CERTIFICATE)).subjectAltName).toContain('127.0.0.1');
    await useAll(await open({ REDIS_URL: `rediss://127.0.0.1:${server.port}`, GATEWAY_REDIS_CA_FILE: CERTIFICATE }));
  });

  it('tries again after an attempt that could not even begin', async () => {
    let attempts = 0;
    const tls = {
      // Text that is no certificate makes Node throw before there is a connection, and the client give up.
      get ca() {
        return attempts++ === 0 ? 'no certificate' : readFileSync(CERTIFICATE);
      },
    };
    const link = RedisLink.open({ mode: 'standalone', node: server.node, db: 0, tls }, 1_000, SILENT);
    const store = new RedisStore(link, 'test:', WIDE);
    opened.push(store);
    expect(await link.connected(5_000)).toBe(true);
    expect(attempts).toBe(2);
    await useAll(store);
  });

  it('does not trust another', async () => {
    const store = await open({ REDIS_URL: `rediss://127.0.0.1:${server.port}` });
    expect(store.available).toBe(false);
    await expect(store.create(newSession())).rejects.toThrow(/certificate/);
  });
});
