import { afterAll, beforeAll, expect } from 'vitest';
import { formatAccount, isClean } from './reconcile.ts';
import { describeWithRedis, RedisServer } from './redis.ts';
import { type TakeoverOptions, type TakeoverReport, takeover } from './takeover.ts';

/** Gateways under strikes, two by default: prints each client's account, and expects that nothing is lost, doubled or out of order. */
export async function expectWhole(
  options: Omit<TakeoverOptions, 'pods'> & { readonly pods?: number },
): Promise<TakeoverReport> {
  const report = await takeover({ pods: 2, ...options });
  for (const account of report.accounts) {
    console.log(formatAccount(account));
    expect(isClean(account)).toBe(true);
    expect(account.coveredByGap).toEqual([]);
  }
  expect(report.disorders).toEqual([]);
  return report;
}

/** A suite about gateways that share one Redis, which it is given as a function because it starts before the tests. */
export function describeCluster(suite: (redis: () => RedisServer) => void): void {
  describeWithRedis('coded audio through a cluster of gateways and one Redis', () => {
    let server: RedisServer;
    beforeAll(async () => {
      server = await RedisServer.start();
    });
    afterAll(() => server.stop());
    suite(() => server);
  });
}
