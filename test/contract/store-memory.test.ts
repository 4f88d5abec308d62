import { MemoryStore } from '../../src/store/memory.ts';
import { describeStoreContract } from './store-contract.ts';

/** One process is one worker: all share the one store that holds the data. */
describeStoreContract('memory', async (bounds, count) => {
  const store = new MemoryStore(bounds);
  return Array.from({ length: count }, () => store);
});
