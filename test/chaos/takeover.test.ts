import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { formatAccount, isClean } from '../support/reconcile.ts';
import { NO_REDIS, RedisServer } from '../support/redis.ts';
import { type Strike, takeover } from '../support/takeover.ts';

/** How long a strike that passes lasts, in milliseconds: longer than a client waits for a connection that is silent. */
const STRIKE_MS = 4_000;

describe.skipIf(NO_REDIS)('coded audio through a cluster of gateways and one Redis', { timeout: 120_000 }, () => {
  let redis: RedisServer;
  beforeAll(async () => {
    redis = await RedisServer.start();
  });
  afterAll(() => redis.stop());

  async function expectWhole(options: Omit<Parameters<typeof takeover>[0], 'redis' | 'pods'>) {
    const report = await takeover({ redis, pods: 2, ...options });
    for (const account of report.accounts) {
      console.log(formatAccount(account));
      expect(isClean(account)).toBe(true);
      expect(account.coveredByGap).toEqual([]);
    }
    expect(report.disorders).toEqual([]);
    return report;
  }

  it('is whole when owners are killed at random moments, and within commits, acknowledgements, claims and replays', async () => {
    const report = await expectWhole({
      kills: 2,
      sessions: 2,
      seed: 11,
      failpoints:
        'commit.before=0.05,commit.after=0.05,ack.before=0.02,ack.after=0.02,claim.before=0.1,claim.after=0.1,replay=0.2',
    });
    expect(report.deaths).toBeGreaterThan(2);
  });

  it.each<[string, Strike]>([
    ['the network is cut', async (pods) => pods.cut()],
    ['connections carry nothing any more and nobody is told', async (pods) => pods.swallow()],
    [
      'the owner stands still while another takes over, and then wakes up',
      async (pods, owner) => {
        const child = pods.gateway(owner)?.child;
        child?.kill('SIGSTOP');
        await delay(STRIKE_MS);
        child?.kill('SIGCONT');
      },
    ],
    [
      'the owner is drained',
      async (pods, owner) => {
        const gateway = pods.gateway(owner);
        gateway?.child.kill('SIGTERM');
        expect(await gateway?.exited).toBe(0);
      },
    ],
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
    await expectWhole({ kills: 1, sessions: 2, seed: 5, strike });
  });
});
