import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe } from 'vitest';
import { RedisStore } from '../../src/store/redis.ts';
import { RedisLink } from '../../src/store/redis-link.ts';
import { NO_REDIS, RedisServer, startCluster } from '../support/redis.ts';
import { describeStoreContract } from './store-contract.ts';
import { SILENT } from './store-sessions.ts';

const TIMEOUT_MS = 5_000;

describe.skipIf(NO_REDIS !== false)('on one server', () => {
  let server: RedisServer;
  beforeAll(async () => {
    server = await RedisServer.start();
  });
  afterAll(() => server.stop());

  describeStoreContract('Redis', async (bounds, count) => {
    const prefix = `test:${randomUUID()}:`;
    const node = { host: '127.0.0.1', port: server.port };
    const links = Array.from(
      { length: count },
      () => new RedisLink({ mode: 'standalone', node, db: 0 }, TIMEOUT_MS, SILENT),
    );
    await Promise.all(links.map((link) => link.connected(TIMEOUT_MS)));
    return links.map((link) => new RedisStore(link, prefix, bounds));
  });
});

describe.skipIf(NO_REDIS !== false)('on a cluster', () => {
  let servers: RedisServer[] = [];
  beforeAll(async () => {
    servers = await startCluster();
  });
  afterAll(() => Promise.all(servers.map((server) => server.stop())));

  describeStoreContract('Redis Cluster', async (bounds, count) => {
    const prefix = `test:${randomUUID()}:`;
    const nodes = servers.map(({ port }) => ({ host: '127.0.0.1', port }));
    const links = Array.from({ length: count }, () => new RedisLink({ mode: 'cluster', nodes }, TIMEOUT_MS, SILENT));
    await Promise.all(links.map((link) => link.connected(TIMEOUT_MS)));
    return links.map((link) => new RedisStore(link, prefix, bounds));
  });
});
