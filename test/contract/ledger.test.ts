import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { MemoryLedger } from '../../src/store/memory-ledger.ts';
import { RedisLedger } from '../../src/store/redis-ledger.ts';
import { RedisLink } from '../../src/store/redis-link.ts';
import type { RedisTarget } from '../../src/store/redis-target.ts';
import { describeWithRedis, RedisServer, startCluster } from '../support/redis.ts';
import { describeLedgerContract, type LedgerWorld } from './ledger-contract.ts';
import { SILENT } from './store-sessions.ts';

const TIMEOUT_MS = 5_000;

/** One process is one worker: all share the one object that holds the figures. */
describeLedgerContract('memory', async (workers) => {
  let days = 0;
  const ledger = new MemoryLedger(() => Date.now() + days * 86_400_000);
  const ageADay = async () => {
    days++;
  };
  return { ledgers: Array.from({ length: workers }, () => ledger), ageADay };
});

const links: RedisLink[] = [];

async function connectTo(target: RedisTarget, prefix: string): Promise<RedisLedger> {
  const link = RedisLink.open(target, TIMEOUT_MS, SILENT);
  links.push(link);
  await link.connected(TIMEOUT_MS);
  return new RedisLedger(link, prefix);
}

/** On each server: figures of today become those of yesterday. */
async function ageOn(servers: readonly RedisServer[], prefix: string): Promise<void> {
  for (const server of servers) {
    for (const key of (await server.command('keys', `${prefix}*`)) as string[]) {
      await server.command('hincrby', key, 'day', '-1');
    }
  }
}

async function worldOf(target: RedisTarget, servers: readonly RedisServer[], workers: number): Promise<LedgerWorld> {
  const prefix = `test:${randomUUID()}:`;
  const ledgers = await Promise.all(Array.from({ length: workers }, () => connectTo(target, prefix)));
  return { ledgers, ageADay: () => ageOn(servers, prefix) };
}

afterAll(() => {
  for (const link of links) link.close();
});

describeWithRedis('a ledger on one server', () => {
  let server: RedisServer;
  beforeAll(async () => {
    server = await RedisServer.start();
  });
  afterAll(() => server.stop());
  const target = (): RedisTarget => ({ mode: 'standalone', node: server.node, db: 0 });

  describeLedgerContract('Redis', (workers) => worldOf(target(), [server], workers));

  it('holds no identity, and forgets everything in two days', async () => {
    await server.command('flushall');
    const ledger = await connectTo(target(), 'p:');
    const users = [{ user: 'ann', audioMs: 5 }];
    await ledger.book({ tenant: 'acme', writer: 'w', number: 1, billedSeconds: 1, audioMs: 5, users });
    const keys = (await server.command('keys', '*')) as string[];
    expect(keys).toHaveLength(2);
    for (const key of keys) {
      expect(key).toMatch(/^p:\{usage:[\w-]{22}\}:(tenant|user:[\w-]{22})$/);
      const ttl = Number(await server.command('pttl', key));
      expect(ttl).toBeGreaterThan(86_400_000);
      expect(ttl).toBeLessThanOrEqual(2 * 86_400_000);
    }
  });
});

describeWithRedis('a ledger on a cluster', () => {
  let servers: RedisServer[] = [];
  beforeAll(async () => {
    servers = await startCluster();
  });
  afterAll(() => Promise.all(servers.map((server) => server.stop())));

  describeLedgerContract('Redis Cluster', (workers) => {
    const nodes = servers.map(({ node }) => node);
    return worldOf({ mode: 'cluster', nodes }, servers, workers);
  });
});
