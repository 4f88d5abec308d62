import { expect, it } from 'vitest';
import { formatFuzz, fuzz, leftBehind } from '../support/fuzz/run.ts';
import { isClean } from '../support/reconcile.ts';

it('thousands of mutated sessions and generated events end no gateway, cost nobody a word, and leave nothing behind', async () => {
  const report = await fuzz({ cases: 8_000, seed: 5, isPatient: false });
  console.log(formatFuzz(report));
  expect(report.faults).toEqual([]);
  expect(report.inside).toEqual([]);
  for (const [event, { accepted, handled, refused }] of report.reach) {
    expect({ event, isReached: handled > 0, isAccepted: accepted > 0, isRefused: refused > 0 }).toEqual({
      event,
      isReached: true,
      isAccepted: true,
      isRefused: true,
    });
  }
  const { account, errors } = report.victim;
  expect(errors).toEqual([]);
  expect(account.sent).toBeGreaterThan(0);
  expect(isClean(account)).toBe(true);
  expect(account.coveredByGap).toEqual([]);
  expect(leftBehind(report.before, report.after, false)).toEqual([]);
});
