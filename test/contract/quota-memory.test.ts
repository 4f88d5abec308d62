import { MemoryQuota } from '../../src/store/memory-quota.ts';
import { describeQuotaContract } from './quota-contract.ts';

describeQuotaContract('memory', async (rules, count) => {
  const ledger = new MemoryQuota(rules);
  return { ledgers: Array.from({ length: count }, () => ledger), close: () => undefined };
});
