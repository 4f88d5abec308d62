import { randomBytes, randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import type { Claim, NewSession, Store, StoreBounds } from '../../src/store/store.ts';
import { describeStoreModel } from './store-model.ts';
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

const STOP = { reason: 'stopped by the client', samples: 16_000, finals: 1 };

/** The store contract (`src/store/store.ts`) as a suite: every store passes it. */
export function describeStoreContract(name: string, makeStores: StoreFactory): void {
  describe(`store contract: ${name}`, () => {
    let store: Store;
    const opened: Store[] = [];
    const open = async (bounds: Partial<StoreBounds['journal']> & { ttlMs?: number }, count = 1): Promise<Store[]> => {
      const { ttlMs = WIDE.ttlMs, ...journal } = bounds;
      const stores = await makeStores({ journal: { ...WIDE.journal, ...journal }, ttlMs }, count);
      opened.push(...stores);
      return stores;
    };
    const openOne = async (bounds: Parameters<typeof open>[0]): Promise<Store> => {
      const [one] = await open(bounds);
      if (one === undefined) throw new Error('the factory made no store');
      return one;
    };
    beforeAll(async () => {
      store = await openOne({});
    });
    afterAll(async () => {
      await Promise.all(opened.map((one) => one.close()));
    });

    describe('create', () => {
      it('begins at epoch 1 with an empty journal', async () => {
        const session = newSession();
        const answer = await store.create(session);
        expect(answer).toEqual({
          kind: 'created',
          claim: { sessionId: session.sessionId, epoch: 1, claimId: session.claimId },
        });
        expect(await claimed(store, session)).toMatchObject({
          previousOwner: 'pod-1/1',
          request: session.request,
          watchHash: session.watchHash,
          head: 0,
          ends: [0],
          watermark: { offset: 0, chunk: 0, chunkEnd: 0 },
          missed: [],
          trimmedEnd: 0,
        });
      });

      it('has an end for each channel', async () => {
        const session = newSession({ channels: 2 });
        await store.create(session);
        expect((await claimed(store, session)).ends).toEqual([0, 0]);
      });

      it('answers a repeat by the same claim id as it did first', async () => {
        const session = newSession({ start: { key: 'again', attempt: 1 } });
        const first = await store.create(session);
        expect(await store.create(session)).toEqual(first);
      });

      it('refuses a session id that is taken', async () => {
        const session = newSession();
        await store.create(session);
        expect(await store.create({ ...session, claimId: randomUUID() })).toEqual({ kind: 'stale_attempt' });
      });

      it.each([
        ['of another start key', { start: { key: 'other', attempt: 1 } }],
        ['of another principal', { principal: 'issuer/other', start: { key: 'key', attempt: 1 } }],
        ['that is malformed', { sessionId: 'x', start: undefined }],
        [
          'that would leave its slot',
          { sessionId: `${'a'.repeat(10)}}${'a'.repeat(11)}.${'b'.repeat(22)}`, start: undefined },
        ],
      ])('throws on a session id %s', async (_what, changes) => {
        const session = newSession({ start: { key: 'key', attempt: 1 } });
        await expect(store.create({ ...session, ...changes })).rejects.toThrow(TypeError);
      });
    });

    describe('create with a start key', () => {
      const pair = (attempts: readonly [number, number], principal = 'issuer/one') => {
        const key = randomUUID();
        return attempts.map((attempt) => newSession({ principal, start: { key, attempt } })) as [
          NewSession,
          NewSession,
        ];
      };

      it('ends the earlier session when the attempt is higher, and names its owner', async () => {
        const [earlier, later] = pair([1, 2]);
        await store.create(earlier);
        expect(await store.create(later)).toMatchObject({
          kind: 'created',
          claim: { epoch: 1 },
          ended: { sessionId: earlier.sessionId, epoch: 2, owner: earlier.owner },
        });
      });

      it('refuses a start whose attempt is lower or the same, and keeps the later session', async () => {
        const [later, lower] = pair([5, 4]);
        const claim = await created(store, later);
        expect(await store.create(lower)).toEqual({ kind: 'stale_attempt' });
        const same = newSession({ principal: later.principal, start: later.start });
        expect(await store.create(same)).toEqual({ kind: 'stale_attempt' });
        expect(await store.append(claim, entry(1), entryOptions(1))).toEqual({ kind: 'ok' });
      });

      it('fences the owner of an ended session for good: no write, no claim, no rebuild', async () => {
        const [earlier, later] = pair([1, 2]);
        const claim = await created(store, earlier);
        await store.create(later);
        expect(await store.append(claim, entry(1), entryOptions(1))).toEqual({ kind: 'fenced', epoch: 2 });
        expect(await store.rebuild(snapshot(earlier, claim))).toEqual({ kind: 'fenced', epoch: 2 });
        expect(await store.claim(resume(earlier))).toEqual({ kind: 'unknown' });
        const ahead = { ...claim, epoch: 7 };
        expect(await store.rebuild(snapshot(earlier, ahead))).toEqual({ kind: 'fenced', epoch: 8 });
      });

      it('refuses to make a session anew whose start key has moved on while the record was lost', async () => {
        for (const attempts of [
          [1, 2],
          [2, 2],
        ] as const) {
          const [earlier, later] = pair(attempts);
          await store.create(later);
          const claim = { sessionId: earlier.sessionId, epoch: 3, claimId: earlier.claimId };
          expect(await store.rebuild(snapshot(earlier, claim))).toEqual({ kind: 'fenced', epoch: 4 });
          expect(await store.claim(resume(later))).toMatchObject({ kind: 'claimed' });
        }
      });

      it('knows the start key of a session that was made anew', async () => {
        const [earlier, later] = pair([3, 2]);
        const claim = { sessionId: earlier.sessionId, epoch: 3, claimId: earlier.claimId };
        expect(await store.rebuild(snapshot(earlier, claim))).toEqual({ kind: 'ok' });
        expect(await store.create(later)).toEqual({ kind: 'stale_attempt' });
      });

      it('keeps equal keys of two principals apart', async () => {
        const one = newSession({ principal: 'issuer/one', start: { key: 'same', attempt: 9 } });
        const two = newSession({ principal: 'issuer/two', start: { key: 'same', attempt: 1 } });
        await store.create(one);
        expect(await store.create(two)).toMatchObject({ kind: 'created' });
        expect(await store.claim(resume(one))).toMatchObject({ kind: 'claimed' });
      });
    });

    describe('claim', () => {
      it('raises the epoch by one and gives watermark, ends and the missed entries in order', async () => {
        const session = await withEntries(store, 3);
        const answer = await claimed(store, session, { lastSeq: 1, lastEnd: 1000, acked: 1000, epoch: 1 });
        expect(answer).toMatchObject({
          claim: { sessionId: session.sessionId, epoch: 2 },
          head: 3,
          ends: [3000],
          watermark: { offset: 3000, chunk: 3, chunkEnd: 2900 },
          missed: [entry(2), entry(3)],
          trimmedEnd: 0,
        });
        expect(answer).not.toHaveProperty('stopped');
      });

      it('does not know a session that was never there, or an id that is none', async () => {
        expect(await store.claim(resume(newSession()))).toEqual({ kind: 'unknown' });
        for (const sessionId of ['', '{}', 'a}b{c', 'x'.repeat(1000)]) {
          expect(await store.claim(resume({ ...newSession(), sessionId }))).toEqual({ kind: 'unknown' });
        }
      });

      it.each([
        ['secret', { resumeHash: randomBytes(32) }],
        ['principal', { principal: 'issuer/thief' }],
      ])('forbids a claim with another %s, which changes nothing', async (_what, changes) => {
        const session = newSession();
        const claim = await created(store, session);
        expect(await store.claim(resume(session, { ...changes, attempt: 9 }))).toEqual({ kind: 'forbidden' });
        expect(await store.append(claim, entry(1), entryOptions(1))).toEqual({ kind: 'ok' });
        expect((await claimed(store, session, { attempt: 1 })).claim.epoch).toBe(2);
      });

      it('refuses an attempt that is not above the last one, and says which that is', async () => {
        const session = newSession();
        await store.create(session);
        await claimed(store, session, { attempt: 4 });
        for (const attempt of [3, 4]) {
          expect(await store.claim(resume(session, { attempt }))).toEqual({ kind: 'stale_attempt', attempt: 4 });
        }
        expect((await claimed(store, session, { attempt: 5 })).claim.epoch).toBe(3);
      });

      it('answers a repeat by the same claim id and attempt as it did first', async () => {
        const session = await withEntries(store, 2);
        const request = resume(session, { attempt: 1, lastSeq: 1, lastEnd: 1000 });
        const first = await store.claim(request);
        expect(await store.claim(request)).toEqual(first);
      });

      it('takes another attempt for another claim, although the claim id is the same', async () => {
        const session = newSession();
        await store.create(session);
        const request = resume(session, { attempt: 2 });
        await store.claim(request);
        expect(await store.claim({ ...request, attempt: 1 })).toEqual({ kind: 'stale_attempt', attempt: 2 });
        expect(await store.claim({ ...request, attempt: 3 })).toMatchObject({ session: { claim: { epoch: 3 } } });
      });

      it('names the owner whose claim is void now', async () => {
        const session = newSession();
        await store.create(session);
        await claimed(store, session, { attempt: 1, owner: 'pod-2/1' });
        expect((await claimed(store, session, { attempt: 2, owner: 'pod-3/1' })).previousOwner).toBe('pod-2/1');
      });
    });

    describe('the client as the witness', () => {
      it('raises the epoch above that of the client', async () => {
        const session = newSession();
        await store.create(session);
        expect((await claimed(store, session, { epoch: 7 })).claim.epoch).toBe(8);
      });

      it('voids the entries after lastSeq when the epoch of the record is below that of the client', async () => {
        const session = await withEntries(store, 4);
        const answer = await claimed(store, session, { epoch: 5, lastSeq: 2, lastEnd: 2000, acked: 1500 });
        expect(answer).toMatchObject({
          claim: { epoch: 6 },
          head: 2,
          ends: [2000],
          watermark: { offset: 2000 },
          missed: [],
        });
        expect(answer.watermark).not.toHaveProperty('chunk');
        expect(await store.append(answer.claim, entry(3, 2500, 2600), entryOptions(3, 2600))).toEqual({ kind: 'ok' });
        const next = await claimed(store, session, { epoch: 6, attempt: 2, lastSeq: 1, lastEnd: 1000 });
        expect(next.missed).toEqual([entry(2), entry(3, 2500, 2600)]);
      });

      it('takes the acknowledged offset for the watermark when it is later than the last end', async () => {
        const session = await withEntries(store, 4);
        const answer = await claimed(store, session, { epoch: 5, lastSeq: 2, lastEnd: 2000, acked: 2200 });
        expect(answer).toMatchObject({ head: 2, ends: [2000], watermark: { offset: 2200 } });
      });

      it('voids a stop that an older epoch has made', async () => {
        const session = await withEntries(store, 2);
        await store.stop(claimOf(session), 2, STOP);
        const answer = await claimed(store, session, { epoch: 5, lastSeq: 2, lastEnd: 2000, acked: 2000 });
        expect(answer).not.toHaveProperty('stopped');
        expect(await store.append(answer.claim, entry(3), entryOptions(3))).toEqual({ kind: 'ok' });
      });

      it('begins anew at zero for a client that knows nothing but a higher epoch', async () => {
        const session = await withEntries(store, 2);
        expect(await claimed(store, session, { epoch: 2 })).toMatchObject({
          head: 0,
          ends: [0],
          watermark: { offset: 0, chunk: 0, chunkEnd: 0 },
          missed: [],
          trimmedEnd: 0,
        });
      });

      it('knows nothing of what is between, when epoch and head are both below those of the client', async () => {
        const session = await withEntries(store, 2);
        const answer = await claimed(store, session, { epoch: 5, lastSeq: 7, lastEnd: 7000, acked: 6000 });
        expect(answer).toMatchObject({
          head: 7,
          ends: [7000],
          watermark: { offset: 7000 },
          missed: [],
          trimmedEnd: 7000,
        });
      });

      it('raises head, ends and watermark when only the head is below that of the client', async () => {
        const session = await withEntries(store, 2, { channels: 2, ends: [2000, 9000] });
        const answer = await claimed(store, session, { epoch: 1, lastSeq: 5, lastEnd: 5000, acked: 4000 });
        expect(answer).toMatchObject({
          claim: { epoch: 2 },
          head: 5,
          ends: [5000, 9000],
          watermark: { offset: 5000 },
          missed: [],
          trimmedEnd: 5000,
        });
        expect(answer.watermark).not.toHaveProperty('chunk');
        const again = await claimed(store, session, { epoch: 2, attempt: 2, lastSeq: 1, lastEnd: 1000 });
        expect(again).toMatchObject({ head: 5, missed: [], trimmedEnd: 5000 });
      });

      it('keeps a watermark that is above what the client knows, with its chunk', async () => {
        const session = await withEntries(store, 2, { offset: 8000 });
        const answer = await claimed(store, session, { epoch: 1, lastSeq: 3, lastEnd: 3000, acked: 3000 });
        expect(answer.watermark).toEqual({ offset: 8000, chunk: 2, chunkEnd: 1900 });
      });

      it('raises a watermark that was lost alone', async () => {
        const session = await withEntries(store, 2);
        const answer = await claimed(store, session, { epoch: 1, lastSeq: 2, lastEnd: 2000, acked: 2500 });
        expect(answer).toMatchObject({ head: 2, ends: [2000], watermark: { offset: 2500 } });
        expect(answer.watermark).not.toHaveProperty('chunk');
      });
    });

    describe('append', () => {
      it('adds the entry whose number is head + 1, with ends and watermark', async () => {
        const session = newSession();
        const claim = await created(store, session);
        expect(await store.append(claim, entry(1, 100, 900), entryOptions(1, 900))).toEqual({ kind: 'ok' });
        expect(await claimed(store, session)).toMatchObject({
          head: 1,
          ends: [900],
          watermark: { offset: 900, chunk: 1, chunkEnd: 800 },
          missed: [entry(1, 100, 900)],
        });
      });

      it('says that the store is behind when the number is higher', async () => {
        const session = await withEntries(store, 2);
        expect(await store.append(claimOf(session), entry(4), entryOptions(4))).toEqual({ kind: 'behind', head: 2 });
      });

      it('answers a repeat as it did first, and adds nothing', async () => {
        const session = await withEntries(store, 2);
        const again = { ...entry(2), data: Buffer.from('encrypted again') };
        expect(await store.append(claimOf(session), again, entryOptions(2))).toEqual({ kind: 'ok' });
        expect((await claimed(store, session)).missed).toEqual([entry(1), entry(2)]);
      });

      it('takes a repeat of an entry that is not the last, when several answers were lost', async () => {
        const session = await withEntries(store, 3);
        expect(await store.append(claimOf(session), entry(1), entryOptions(1))).toEqual({ kind: 'ok' });
        expect(await claimed(store, session)).toMatchObject({ head: 3, ends: [3000], watermark: { offset: 3000 } });
      });

      it('takes a repeat of an entry that was trimmed since', async () => {
        const small = await openOne({ entries: 2 });
        const session = await withEntries(small, 4);
        expect(await small.append(claimOf(session), entry(1), entryOptions(1))).toEqual({ kind: 'ok' });
        expect(await small.append(claimOf(session), entry(1, 0, 9000), entryOptions(1))).toEqual({
          kind: 'conflict',
          head: 4,
        });
      });

      it('refuses another entry of the same number', async () => {
        const session = await withEntries(store, 2);
        const other = entry(2, 1000, 1999);
        expect(await store.append(claimOf(session), other, entryOptions(2))).toEqual({ kind: 'conflict', head: 2 });
      });

      it('refuses an entry that begins before the end of the last one, that ends before it begins, and ends that go back', async () => {
        const session = await withEntries(store, 2);
        const claim = claimOf(session);
        const conflict = { kind: 'conflict', head: 2 };
        expect(await store.append(claim, entry(3, 1999, 3000), entryOptions(3))).toEqual(conflict);
        expect(await store.append(claim, entry(3, 3000, 2999), entryOptions(3))).toEqual(conflict);
        expect(await store.append(claim, entry(3), { ...entryOptions(3), ends: [1999] })).toEqual(conflict);
        expect(await store.append(claim, entry(3), { ...entryOptions(3), ends: [3000, 0] })).toEqual(conflict);
        expect((await claimed(store, session)).head).toBe(2);
      });

      it('takes an entry after a silence that the watermark has passed', async () => {
        const session = await withEntries(store, 1, { offset: 9000 });
        expect(await store.append(claimOf(session), entry(2, 1000, 1500), entryOptions(2, 1500))).toEqual({
          kind: 'ok',
        });
        expect(await claimed(store, session)).toMatchObject({ ends: [1500], watermark: { offset: 9000 } });
      });

      it('holds each channel to its own end', async () => {
        const session = await withEntries(store, 1, { channels: 2, ends: [1000, 0] });
        const claim = claimOf(session);
        const other = { ...entryOptions(2), ends: [1000, 800] };
        expect(await store.append(claim, entry(2, 200, 800), other)).toEqual({ kind: 'ok' });
        expect((await claimed(store, session)).ends).toEqual([1000, 800]);
      });

      it('ends the session with the entry when it carries a stop', async () => {
        const session = newSession();
        const claim = await created(store, session);
        const options = { ...entryOptions(1), stop: STOP };
        expect(await store.append(claim, entry(1), options)).toEqual({ kind: 'ok' });
        expect(await store.append(claim, entry(1), options)).toEqual({ kind: 'ok' });
        expect(await store.append(claim, entry(2), entryOptions(2))).toEqual({ kind: 'stopped' });
        expect(await claimed(store, session)).toMatchObject({ head: 1, missed: [entry(1)], stopped: STOP });
      });

      it('adds the stop that a repeat of the last entry carries and the first did not', async () => {
        const session = await withEntries(store, 2);
        const claim = claimOf(session);
        expect(await store.append(claim, entry(1), { ...entryOptions(1), stop: STOP })).toEqual({ kind: 'ok' });
        expect(await store.update([{ claim, head: 2 }])).toEqual([{ kind: 'ok' }]);
        expect(await store.append(claim, entry(2), { ...entryOptions(2), stop: STOP })).toEqual({ kind: 'ok' });
        const other = { ...STOP, finals: 9 };
        expect(await store.append(claim, entry(2), { ...entryOptions(2), stop: other })).toEqual({ kind: 'ok' });
        expect((await claimed(store, session)).stopped).toEqual(STOP);
      });

      it('keeps the bytes of an entry as they are', async () => {
        const session = newSession();
        const claim = await created(store, session);
        const data = Buffer.from([...Array(256).keys(), ...Buffer.from(':1:2:\r\n$-1\r\n')]);
        await store.append(claim, { ...entry(1), data }, entryOptions(1));
        await store.append(claim, { ...entry(2), data: Buffer.alloc(0) }, entryOptions(2));
        const { missed } = await claimed(store, session);
        expect(missed.map((one) => one.data.toString('hex'))).toEqual([data.toString('hex'), '']);
      });

      it('keeps positions and numbers exact up to 2^53', async () => {
        const session = newSession();
        await store.create(session);
        const high = Number.MAX_SAFE_INTEGER - 10;
        const { claim } = await claimed(store, session, { epoch: high, lastSeq: high, lastEnd: high, acked: high });
        expect(claim.epoch).toBe(high + 1);
        const last = { ...entry(high + 1, high + 1, high + 2), data: Buffer.from('x') };
        const watermark = { offset: high + 3, chunk: high + 1, chunkEnd: high + 3 };
        expect(await store.append(claim, last, { ends: [high + 2], watermark })).toEqual({ kind: 'ok' });
        const behind = { kind: 'behind', head: high + 1 };
        expect(await store.append(claim, entry(high + 3), entryOptions(1))).toEqual(behind);
        const again = await claimed(store, session, { attempt: 2, lastSeq: high, epoch: high + 1 });
        expect(again).toMatchObject({ head: high + 1, ends: [high + 2], watermark, missed: [last], trimmedEnd: high });
      });
    });

    describe('stop', () => {
      it('takes no more entries, can be repeated, and keeps what was missed', async () => {
        const session = await withEntries(store, 2);
        const claim = claimOf(session);
        expect(await store.stop(claim, 2, STOP)).toEqual({ kind: 'ok' });
        expect(await store.stop(claim, 2, STOP)).toEqual({ kind: 'ok' });
        expect(await store.stop(claim, 2, { ...STOP, finals: 9 })).toEqual({ kind: 'stopped' });
        expect(await store.append(claim, entry(3), entryOptions(3))).toEqual({ kind: 'stopped' });
        expect(await store.update([{ claim, head: 2 }])).toEqual([{ kind: 'stopped' }]);
        const answer = await claimed(store, session, { lastSeq: 1, lastEnd: 1000 });
        expect(answer).toMatchObject({ stopped: STOP, missed: [entry(2)] });
        expect(await store.append(answer.claim, entry(3), entryOptions(3))).toEqual({ kind: 'stopped' });
      });

      it('still takes the repeat of an entry whose answer was lost', async () => {
        const session = await withEntries(store, 2);
        await store.stop(claimOf(session), 2, STOP);
        expect(await store.append(claimOf(session), entry(2), entryOptions(2))).toEqual({ kind: 'ok' });
      });

      it('does not end a session whose last entries the store has lost, or of which the owner does not know the last', async () => {
        const session = await withEntries(store, 2);
        expect(await store.stop(claimOf(session), 3, STOP)).toEqual({ kind: 'behind', head: 2 });
        expect(await store.stop(claimOf(session), 1, STOP)).toEqual({ kind: 'conflict', head: 2 });
        expect(await claimed(store, session)).not.toHaveProperty('stopped');
      });
    });

    describe('update', () => {
      it('moves the watermark, never back', async () => {
        const session = await withEntries(store, 1);
        const claim = claimOf(session);
        const move = async (offset: number, chunk: number) => {
          const watermark = { offset, chunk, chunkEnd: offset };
          expect(await store.update([{ claim, head: 1, watermark }])).toEqual([{ kind: 'ok' }]);
        };
        await move(5000, 5);
        await move(4000, 9);
        await move(5000, 4);
        expect((await claimed(store, session)).watermark).toEqual({ offset: 5000, chunk: 5, chunkEnd: 5000 });
      });

      it('learns the chunk of a watermark that only the client knew', async () => {
        const session = newSession();
        await store.create(session);
        const { claim } = await claimed(store, session, { acked: 700 });
        await store.update([{ claim, head: 0, watermark: { offset: 700, chunk: 0, chunkEnd: 0 } }]);
        const { watermark } = await claimed(store, session, { attempt: 2 });
        expect(watermark).toEqual({ offset: 700, chunk: 0, chunkEnd: 0 });
      });

      it('moves no watermark over entries that the store has lost', async () => {
        const session = await withEntries(store, 1);
        const watermark = { offset: 5000, chunk: 5, chunkEnd: 5000 };
        expect(await store.update([{ claim: claimOf(session), head: 2, watermark }])).toEqual([
          { kind: 'behind', head: 1 },
        ]);
        expect((await claimed(store, session)).watermark.offset).toBe(1000);
      });

      it('answers for each session, in order', async () => {
        const [one, fenced, stopped, behind, two] = await Promise.all([1, 2, 3, 4, 5].map(() => withEntries(store, 1)));
        if (!one || !fenced || !stopped || !behind || !two) throw new Error('no sessions');
        await claimed(store, fenced);
        await store.stop(claimOf(stopped), 1, STOP);
        const absent = claimOf(newSession());
        const updates = [claimOf(one), claimOf(fenced), absent, claimOf(stopped), claimOf(behind), claimOf(two)];
        const answers = await store.update(
          updates.map((claim, at) => ({
            claim,
            head: at === 4 ? 2 : 1,
            watermark: at === 5 ? { offset: 6000, chunk: 6, chunkEnd: 6000 } : undefined,
          })),
        );
        expect(answers).toEqual([
          { kind: 'ok' },
          { kind: 'fenced', epoch: 2 },
          { kind: 'absent' },
          { kind: 'stopped' },
          { kind: 'behind', head: 1 },
          { kind: 'ok' },
        ]);
        expect((await claimed(store, two)).watermark.offset).toBe(6000);
      });

      it('takes no update, and as many as a worker has sessions', async () => {
        expect(await store.update([])).toEqual([]);
        const claim = await created(store, newSession());
        const answers = await store.update(Array.from({ length: 1000 }, () => ({ claim, head: 0 })));
        expect(new Set(answers.map(({ kind }) => kind))).toEqual(new Set(['ok']));
        expect(answers).toHaveLength(1000);
      });
    });

    describe('rebuild', () => {
      it('makes a record that is absent, from the tail that the owner holds', async () => {
        const session = newSession();
        const claim = { ...claimOf(session), epoch: 4 };
        const whole = snapshot(session, claim, { attempt: 3, head: 7, ends: [7000], entries: [entry(6), entry(7)] });
        expect(await store.rebuild(whole)).toEqual({ kind: 'ok' });
        expect(await store.append(claim, entry(8), entryOptions(8))).toEqual({ kind: 'ok' });
        expect(await store.claim(resume(session, { attempt: 3 }))).toEqual({ kind: 'stale_attempt', attempt: 3 });
        expect(await claimed(store, session, { attempt: 4, epoch: 4, lastSeq: 2, lastEnd: 2000 })).toMatchObject({
          claim: { epoch: 5 },
          head: 8,
          ends: [8000],
          missed: [entry(6), entry(7), entry(8)],
          trimmedEnd: 5000,
          watchHash: session.watchHash,
          request: session.request,
          previousOwner: session.owner,
        });
      });

      it('counts everything as trimmed when the owner holds no entry', async () => {
        const session = newSession();
        const claim = { ...claimOf(session), epoch: 4 };
        await store.rebuild(snapshot(session, claim, { head: 7, ends: [7000] }));
        const answer = await claimed(store, session, { epoch: 4, lastSeq: 2, lastEnd: 2000 });
        expect(answer).toMatchObject({ head: 7, missed: [], trimmedEnd: 7000 });
      });

      it('keeps a watermark whose chunk only the client knows', async () => {
        const session = newSession();
        const claim = { ...claimOf(session), epoch: 4 };
        await store.rebuild(snapshot(session, claim, { watermark: { offset: 500 } }));
        expect((await claimed(store, session, { epoch: 4 })).watermark).toEqual({ offset: 500 });
      });

      it('replaces a record with a lower epoch, and a stop that it had', async () => {
        const session = await withEntries(store, 5);
        await store.stop(claimOf(session), 5, STOP);
        const claim = { ...claimOf(session), epoch: 2, claimId: randomUUID() };
        const whole = snapshot(session, claim, {
          attempt: 1,
          head: 2,
          ends: [1800],
          entries: [entry(1), entry(2, 1100, 1800)],
        });
        expect(await store.rebuild(whole)).toEqual({ kind: 'ok' });
        const answer = await claimed(store, session, { attempt: 2, epoch: 2 });
        expect(answer).toMatchObject({ head: 2, ends: [1800], missed: [entry(1), entry(2, 1100, 1800)] });
        expect(answer).not.toHaveProperty('stopped');
      });

      it('completes a record of the same claim with a lower head', async () => {
        const session = await withEntries(store, 1);
        const claim = claimOf(session);
        const whole = snapshot(session, claim, { head: 3, ends: [3000], entries: [entry(1), entry(2), entry(3)] });
        expect(await store.rebuild(whole)).toEqual({ kind: 'ok' });
        expect((await claimed(store, session)).missed).toEqual([entry(1), entry(2), entry(3)]);
      });

      it('changes nothing when the record of the same claim is whole, so that a late one does no harm', async () => {
        const session = await withEntries(store, 3);
        const claim = claimOf(session);
        for (const head of [2, 3]) {
          const older = snapshot(session, claim, { head, ends: [head * 1000], entries: [] });
          expect(await store.rebuild(older)).toEqual({ kind: 'ok' });
        }
        expect((await claimed(store, session)).missed).toEqual([entry(1), entry(2), entry(3)]);
      });

      it('is refused where the record has a higher epoch, or the same one by another claim', async () => {
        const session = newSession();
        const first = await created(store, session);
        const { claim } = await claimed(store, session);
        expect(await store.rebuild(snapshot(session, first))).toEqual({ kind: 'fenced', epoch: 2 });
        const twin = { ...claim, claimId: randomUUID() };
        expect(await store.rebuild(snapshot(session, twin, { head: 9, ends: [9000] }))).toEqual({
          kind: 'fenced',
          epoch: 2,
        });
        expect(await store.append(claim, entry(1), entryOptions(1))).toEqual({ kind: 'ok' });
      });

      it('does not open a session again that the same claim has stopped', async () => {
        const session = await withEntries(store, 1);
        const claim = claimOf(session);
        await store.stop(claim, 1, STOP);
        const late = snapshot(session, claim, { head: 2, ends: [2000], entries: [entry(1), entry(2)] });
        expect(await store.rebuild(late)).toEqual({ kind: 'stopped' });
      });

      it('holds the journal to its bounds', async () => {
        const small = await openOne({ entries: 2 });
        const session = newSession();
        const entries = [entry(1), entry(2), entry(3)];
        await small.rebuild(snapshot(session, claimOf(session), { head: 3, ends: [3000], entries }));
        expect(await claimed(small, session)).toMatchObject({ missed: [entry(2), entry(3)], trimmedEnd: 1000 });
      });
    });

    describe('remove', () => {
      it('forgets the session at once', async () => {
        const session = await withEntries(store, 2);
        await store.remove(claimOf(session));
        expect(await store.claim(resume(session))).toEqual({ kind: 'unknown' });
        await store.remove(claimOf(session));
      });
    });

    describe('fencing', () => {
      it('refuses every verb of a claim that is void, with no effect', async () => {
        const session = await withEntries(store, 2);
        const old = claimOf(session);
        const { claim } = await claimed(store, session, { lastSeq: 2, lastEnd: 2000, acked: 2000 });
        const fenced = { kind: 'fenced', epoch: 2 };
        const watermark = { offset: 9000, chunk: 9, chunkEnd: 9000 };
        expect(await store.append(old, entry(3), entryOptions(3))).toEqual(fenced);
        expect(await store.append(old, entry(2), entryOptions(2))).toEqual(fenced);
        expect(await store.stop(old, 2, STOP)).toEqual(fenced);
        expect(await store.update([{ claim: old, head: 2, watermark }])).toEqual([fenced]);
        expect(await store.rebuild(snapshot(session, old, { head: 9, ends: [9000] }))).toEqual(fenced);
        await store.remove(old);
        expect(await store.update([{ claim, head: 2 }])).toEqual([{ kind: 'ok' }]);
        const now = await claimed(store, session, { attempt: 2 });
        expect(now).toMatchObject({ head: 2, watermark: { offset: 2000 } });
        expect(now).not.toHaveProperty('stopped');
      });

      it('tells two claims of the same epoch apart by their ids', async () => {
        const session = newSession();
        const claim = await created(store, session);
        const twin: Claim = { ...claim, claimId: randomUUID() };
        const fenced = { kind: 'fenced', epoch: 1 };
        expect(await store.append(twin, entry(1), entryOptions(1))).toEqual(fenced);
        expect(await store.stop(twin, 0, STOP)).toEqual(fenced);
        expect(await store.update([{ claim: twin, head: 0 }])).toEqual([fenced]);
        await store.remove(twin);
        expect(await store.append(claim, entry(1), entryOptions(1))).toEqual({ kind: 'ok' });
      });

      it('says absent where there is no session', async () => {
        const claim = claimOf(newSession());
        const absent = { kind: 'absent' };
        expect(await store.append(claim, entry(1), entryOptions(1))).toEqual(absent);
        expect(await store.stop(claim, 0, STOP)).toEqual(absent);
        expect(await store.update([{ claim, head: 0 }])).toEqual([absent]);
      });
    });

    describe('the bounds of the journal', () => {
      it('trims the oldest beyond the count, and says where they ended', async () => {
        const small = await openOne({ entries: 3 });
        const session = await withEntries(small, 5);
        const answer = await claimed(small, session, { lastSeq: 1, lastEnd: 1000 });
        expect(answer).toMatchObject({ head: 5, missed: [entry(3), entry(4), entry(5)], trimmedEnd: 2000 });
      });

      it('trims the oldest beyond the bytes', async () => {
        const bytes = entry(1).data.length;
        const small = await openOne({ bytes: 2 * bytes + 1 });
        const session = await withEntries(small, 4);
        expect(await claimed(small, session)).toMatchObject({ missed: [entry(3), entry(4)], trimmedEnd: 2000 });
      });

      it('keeps the newest entry, however large it is', async () => {
        const small = await openOne({ bytes: 3 });
        const session = await withEntries(small, 2);
        expect(await claimed(small, session)).toMatchObject({ missed: [entry(2)], trimmedEnd: 1000 });
      });

      it('trims what is older than the age with the next verb, but keeps the newest', async () => {
        const small = await openOne({ ageMs: 50 });
        const session = await withEntries(small, 3);
        let attempt = 0;
        await vi.waitFor(async () => {
          expect((await claimed(small, session, { attempt: ++attempt, epoch: attempt })).missed).toEqual([entry(3)]);
        });
        const answer = await claimed(small, session, { attempt: ++attempt, epoch: attempt });
        expect(answer).toMatchObject({ head: 3, trimmedEnd: 2000 });
      });

      it('trims with an update, and still knows what is held', async () => {
        const ageMs = 50;
        const small = await openOne({ ageMs });
        const session = await withEntries(small, 3);
        const begin = performance.now();
        await vi.waitFor(async () => {
          expect(await small.update([{ claim: claimOf(session), head: 3 }])).toEqual([{ kind: 'ok' }]);
          expect(performance.now() - begin).toBeGreaterThan(ageMs * 2);
        });
        expect(await claimed(small, session)).toMatchObject({ head: 3, missed: [entry(3)], trimmedEnd: 2000 });
      });

      it('counts the bytes anew after entries were void', async () => {
        const bytes = entry(1).data.length;
        const small = await openOne({ bytes: 3 * bytes });
        const session = await withEntries(small, 3);
        const { claim } = await claimed(small, session, { epoch: 5, lastSeq: 1, lastEnd: 1000 });
        await small.append(claim, entry(2), entryOptions(2));
        await small.append(claim, entry(3), entryOptions(3));
        expect((await claimed(small, session, { attempt: 2, epoch: 6 })).missed).toHaveLength(3);
      });
    });

    describe('expiry', () => {
      const TTL = { ttlMs: 300 };

      it('forgets a session and its start key, although refused calls name them', async () => {
        const brief = await openOne(TTL);
        const session = newSession({ start: { key: randomUUID(), attempt: 5 } });
        const claim = await created(brief, session);
        const thief = resume(session, { resumeHash: randomBytes(32) });
        await vi.waitFor(async () => expect(await brief.claim(thief)).toEqual({ kind: 'unknown' }), {
          timeout: 2000,
          interval: 20,
        });
        expect(await brief.append(claim, entry(1), entryOptions(1))).toEqual({ kind: 'absent' });
        expect(await brief.create(newSession({ start: { key: session.start?.key ?? '', attempt: 1 } }))).toMatchObject({
          kind: 'created',
        });
      });

      it.each([
        ['created', 'updates'],
        ['made anew', 'updates'],
        ['created', 'rebuilds'],
      ])('keeps a session that was %s, and its start key, as long as %s come', async (how, what) => {
        const brief = await openOne(TTL);
        const session = newSession({ start: { key: randomUUID(), attempt: 5 } });
        const claim = claimOf(session);
        if (how === 'created') await brief.create(session);
        else await brief.rebuild(snapshot(session, claim));
        const other = newSession();
        await created(brief, other);
        await vi.waitFor(
          async () => {
            if (what === 'updates') expect(await brief.update([{ claim, head: 0 }])).toEqual([{ kind: 'ok' }]);
            else expect(await brief.rebuild(snapshot(session, claim))).toEqual({ kind: 'ok' });
            expect(await brief.claim(resume(other, { resumeHash: randomBytes(32) }))).toEqual({ kind: 'unknown' });
          },
          { timeout: 2000, interval: 20 },
        );
        const lower = newSession({ start: { key: session.start?.key ?? '', attempt: 4 } });
        expect(await brief.create(lower)).toEqual({ kind: 'stale_attempt' });
        expect(await brief.claim(resume(session))).toMatchObject({ kind: 'claimed' });
      });
    });

    describe('order and concurrency', () => {
      it('lets verbs of one caller take effect in the order of the calls', async () => {
        const session = newSession();
        const creating = store.create(session);
        const claim = claimOf(session);
        const appends = Array.from({ length: 50 }, (_, at) => store.append(claim, entry(at + 1), entryOptions(at + 1)));
        const updating = store.update([{ claim, head: 50 }]);
        const stopping = store.stop(claim, 50, STOP);
        const late = store.append(claim, entry(51), entryOptions(51));
        expect(await creating).toMatchObject({ kind: 'created' });
        expect(new Set((await Promise.all(appends)).map(({ kind }) => kind))).toEqual(new Set(['ok']));
        expect(await updating).toEqual([{ kind: 'ok' }]);
        expect(await stopping).toEqual({ kind: 'ok' });
        expect(await late).toEqual({ kind: 'stopped' });
      });

      it('gives each epoch to one of many claimants, and the journal to the last one only', async () => {
        const stores = await open({}, 3);
        const [first] = stores;
        if (first === undefined) throw new Error('no store');
        const session = newSession();
        await first.create(session);
        const attempts = Array.from({ length: 30 }, (_, at) => at + 1);
        const answers = await Promise.all(
          attempts.map((attempt) => pick(stores, attempt).claim(resume(session, { attempt, owner: `pod-${attempt}` }))),
        );
        const sessions = answers.flatMap((answer) => (answer.kind === 'claimed' ? [answer.session] : []));
        const epochs = sessions.map(({ claim }) => claim.epoch);
        expect([...epochs].sort((a, b) => a - b)).toEqual(sessions.map((_, at) => at + 2));
        const results = await Promise.all(
          sessions.map(({ claim }, at) => pick(stores, at).append(claim, entry(1), entryOptions(1))),
        );
        const highest = Math.max(...epochs);
        for (const [at, answer] of results.entries()) {
          expect(answer).toEqual(epochs[at] === highest ? { kind: 'ok' } : { kind: 'fenced', epoch: highest });
        }
      });

      it('numbers the entries without hole or double while owners take over from one another', async () => {
        const stores = await open({}, 3);
        const session = newSession();
        await pick(stores, 0).create(session);
        const committed: string[] = [];
        let attempt = 0;
        /** Claims, appends until it is fenced, claims again. */
        const compete = async (own: Store, name: string) => {
          for (let round = 0; round < 5; round++) {
            const answer = await own.claim(resume(session, { attempt: ++attempt, owner: name }));
            if (answer.kind !== 'claimed') continue;
            const { claim, head } = answer.session;
            for (let seq = head + 1; seq <= head + 10; seq++) {
              const data = Buffer.from(`${name} ${seq}`);
              const written = await own.append(claim, { ...entry(seq), data }, entryOptions(seq));
              if (written.kind !== 'ok') break;
              committed.push(data.toString());
            }
          }
        };
        await Promise.all(stores.map((own, at) => compete(own, `worker ${at}`)));
        const { head, missed } = await claimed(pick(stores, 0), session, { attempt: ++attempt });
        expect(missed.map(({ seq }) => seq)).toEqual(Array.from({ length: head }, (_, at) => at + 1));
        expect(missed.map(({ data }) => data.toString()).sort()).toEqual(committed.sort());
      });

      describeStoreModel(makeStores);
    });

    describe('availability', () => {
      it('is there, tells changes until told not to, and can be closed twice', async () => {
        const own = await openOne({});
        expect(own.available).toBe(true);
        own.onAvailability(() => undefined)();
        await own.close();
        await own.close();
        await expect(own.create(newSession())).rejects.toThrow('closed');
      });
    });
  });
}
