import { describe, expect, it } from 'vitest';
import { keysOf } from '../../../src/store/keys.ts';
import { RedisStore } from '../../../src/store/redis.ts';
import type { ScriptRunner } from '../../../src/store/redis-link.ts';
import { StoreUnavailableError } from '../../../src/store/store.ts';
import { claimOf, newSession, WIDE } from '../../contract/store-sessions.ts';

/** Answers every update with `ok`, but none that names a key of `lost`. */
function storeOf({ isCluster = false, lost = new Set<string>() } = {}) {
  const calls: (readonly string[])[] = [];
  const runner: ScriptRunner = {
    run: async (_name, keys) => {
      calls.push(keys);
      if (keys.some((key) => lost.has(key))) throw new StoreUnavailableError('lost');
      return Array.from({ length: keys.length / 2 }, () => [Buffer.from('ok')]);
    },
    available: true,
    isCluster,
    onAvailability: () => () => undefined,
    close: () => undefined,
  };
  return { store: new RedisStore(runner, 'p:', WIDE), calls };
}

const updatesOf = (count: number, start?: { key: string; attempt: number }) =>
  Array.from({ length: count }, () => ({ claim: claimOf(newSession({ start })), head: 0 }));

describe('a bulk update in Redis', () => {
  it('goes in one call, or in several that leave Redis time for others', async () => {
    for (const [count, expected] of [
      [1, [1]],
      [100, [100]],
      [250, [100, 100, 50]],
    ] as const) {
      const { calls, store } = storeOf();
      expect(await store.update(updatesOf(count))).toHaveLength(count);
      expect(calls.map((keys) => keys.length / 2)).toEqual(expected);
    }
  });

  it('goes in one call for each hash tag in a cluster', async () => {
    const { calls, store } = storeOf({ isCluster: true });
    const updates = [...updatesOf(2), ...updatesOf(3, { key: 'one', attempt: 1 }), ...updatesOf(1)];
    expect(await store.update(updates)).toHaveLength(6);
    expect(calls.map((keys) => keys.length / 2)).toEqual([1, 1, 3, 1]);
  });

  it('says for which sessions it has no answer, and fails when it has none at all', async () => {
    const updates = updatesOf(3);
    const records = updates.map(({ claim }) => keysOf('p:', claim.sessionId).record);
    const some = storeOf({ isCluster: true, lost: new Set(records.slice(1, 2)) });
    expect((await some.store.update(updates)).map(({ kind }) => kind)).toEqual(['ok', 'unavailable', 'ok']);
    const none = storeOf({ isCluster: true, lost: new Set(records) });
    await expect(none.store.update(updates)).rejects.toBeInstanceOf(StoreUnavailableError);
  });
});
