import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Admission } from '../../../src/limits/admission.ts';
import { type Applicant, type LinePlace, NoStreamError } from '../../../src/limits/applicant.ts';
import { createLogger } from '../../../src/log.ts';
import { MemoryQuota } from '../../../src/store/memory-quota.ts';
import type { QuotaEntry, QuotaLedger } from '../../../src/store/quota.ts';
import { StoreUnavailableError } from '../../../src/store/store.ts';

const NEVER = new AbortController().signal;
const HOME: QuotaEntry = { name: 'home', streams: 2, reserve: 0, startsPerSecond: 100 };

interface Member extends Applicant {
  readonly places: (LinePlace | undefined)[];
  readonly end: AbortController;
  isThere: boolean;
  isMoving: boolean;
}

function member(id: string, tenant = 'acme'): Member {
  const end = new AbortController();
  const one: Member = {
    id,
    tenant,
    isResumable: true,
    isThere: true,
    isMoving: false,
    isAttended: () => one.isThere,
    moves: () => one.isMoving,
    over: end.signal,
    queued: (place) => one.places.push(place),
    places: [],
    end,
  };
  return one;
}

/** A ledger that can be away. */
class Reachable implements QuotaLedger {
  readonly #ledger: MemoryQuota;
  isAway = false;
  readonly #listeners = new Set<(available: boolean) => void>();

  constructor(ledger: MemoryQuota) {
    this.#ledger = ledger;
  }

  ask: QuotaLedger['ask'] = (asks) => this.#reach(() => this.#ledger.ask(asks));
  renew: QuotaLedger['renew'] = (worker, slots) => this.#reach(() => this.#ledger.renew(worker, slots));
  note: QuotaLedger['note'] = (notes) => this.#reach(() => this.#ledger.note(notes));
  leave: QuotaLedger['leave'] = (worker) => this.#reach(() => this.#ledger.leave(worker));

  onAvailability: QuotaLedger['onAvailability'] = (listener) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  /** It is there again, whatever it knows. */
  back(): void {
    this.isAway = false;
    for (const listener of this.#listeners) listener(true);
  }

  async #reach<T>(call: () => Promise<T>): Promise<T> {
    if (this.isAway) throw new StoreUnavailableError('away');
    return call();
  }
}

/** Workers that share a quota, on timers that the test moves on. */
async function workers(
  count: number,
  entry: Partial<QuotaEntry> = {},
  limits: { queueTimeoutMs?: number; lineLength?: number } = {},
) {
  const entries = [
    { ...HOME, ...entry },
    { ...HOME, name: 'away', streams: 1 },
  ];
  const times = { leaseMs: 15_000, startMs: 10_000, blockMs: 1_000, patienceMs: 3_000 };
  const memory = new MemoryQuota({ ...times, entries, lineLength: limits.lineLength ?? 10 });
  const ledger = new Reachable(memory);
  const refusals: string[] = [];
  const admissions = Array.from(
    { length: count },
    () =>
      new Admission({
        ledger,
        limits: { entries, leaseMs: times.leaseMs, queueTimeoutMs: limits.queueTimeoutMs ?? 60_000, keepMs: 10_000 },
        log: createLogger('silent'),
        observer: {
          quotaUsed: () => undefined,
          waiting: () => undefined,
          granted: () => undefined,
          refused: (limit) => refusals.push(limit),
        },
      }),
  );
  for (const admission of admissions) await admission.open();
  // The first have not heard of the last.
  await vi.advanceTimersByTimeAsync(times.leaseMs / 3);
  const admit = (
    applicant: Applicant,
    { at = 0, continuation = false, entries: names = ['home'], mayWait = true, signal = NEVER } = {},
  ) => {
    const admission = admissions[at];
    if (admission === undefined) throw new Error('no such worker');
    return admission.admit({ applicant, continuation, entries: names, mayWait }, signal);
  };
  /** Whether it has been served by now. */
  const isServed = async (promise: Promise<unknown>) => {
    let isSo = false;
    promise.then(
      () => {
        isSo = true;
      },
      () => undefined,
    );
    await vi.advanceTimersByTimeAsync(0);
    return isSo;
  };
  return { admit, isServed, ledger, memory, refusals, admissions };
}

const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms);

