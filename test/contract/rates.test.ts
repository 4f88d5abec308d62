import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { MemoryRate, RedisRate } from '../../src/store/limiter-rate.ts';
import type { MakeRate, RateOptions } from '../../src/store/rates.ts';
import { RedisLink } from '../../src/store/redis-link.ts';
import type { RedisTarget } from '../../src/store/redis-target.ts';
import { describeWithRedis, RedisServer, startCluster } from '../support/redis.ts';
import { SILENT } from './store-sessions.ts';

const TIMEOUT_MS = 5_000;

function options(changes: Partial<RateOptions> = {}): RateOptions {
  return { name: 'test', most: 2, seconds: 60, onFallback: () => undefined, ...changes };
}

/** The contract of rates (`src/store/rates.ts`) as a suite. @param make makes the rate of one worker among several */
function describeRateContract(name: string, make: () => MakeRate): void {
  describe(`rate contract: ${name}`, () => {
    it('lets as many happen in a window as may, and says how long it is to its end', async () => {
      const rate = make()(options());
      const key = randomUUID();
      expect([await rate.count(key), await rate.count(key)]).toEqual([0, 0]);
      for (const _ of [1, 2]) {
        const wait = await rate.count(key);
        expect(wait).toBeGreaterThan(50_000);
        expect(wait).toBeLessThanOrEqual(60_000);
      }
    });

    it('keeps keys apart', async () => {
      const rate = make()(options({ most: 1 }));
      for (const key of [randomUUID(), randomUUID()]) expect(await rate.count(key)).toBe(0);
    });

    it('begins anew with the next window', async () => {
      const rate = make()(options({ most: 1, seconds: 1 }));
      const key = randomUUID();
      await rate.count(key);
      expect(await rate.count(key)).toBeGreaterThan(0);
      await expect.poll(() => rate.count(key), { interval: 100 }).toBe(0);
    });
  });
}

describeRateContract('memory', () => (given) => new MemoryRate(given));

const links: RedisLink[] = [];

async function connectTo(target: RedisTarget, timeoutMs = TIMEOUT_MS): Promise<RedisLink> {
  const link = RedisLink.open(target, timeoutMs, SILENT);
  links.push(link);
  await link.connected(TIMEOUT_MS);
  return link;
}

afterAll(() => {
  for (const link of links) link.close();
});

describeWithRedis('rates on one server', () => {
  let server: RedisServer;
  let link: RedisLink;
  beforeAll(async () => {
    server = await RedisServer.start();
    link = await connectTo({ mode: 'standalone', node: server.node, db: 0 });
  });
  afterAll(() => server.stop());

  describeRateContract('Redis', () => (given) => new RedisRate(link.client, 'test:', given));

  it('are one for all workers', async () => {
    const other = await connectTo({ mode: 'standalone', node: server.node, db: 0 });
    const [a, b] = [link, other].map(({ client }) => new RedisRate(client, 'test:', options()));
    const key = randomUUID();
    expect([await a?.count(key), await b?.count(key)]).toEqual([0, 0]);
    expect(await a?.count(key)).toBeGreaterThan(0);
    expect(await b?.count(key)).toBeGreaterThan(0);
  });

  it('hold no identity, and nothing for longer than their window', async () => {
    await server.command('flushall');
    await new RedisRate(link.client, 'p:', options()).count('203.0.113.7');
    const [key = ''] = (await server.command('keys', '*')) as string[];
    expect(key).toMatch(/^p:rate:test:[\w-]{22}$/);
    expect(await server.command('pttl', key)).toBeGreaterThan(0);
  });

  it('do not ask about a key that has too many already', async () => {
    const rate = new RedisRate(link.client, 'test:', options());
    const key = randomUUID();
    for (let n = 0; n < 3; n++) await rate.count(key);
    const calls = async () => /total_commands_processed:(\d+)/.exec(String(await server.command('info', 'stats')))?.[1];
    const before = Number(await calls());
    for (let n = 0; n < 50; n++) expect(await rate.count(key)).toBeGreaterThan(0);
    expect(Number(await calls()) - before).toBeLessThan(50);
  });
});

describeWithRedis('rates of a Redis that is away', () => {
  it('are counted by each worker for itself, which is told, and nothing is refused for that', async () => {
    const server = await RedisServer.start();
    let fallbacks = 0;
    try {
      const { client } = await connectTo({ mode: 'standalone', node: server.node, db: 0 }, 200);
      const rate = new RedisRate(client, 'test:', options({ onFallback: () => fallbacks++ }));
      expect(await rate.count('a')).toBe(0);
      expect(fallbacks).toBe(0);
      await server.pause();
      expect(await rate.count('a')).toBe(0);
      await server.unpause();
      await server.kill();
      expect(await rate.count('a')).toBe(0);
      expect(await rate.count('a')).toBeGreaterThan(0);
      expect(fallbacks).toBe(3);
    } finally {
      await server.stop();
    }
  });
});

describeWithRedis('rates on a cluster', () => {
  let servers: RedisServer[] = [];
  let link: RedisLink;
  beforeAll(async () => {
    servers = await startCluster();
    link = await connectTo({ mode: 'cluster', nodes: servers.map(({ node }) => node) });
  });
  afterAll(() => Promise.all(servers.map((server) => server.stop())));

  describeRateContract('Redis Cluster', () => (given) => new RedisRate(link.client, 'test:', given));
});
