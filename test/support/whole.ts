import { expect } from 'vitest';
import { formatAccount, isClean } from './reconcile.ts';
import { type TakeoverOptions, type TakeoverReport, takeover } from './takeover.ts';

/** Two gateways under strikes: prints each client's account, and expects that nothing is lost, doubled or out of order. */
export async function expectWhole(options: Omit<TakeoverOptions, 'pods'>): Promise<TakeoverReport> {
  const report = await takeover({ pods: 2, ...options });
  for (const account of report.accounts) {
    console.log(formatAccount(account));
    expect(isClean(account)).toBe(true);
    expect(account.coveredByGap).toEqual([]);
  }
  expect(report.disorders).toEqual([]);
  return report;
}