beforeEach(() => vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setImmediate', 'performance'] }));
afterEach(() => vi.useRealTimers());

describe('Admission', () => {
  it('tells a session its place and how long it may take, again when that changes, and that it is over', async () => {
    const { admit, isServed } = await workers(2, { streams: 1 });
    const slot = await admit(member('a'));
    slot.arrived();
    const [b, c] = [member('b'), member('c')];
    const first = admit(b, { at: 1 });
    const second = admit(c);
    await pass(200);
    expect(b.places).toEqual([{ position: 1, etaMs: undefined }]);
    expect(c.places).toEqual([{ position: 2, etaMs: undefined }]);
    await pass(2_000);
    expect(b.places).toHaveLength(1);
    slot.ended(true);
    await pass(1_000);
    expect(await isServed(first)).toBe(true);
    expect(b.places.at(-1)).toBeUndefined();
    expect(c.places).toEqual([
      { position: 2, etaMs: undefined },
      { position: 1, etaMs: expect.any(Number) },
    ]);
    expect(await isServed(second)).toBe(false);
  });

  it('counts a slot for half a second after its stream has ended in good order', async () => {
    const { admit, isServed } = await workers(1, { streams: 1 });
    const slot = await admit(member('a'));
    const next = admit(member('b'));
    slot.arrived();
    slot.ended(true);
    await pass(400);
    expect(await isServed(next)).toBe(false);
    await pass(400);
    expect(await isServed(next)).toBe(true);
  });

  it('keeps the slot of a stream that broke for the next of the same session, before everybody else', async () => {
    const { admit, isServed } = await workers(1, { streams: 1 });
    const a = member('a');
    const slot = await admit(a);
    slot.arrived();
    const other = admit(member('b'), { continuation: true });
    slot.ended(false);
    await pass(2_000);
    const again = admit(a, { continuation: true });
    expect(await isServed(again)).toBe(true);
    expect(await isServed(other)).toBe(false);
  });

  it('waits with the next stream until the one that broke does not count any more', async () => {
    const { admit, isServed } = await workers(1, { streams: 1 });
    const a = member('a');
    const slot = await admit(a);
    slot.arrived();
    slot.ended(false);
    const again = admit(a, { continuation: true });
    await pass(200);
    expect(await isServed(again)).toBe(false);
    await pass(600);
    expect(await isServed(again)).toBe(true);
  });

  it('keeps the slot of a stream that broke also where another entry is asked in vain', async () => {
    const { admit, isServed } = await workers(1, { streams: 1 });
    const a = member('a');
    const slot = await admit(a);
    (await admit(member('b'), { entries: ['away'] })).arrived();
    slot.arrived();
    slot.ended(false);
    const next = admit(member('c'), { continuation: true });
    const other = admit(a, { continuation: true, entries: ['away'], mayWait: false });
    await expect(other).rejects.toBeInstanceOf(NoStreamError);
    await pass(2_000);
    expect(await isServed(next)).toBe(false);
    const again = admit(a, { continuation: true });
    await pass(400);
    expect(await isServed(again)).toBe(true);
    expect(await isServed(next)).toBe(false);
  });

  it.each([
    ['the session is over', (one: Member) => one.end.abort(), 600],
    ['it wants none for long', () => undefined, 6_000],
  ])('gives the slot of a stream that broke back when %s', async (_, happens, ms) => {
    const { admit, isServed } = await workers(1, { streams: 1 });
    const a = member('a');
    const slot = await admit(a);
    slot.arrived();
    slot.ended(false);
    const next = admit(member('b'));
    happens(a);
    await pass(ms);
    expect(await isServed(next)).toBe(true);
  });

  it('leaves the slot to a session that goes on elsewhere', async () => {
    const { admit, isServed } = await workers(2, { streams: 1 });
    const a = member('a');
    const slot = await admit(a);
    slot.arrived();
    a.isMoving = true;
    a.end.abort();
    slot.ended(true);
    const next = admit(member('b'), { continuation: true });
    await pass(2_000);
    expect(await isServed(next)).toBe(false);
    const there = admit(member('a'), { at: 1, continuation: true });
    await pass(1_000);
    expect(await isServed(there)).toBe(true);
    expect(await isServed(next)).toBe(false);
  });

  it('counts no start that was not tried', async () => {
    const { admit, isServed } = await workers(1, { streams: 5, startsPerSecond: 1 });
    (await admit(member('a'))).unused();
    const next = admit(member('b'));
    await pass(200);
    expect(await isServed(next)).toBe(true);
  });

  it('gives starts no sooner than a second after the ones before have arrived', async () => {
    const { admit, isServed } = await workers(1, { streams: 5, startsPerSecond: 1 });
    const slot = await admit(member('a'));
    const next = admit(member('b'));
    await pass(3_000);
    expect(await isServed(next)).toBe(false);
    slot.arrived();
    await pass(1_000);
    expect(await isServed(next)).toBe(false);
    await pass(400);
    expect(await isServed(next)).toBe(true);
  });

  it('takes a session out of the line that gives up, and gives back what it was granted meanwhile', async () => {
    const { admit, isServed, memory } = await workers(1, { streams: 1 });
    const slot = await admit(member('a'));
    slot.arrived();
    const leaving = new AbortController();
    const left = admit(member('b'), { signal: leaving.signal });
    const next = admit(member('c'));
    await pass(200);
    leaving.abort('gone');
    await expect(left).rejects.toBe('gone');
    slot.ended(true);
    // It asks in the same moment: the answer comes too late for it.
    const late = new AbortController();
    const missed = admit(member('d'), { signal: late.signal });
    late.abort('gone too');
    await expect(missed).rejects.toBe('gone too');
    await pass(1_000);
    expect(await isServed(next)).toBe(true);
    expect((await memory.renew('x', [])).waiting).toBe(0);
  });

  it('asks for nobody whose client has been away for long, until it is back', async () => {
    const { admit, isServed } = await workers(1, { streams: 1 });
    const slot = await admit(member('a'));
    slot.arrived();
    const away = member('b');
    const waits = admit(away);
    const next = admit(member('c'));
    await pass(200);
    away.isThere = false;
    await pass(2_000);
    slot.ended(true);
    await pass(1_000);
    expect(await isServed(waits)).toBe(false);
    expect(await isServed(next)).toBe(true);
    away.isThere = true;
    (await next).ended(true);
    await pass(1_000);
    expect(await isServed(waits)).toBe(true);
  });

  it('refuses who has waited for too long, who finds the line full, and who may not wait', async () => {
    const { admit, refusals } = await workers(1, { streams: 1 }, { queueTimeoutMs: 5_000, lineLength: 1 });
    await admit(member('a'));
    const slow = admit(member('b')).catch((error: unknown) => error);
    await pass(200);
    await expect(admit(member('c'))).rejects.toBeInstanceOf(NoStreamError);
    await expect(admit(member('d'), { continuation: true, mayWait: false })).rejects.toBeInstanceOf(NoStreamError);
    await pass(5_200);
    expect(await slow).toMatchObject({ code: 'quota_exhausted', retryable: true, retryAfterMs: expect.any(Number) });
    expect(refusals).toEqual(['queue_length', 'queue_timeout']);
  });

  describe('without the ledger', () => {
    it('opens the next stream of a session in its own slot', async () => {
      const { admit, isServed, ledger } = await workers(3, { streams: 3 });
      const a = member('a');
      const slot = await admit(a);
      slot.arrived();
      ledger.isAway = true;
      slot.ended(false);
      const again = admit(a, { continuation: true });
      await pass(800);
      expect(await isServed(again)).toBe(true);
    });

    it('serves new sessions within its share of streams and starts', async () => {
      const { admit, isServed, ledger } = await workers(3, { streams: 7, startsPerSecond: 6 });
      ledger.isAway = true;
      const waits = ['a', 'b', 'c'].map((id) => admit(member(id)));
      await pass(10);
      expect(await Promise.all(waits.map(isServed))).toEqual([true, false, false]);
      await pass(600);
      expect(await Promise.all(waits.map(isServed))).toEqual([true, true, false]);
      await pass(5_000);
      // Seven streams of three workers are two for each.
      expect(await Promise.all(waits.map(isServed))).toEqual([true, true, false]);
      ledger.isAway = false;
      await pass(300);
      expect(await Promise.all(waits.map(isServed))).toEqual([true, true, true]);
    });

    it('says after the longest wait that nobody could be asked', async () => {
      const { admit, ledger } = await workers(3, { streams: 2 }, { queueTimeoutMs: 5_000 });
      ledger.isAway = true;
      const refused = admit(member('a')).catch((error: unknown) => error);
      await pass(5_500);
      expect(await refused).toMatchObject({ code: 'store_unavailable', retryable: true });
    });

    it('enters its slots at once in a ledger that is back, and may have lost them', async () => {
      const { admit, ledger, memory } = await workers(1, { streams: 2 });
      const slot = await admit(member('a'));
      slot.arrived();
      await memory.note([{ kind: 'slot', sessionId: 'a', place: slot.held.place, coolMs: 0 }]);
      expect((await memory.renew('x', [])).held.get('home')).toBeUndefined();
      ledger.back();
      await pass(0);
      expect((await memory.renew('x', [])).held.get('home')).toBe(1);
    });

    it('enters what it has served in the ledger when that is back', async () => {
      const { admit, isServed, ledger, memory } = await workers(1, { streams: 2 });
      ledger.isAway = true;
      for (const id of ['a', 'b']) {
        const served = admit(member(id));
        await pass(300);
        expect(await isServed(served)).toBe(true);
      }
      ledger.isAway = false;
      await pass(15_000);
      expect((await memory.renew('x', [])).held.get('home')).toBe(2);
    });
  });

  it('gives back everything when it is closed', async () => {
    const { admissions, admit, memory } = await workers(2);
    (await admit(member('a'))).arrived();
    await admit(member('b'));
    const waits = admit(member('c')).catch((error: unknown) => error);
    await admissions[0]?.close();
    expect(await waits).toMatchObject({ code: 'engine_unavailable' });
    await pass(1_000);
    expect(await memory.renew('x', [])).toMatchObject({ workers: 2, waiting: 0, held: new Map() });
  });
});
