import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { killAll } from '../support/process.ts';
import { isClean } from '../support/reconcile.ts';
import { describeWithRedis, RedisServer } from '../support/redis.ts';
import { formatRolling } from '../support/rolling-report.ts';
import { rollingRestart } from '../support/rolling-restart.ts';

describeWithRedis('a rolling restart under live sessions of both versions, over WebSocket and polling', () => {
  let redis: RedisServer;
  beforeAll(async () => {
    redis = await RedisServer.start();
  });
  afterAll(() => redis.stop());
  afterEach(killAll);

  it('loses no word and says none twice, and lets clients connect at an even pace', { timeout: 300_000 }, async () => {
    const report = await rollingRestart({
      redis,
      gateways: 3,
      sessions: 16,
      pollingEvery: 2,
      drainTimeoutMs: 16_000,
      seed: 1,
    });
    console.log(formatRolling(report));
    expect(report.problems).toEqual([]);
    expect(report.accounts[2].filter((account) => !isClean(account))).toEqual([]);
    expect(report.accounts[1].filter((account) => !isClean(account))).toEqual([]);
    expect(report.rolls.map(({ exit, inWord }) => ({ exit, inWord }))).toEqual(Array(3).fill({ exit: 0, inWord: 16 }));
    // At two connections a second one more of a busy machine is half of the pace.
    for (const { peakRate, steadyRate } of report.rolls) expect(peakRate).toBeLessThanOrEqual(2 * steadyRate + 1);
    expect(report.moves[2]).toBeGreaterThanOrEqual(8);
    expect(report.moves[1]).toBeGreaterThanOrEqual(8);
  });
});
