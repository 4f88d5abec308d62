import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, it, vi } from 'vitest';
import { MemoryStore } from '../../../src/store/memory.ts';
import { claimed, created, entry, entryOptions, newSession, resume } from '../../contract/store-sessions.ts';

const BOUNDS = { journal: { entries: 10, bytes: 10_000, ageMs: 500 }, ttlMs: 1_000 };

describe('MemoryStore', () => {
  it('keeps a session for exactly its time after the last write', async () => {
    let now = 0;
    const store = new MemoryStore(BOUNDS, () => now);
    const claim = await created(store, newSession());
    now = 999;
    expect(await store.append(claim, entry(1), entryOptions(1))).toEqual({ kind: 'ok' });
    now = 1_998;
    expect(await store.update([{ claim, head: 1 }])).toEqual([{ kind: 'ok' }]);
    now = 2_998;
    expect(await store.update([{ claim, head: 1 }])).toEqual([{ kind: 'absent' }]);
  });

  it('does not keep a session that only a refused call has named', async () => {
    let now = 0;
    const store = new MemoryStore(BOUNDS, () => now);
    const session = newSession();
    await store.create(session);
    now = 600;
    expect(await store.claim(resume(session, { principal: 'thief' }))).toEqual({ kind: 'forbidden' });
    now = 1_000;
    expect(await store.claim(resume(session))).toEqual({ kind: 'unknown' });
  });

  it('trims entries by their age to the millisecond', async () => {
    let now = 0;
    const store = new MemoryStore(BOUNDS, () => now);
    const session = newSession();
    const claim = await created(store, session);
    await store.append(claim, entry(1), entryOptions(1));
    now = 1;
    await store.append(claim, entry(2), entryOptions(2));
    now = 500;
    expect((await claimed(store, session)).missed).toHaveLength(2);
    now = 501;
    expect((await claimed(store, session, { attempt: 2 })).missed).toEqual([entry(2)]);
  });

  it('lets go of what has expired, although nobody names it again', async () => {
    let now = 0;
    const store = new MemoryStore(BOUNDS, () => now);
    const collected: WeakRef<Buffer>[] = [];
    for (let at = 0; at < 100; at++) {
      const claim = await created(store, newSession());
      const data = Buffer.alloc(1_000);
      collected.push(new WeakRef(data));
      await store.append(claim, { ...entry(1), data }, entryOptions(1));
    }
    now = 1_000;
    // Any verb: what has expired goes before it looks.
    await store.create(newSession());
    setFlagsFromString('--expose-gc');
    const collect = runInNewContext('gc') as () => void;
    await vi.waitFor(() => {
      collect();
      // All but the one that a variable of this test may still hold.
      expect(collected.filter((ref) => ref.deref() !== undefined).length).toBeLessThan(2);
    });
  });
});
