import type { Registry } from 'prom-client';
import { LIMITS, type LimitName } from '../protocol/limit-codes.ts';
import { declaringIn } from './declaring.ts';

const NAMES = Object.keys(LIMITS) as LimitName[];
/** Those that are counted with other workers, so that a worker may have to decide alone. */
const SHARED = NAMES.filter((name) => /_per_(user|tenant|token|address)$/.test(name));
const BUDGETS = NAMES.filter((name) => LIMITS[name] === 'budget_exceeded');

/** What the limits measure. */
export function createLimitMetrics(registry: Registry) {
  const { closedCounter, gauge } = declaringIn(registry);
  return {
    limitRefusalsTotal: closedCounter('limit_refusals_total', 'Refusals, by the limit that was reached.', {
      limit: NAMES,
    }),
    limitFallbacksTotal: closedCounter(
      'limit_fallbacks_total',
      'Decisions that a worker made by itself because the store was away, by limit.',
      { limit: SHARED },
    ),
    budgetWarningsTotal: closedCounter('budget_warnings_total', 'Daily budgets that were nearly used up, by kind.', {
      limit: BUDGETS,
    }),
    shedding: gauge('shedding', 'Workers that refuse new sessions because of this pressure.', ['pressure']),
    hasRoom: gauge('workers_with_room', 'Workers that take new sessions: neither full nor under too much load.'),
    leases: gauge('leases', 'Places under a limit that are kept in the store.', ['limit']),
  };
}
