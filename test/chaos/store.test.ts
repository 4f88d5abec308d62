import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, it } from 'vitest';
import { NO_REDIS, RedisServer } from '../support/redis.ts';
import type { Strike } from '../support/takeover.ts';
import { expectWhole } from '../support/whole.ts';

/** How long a strike that passes lasts, in milliseconds: longer than a client waits for a connection that is silent. */
const STRIKE_MS = 4_000;

describe.skipIf(NO_REDIS)('coded audio through a cluster of gateways and one Redis', { timeout: 120_000 }, () => {
  let redis: RedisServer;
  beforeAll(async () => {
    redis = await RedisServer.start();
  });
  afterAll(() => redis.stop());

  it.each<[string, Strike]>([
    [
      'Redis stands still',
      async () => {
        redis.pause();
        await delay(STRIKE_MS);
        redis.unpause();
      },
    ],
    [
      'Redis is away, and comes back empty',
      async () => {
        await redis.kill();
        await delay(STRIKE_MS);
        await redis.restart();
      },
    ],
    [
      'Redis is emptied, and the network is cut at the same time',
      async (pods) => {
        await redis.command('FLUSHALL');
        pods.cut();
      },
    ],
  ])('is whole when %s', async (_name, strike) => {
    await expectWhole({ redis, kills: 1, sessions: 2, seed: 5, strike });
  });
});
