import { createHash, randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { MemoryLeases } from '../../src/store/memory-leases.ts';
import { RedisLeases } from '../../src/store/redis-leases.ts';
import { RedisLink } from '../../src/store/redis-link.ts';
import type { RedisTarget } from '../../src/store/redis-target.ts';
import { describeWithRedis, RedisServer, startCluster } from '../support/redis.ts';
import { describeLeasesContract } from './leases-contract.ts';
import { SILENT } from './store-sessions.ts';

const TIMEOUT_MS = 5_000;

/** One process is one worker: all share the one object that holds the places. */
describeLeasesContract('memory', async (count) => {
  const leases = new MemoryLeases();
  return Array.from({ length: count }, () => leases);
});

const links: RedisLink[] = [];

async function connectTo(target: RedisTarget, prefix: string): Promise<RedisLeases> {
  const link = RedisLink.open(target, TIMEOUT_MS, SILENT);
  links.push(link);
  await link.connected(TIMEOUT_MS);
  return new RedisLeases(link, prefix);
}

afterAll(() => {
  for (const link of links) link.close();
});

describeWithRedis('leases on one server', () => {
  let server: RedisServer;
  beforeAll(async () => {
    server = await RedisServer.start();
  });
  afterAll(() => server.stop());
  const target = (): RedisTarget => ({ mode: 'standalone', node: server.node, db: 0 });

  describeLeasesContract('Redis', async (count) => {
    const prefix = `test:${randomUUID()}:`;
    return Promise.all(Array.from({ length: count }, () => connectTo(target(), prefix)));
  });

  it('hold no identity, and nothing for longer than their term', async () => {
    await server.command('flushall');
    const leases = await connectTo(target(), 'p:');
    await leases.acquire({ scope: 'user ann', holder: 'session', grip: 'grip' }, 1, 500);
    const keys = (await server.command('keys', '*')) as string[];
    const name = createHash('sha256').update('user ann').digest('base64url').slice(0, 22);
    expect(keys.sort()).toEqual([`p:{lease:${name}}:grips`, `p:{lease:${name}}:until`]);
    await expect.poll(() => server.command('dbsize')).toBe(0);
  });

  it('are kept by renewing them after Redis was emptied', async () => {
    const leases = await connectTo(target(), 'p:');
    const lease = { scope: 'emptied', holder: 'session', grip: 'grip' };
    await leases.acquire(lease, 1, 60_000);
    await server.command('flushall');
    expect(await leases.renew([lease], 60_000)).toEqual(['kept']);
    const another = { ...lease, holder: 'another' };
    expect(await leases.acquire(another, 1, 60_000)).toMatchObject({ kind: 'refused', held: 1 });
  });
});

describeWithRedis('leases on a cluster', () => {
  let servers: RedisServer[] = [];
  beforeAll(async () => {
    servers = await startCluster();
  });
  afterAll(() => Promise.all(servers.map((server) => server.stop())));

  describeLeasesContract('Redis Cluster', async (count) => {
    const prefix = `test:${randomUUID()}:`;
    const nodes = servers.map(({ node }) => node);
    return Promise.all(Array.from({ length: count }, () => connectTo({ mode: 'cluster', nodes }, prefix)));
  });
});
