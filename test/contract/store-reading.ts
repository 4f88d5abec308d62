import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { NewSession, ReadAnswer, ReadSession, Store } from '../../src/store/store.ts';
import {
  claimed,
  claimOf,
  created,
  entry,
  entryOptions,
  newSession,
  pick,
  resume,
  type StoreFactory,
  snapshot,
  WIDE,
  withEntries,
} from './store-sessions.ts';

const STOP = { reason: 'client_stop', samples: 16_000, finals: 1 };
const WATCH_MS = 30_000;

/** What viewers need of a store: every store passes it. */
export function describeStoreReading(name: string, makeStores: StoreFactory): void {
  describe(`store contract of viewers: ${name}`, () => {
    let store: Store;
    let other: Store;
    let narrow: Store;
    const opened: Store[] = [];
    beforeAll(async () => {
      const wide = await makeStores(WIDE, 2);
      const few = await makeStores({ ...WIDE, journal: { ...WIDE.journal, entries: 2 } }, 1);
      opened.push(...wide, ...few);
      store = pick(wide, 0);
      other = pick(wide, 1);
      narrow = pick(few, 0);
    });
    afterAll(() => Promise.all(opened.map((one) => one.close())));

    const ask = (session: NewSession, afterSeq = 0, watchMs = WATCH_MS, at = other): Promise<ReadAnswer> =>
      at.read({ sessionId: session.sessionId, watchHash: session.watchHash, afterSeq, watchMs });
    const read = async (...args: Parameters<typeof ask>): Promise<ReadSession> => {
      const answer = await ask(...args);
      if (answer.kind !== 'read') throw new Error(`not read: ${answer.kind}`);
      return answer.session;
    };

    it('gives the entries after a number, with epoch, head and request', async () => {
      const session = await withEntries(store, 3);
      expect(await read(session, 1)).toEqual({
        request: session.request,
        epoch: 1,
        head: 3,
        entries: [entry(2), entry(3)],
        trimmedEnd: 0,
        lostSeq: 0,
      });
      expect((await read(session, 0)).entries).toEqual([entry(1), entry(2), entry(3)]);
    });

    it('gives nothing to a reader who has all, or more than there is', async () => {
      const session = await withEntries(store, 2);
      expect(await read(session, 2)).toMatchObject({ head: 2, entries: [] });
      expect(await read(session, 7)).toMatchObject({ head: 2, entries: [] });
    });

    it('shows what was trimmed', async () => {
      const session = await withEntries(narrow, 5);
      expect(await read(session, 1, WATCH_MS, narrow)).toMatchObject({
        head: 5,
        entries: [entry(4), entry(5)],
        trimmedEnd: 3_000,
        lostSeq: 0,
      });
    });

    it('shows how the session ended', async () => {
      const session = await withEntries(store, 1);
      await store.stop(claimOf(session), 1, STOP);
      expect(await read(session)).toMatchObject({ head: 1, entries: [entry(1)], stopped: STOP });
    });

    it('shows the epoch of the last claim', async () => {
      const session = await withEntries(store, 1);
      await store.claim(resume(session, { lastSeq: 1, lastEnd: 1_000 }));
      expect(await read(session)).toMatchObject({ epoch: 2, entries: [entry(1)] });
    });

    it('tells numbers that only the client knows from those that were trimmed', async () => {
      const session = await withEntries(store, 2);
      await claimed(store, session, { lastSeq: 4, lastEnd: 4_000 });
      expect(await read(session, 2)).toMatchObject({ head: 4, entries: [], trimmedEnd: 4_000, lostSeq: 4 });
    });

    it('refuses another key, a session that is not there, and one that a later start has ended', async () => {
      const session = await withEntries(store, 1);
      expect(await ask({ ...session, watchHash: session.resumeHash })).toEqual({ kind: 'forbidden' });
      expect(await ask(newSession())).toEqual({ kind: 'unknown' });
      expect(await ask({ ...session, sessionId: 'x' })).toEqual({ kind: 'unknown' });
      const earlier = newSession({ start: { key: 'watched', attempt: 1 } });
      await store.create(earlier);
      await store.create(newSession({ start: { key: 'watched', attempt: 2 } }));
      expect(await ask(earlier)).toEqual({ kind: 'unknown' });
    });

    it('tells the writer that somebody watches, with every verb that may say it', async () => {
      const session = newSession();
      const claim = await created(store, session);
      const update = { claim, head: 0, watermark: { offset: 100, chunk: 0, chunkEnd: 0 } };
      expect(await store.update([update])).toEqual([{ kind: 'ok' }]);
      await read(session);
      expect(await store.update([update])).toEqual([{ kind: 'ok', watched: true }]);
      expect(await store.append(claim, entry(1), entryOptions(1))).toEqual({ kind: 'ok', watched: true });
      expect(await store.append(claim, entry(1), entryOptions(1))).toEqual({ kind: 'ok', watched: true });
      expect(await store.stop(claim, 1, STOP)).toEqual({ kind: 'ok', watched: true });
    });

    it('does not mark a session for one who may not read it', async () => {
      const session = newSession();
      const claim = await created(store, session);
      await ask({ ...session, watchHash: session.resumeHash });
      expect(await store.append(claim, entry(1), entryOptions(1))).toEqual({ kind: 'ok' });
    });

    it('forgets the mark when it is not renewed, and never shortens it', async () => {
      const session = newSession();
      const claim = await created(store, session);
      await read(session, 0, 5);
      await delay(10);
      expect(await store.append(claim, entry(1), entryOptions(1))).toEqual({ kind: 'ok' });
      await read(session, 0, WATCH_MS);
      await read(session, 0, 1);
      await delay(10);
      expect(await store.append(claim, entry(2), entryOptions(2))).toEqual({ kind: 'ok', watched: true });
    });

    it('keeps the mark over a claim', async () => {
      const session = await withEntries(store, 1);
      await read(session);
      const { claim } = await claimed(store, session, { lastSeq: 1, lastEnd: 1_000 });
      expect(await store.append(claim, entry(2), entryOptions(2))).toEqual({ kind: 'ok', watched: true });
    });

    it('reads a session that was made anew', async () => {
      const session = newSession();
      const claim = claimOf(session);
      await store.rebuild(snapshot(session, claim, { head: 2, ends: [2_000], entries: [entry(1), entry(2)] }));
      expect(await read(session)).toMatchObject({ head: 2, entries: [entry(1), entry(2)] });
    });

    it('does not keep a session from expiring', async () => {
      const [brief] = await makeStores({ ...WIDE, ttlMs: 60 }, 1);
      if (brief === undefined) throw new Error('no store');
      opened.push(brief);
      const session = newSession();
      await brief.create(session);
      const deadline = performance.now() + 5_000;
      while ((await ask(session, 0, WATCH_MS, brief)).kind === 'read' && performance.now() < deadline) await delay(5);
      expect((await ask(session, 0, WATCH_MS, brief)).kind).toBe('unknown');
    });
  });
}
