import { describe, expect, it } from 'vitest';
import { DRILLS } from '../support/drills.ts';
import { ALERTS, scaleRules } from '../support/scaled-rules.ts';

describe('the drills', () => {
  it('provoke every alert once', () => {
    const drilled = DRILLS.flatMap(({ alerts }) => Object.keys(alerts));
    expect(drilled.toSorted()).toEqual(ALERTS.toSorted());
  });
});

describe('rules whose time is cut short', () => {
  it('wait and look back so much shorter, and are otherwise as they were', () => {
    const rules = [
      '- record: failed:ratio_rate5m',
      '  expr: sum(rate(failed[5m])) / sum(rate(all[3d]))',
      '- alert: Failing',
      '  expr: failed:ratio_rate5m > 6 * (1 - 0.995)',
      '  for: 10m',
      '  summary: for 10m',
    ];
    expect(scaleRules(rules.join('\n'), 60).split('\n')).toEqual([
      '- record: failed:ratio_rate5m',
      '  expr: sum(rate(failed[5000ms])) / sum(rate(all[4320000ms]))',
      '- alert: Failing',
      '  expr: failed:ratio_rate5m > 6 * (1 - 0.995)',
      '  for: 10000ms',
      '  summary: for 10m',
    ]);
  });
});
