import { MemoryStore } from '../../src/store/memory.ts';
import { describeStoreContract } from './store-contract.ts';
import { describeStoreReading } from './store-reading.ts';
import type { StoreFactory } from './store-sessions.ts';

/** One process is one worker: all share the one store that holds the data. */
const makeStores: StoreFactory = async (bounds, count) => {
  const store = new MemoryStore(bounds);
  return Array.from({ length: count }, () => store);
};

describeStoreContract('memory', makeStores);
describeStoreReading('memory', makeStores);
