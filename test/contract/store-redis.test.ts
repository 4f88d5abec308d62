import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll } from 'vitest';
import { RedisStore } from '../../src/store/redis.ts';
import { RedisLink } from '../../src/store/redis-link.ts';
import { describeWithRedis, RedisServer, startCluster } from '../support/redis.ts';
import { describeStoreContract } from './store-contract.ts';
import { describeStoreReading } from './store-reading.ts';
import { SILENT, type StoreFactory } from './store-sessions.ts';

const TIMEOUT_MS = 5_000;

describeWithRedis('on one server', () => {
  let server: RedisServer;
  beforeAll(async () => {
    server = await RedisServer.start();
  });
  afterAll(() => server.stop());

  const makeStores: StoreFactory = async (bounds, count) => {
    const prefix = `test:${randomUUID()}:`;
    const links = Array.from({ length: count }, () =>
      RedisLink.open({ mode: 'standalone', node: server.node, db: 0 }, TIMEOUT_MS, SILENT),
    );
    await Promise.all(links.map((link) => link.connected(TIMEOUT_MS)));
    return links.map((link) => new RedisStore(link, prefix, bounds));
  };

  describeStoreContract('Redis', makeStores);
  describeStoreReading('Redis', makeStores);
});

describeWithRedis('on a cluster', () => {
  let servers: RedisServer[] = [];
  beforeAll(async () => {
    servers = await startCluster();
  });
  afterAll(() => Promise.all(servers.map((server) => server.stop())));

  const makeStores: StoreFactory = async (bounds, count) => {
    const prefix = `test:${randomUUID()}:`;
    const nodes = servers.map(({ node }) => node);
    const links = Array.from({ length: count }, () => RedisLink.open({ mode: 'cluster', nodes }, TIMEOUT_MS, SILENT));
    await Promise.all(links.map((link) => link.connected(TIMEOUT_MS)));
    return links.map((link) => new RedisStore(link, prefix, bounds));
  };

  describeStoreContract('Redis Cluster', makeStores);
  describeStoreReading('Redis Cluster', makeStores);
});
