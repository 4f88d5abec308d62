import { afterAll, describe, expect, it, vi } from 'vitest';
import type { Ask, AskAnswer, QuotaLedger, QuotaRules } from '../../src/store/quota.ts';

/** Makes so many ledgers on one set of data, as workers have them. */
export type QuotaFactory = (rules: QuotaRules, count: number) => Promise<{ ledgers: QuotaLedger[]; close(): void }>;

/** Nothing expires within a test that does not wait for it. */
export const RULES: QuotaRules = {
  entries: [{ name: 'home', streams: 2, reserve: 0, startsPerSecond: 1_000 }],
  leaseMs: 60_000,
  startMs: 60_000,
  blockMs: 60_000,
  patienceMs: 60_000,
  lineLength: 100,
};

const SOON = { timeout: 5_000, interval: 20 };

export function ask(sessionId: string, more: Partial<Ask> = {}): Ask {
  return {
    sessionId,
    place: `${sessionId}-place`,
    tenant: 'acme',
    continuation: false,
    entries: ['home'],
    waitedMs: 0,
    coolMs: 0,
    keepMs: 60_000,
    ...more,
  };
}

/** `home` for a grant, `#2` for a place in the line, `full`. */
export function short(answer: AskAnswer | undefined): string {
  if (answer?.kind === 'granted') return answer.entry;
  return answer?.kind === 'waiting' ? `#${answer.position}` : String(answer?.kind);
}

/** The contract of `src/store/quota.ts` as a suite: every ledger passes it. */
export function describeQuotaContract(name: string, makeLedgers: QuotaFactory): void {
  describe(`quota contract: ${name}`, () => {
    const opened: { close(): void }[] = [];
    afterAll(() => {
      for (const one of opened) one.close();
    });
    const open = async (rules: Partial<QuotaRules> = {}, entry: Partial<QuotaRules['entries'][number]> = {}) => {
      const [home] = RULES.entries;
      const made = await makeLedgers({ ...RULES, ...(home && { entries: [{ ...home, ...entry }] }), ...rules }, 2);
      opened.push(made);
      const [ledger, other] = made.ledgers;
      if (ledger === undefined || other === undefined) throw new Error('the factory made no two ledgers');
      const asking = async (...asks: Ask[]) => (await ledger.ask(asks)).map(short);
      const askingOther = async (...asks: Ask[]) => (await other.ask(asks)).map(short);
      return { ledger, other, asking, askingOther };
    };
    const slot = (sessionId: string, coolMs = 0) =>
      ({ kind: 'slot', sessionId, place: `${sessionId}-place`, coolMs }) as const;

    describe('slots', () => {
      it('are given up to the quota, over all workers', async () => {
        const { asking, askingOther } = await open();
        expect(await asking(ask('a'))).toEqual(['home']);
        expect(await askingOther(ask('b'))).toEqual(['home']);
        expect(await asking(ask('c'))).toEqual(['#1']);
        expect(await askingOther(ask('d'))).toEqual(['#2']);
      });

      it('are answered with the same slot where the ask is repeated', async () => {
        const { asking } = await open({}, { streams: 1, startsPerSecond: 1 });
        expect(await asking(ask('a'))).toEqual(['home']);
        expect(await asking(ask('a'))).toEqual(['home']);
      });

      it('are free for the next when they are given back', async () => {
        const { asking, ledger } = await open({}, { streams: 1 });
        await asking(ask('a'), ask('b'));
        await ledger.note([slot('a')]);
        expect(await asking(ask('b'))).toEqual(['home']);
      });

      it('count while they cool down', async () => {
        const { asking, ledger } = await open({}, { streams: 1 });
        await asking(ask('a'));
        await ledger.note([slot('a', 150)]);
        expect(await asking(ask('b'))).toEqual(['#1']);
        await vi.waitFor(async () => expect(await asking(ask('b'))).toEqual(['home']), SOON);
      });

      it('are not given back by another place than the one that has them', async () => {
        const { asking, ledger } = await open({}, { streams: 1 });
        await asking(ask('a'));
        await ledger.note([{ ...slot('a'), place: 'other' }]);
        expect(await asking(ask('b'))).toEqual(['#1']);
      });

      it('are free when nobody renews them', async () => {
        const { asking } = await open({ leaseMs: 200 }, { streams: 1 });
        await asking(ask('a'));
        expect(await asking(ask('b'))).toEqual(['#1']);
        await vi.waitFor(async () => expect(await asking(ask('b'))).toEqual(['home']), SOON);
      });

      it('are kept by a renewal', async () => {
        const { asking, ledger } = await open({ leaseMs: 300 }, { streams: 2 });
        await asking(ask('a'), ask('other'));
        const held = [{ sessionId: 'a', place: 'a-place', tenant: 'acme', entry: 'home' }];
        await vi.waitFor(async () => {
          await ledger.renew('w', held);
          // The one that nobody renewed has expired meanwhile.
          expect(await asking(ask('b'))).toEqual(['home']);
        }, SOON);
        expect(await asking(ask('c'))).toEqual(['#1']);
        expect((await ledger.renew('w', held)).held.get('home')).toBe(2);
      });

      it('that the ledger has lost are made anew by a renewal', async () => {
        const { asking, ledger } = await open({}, { streams: 1 });
        await ledger.renew('w', [{ sessionId: 'a', place: 'a-place', tenant: 'acme', entry: 'home' }]);
        expect(await asking(ask('b'))).toEqual(['#1']);
      });

      it('go along with their session to another place, whose renewal alone counts then', async () => {
        const { asking, askingOther, ledger } = await open({}, { streams: 1 });
        await asking(ask('a'));
        await asking(ask('b', { continuation: true }));
        expect(await askingOther(ask('a', { place: 'elsewhere', continuation: true }))).toEqual(['home']);
        await ledger.renew('w', [{ sessionId: 'a', place: 'a-place', tenant: 'acme', entry: 'home' }]);
        await ledger.note([slot('a')]);
        expect(await asking(ask('b'))).toEqual(['#1']);
        await ledger.note([{ ...slot('a'), place: 'elsewhere' }]);
        expect(await asking(ask('b'))).toEqual(['home']);
      });

      it('of a session that needs another stream are its own again when the earlier one does not count', async () => {
        const { asking } = await open({}, { streams: 1 });
        await asking(ask('a'));
        await asking(ask('b', { continuation: true }));
        const again = ask('a', { place: 'a-2', continuation: true, coolMs: 150 });
        expect(await asking(again)).toEqual(['#1']);
        await vi.waitFor(async () => {
          const [a, b] = await asking(again, ask('b', { continuation: true }));
          expect(b).toBe('#1');
          expect(a).toBe('home');
        }, SOON);
      });

      it('come from the first entry that has one free', async () => {
        const entries = ['home', 'away'].map((one) => ({ name: one, streams: 1, reserve: 0, startsPerSecond: 9 }));
        const { asking } = await open({ entries });
        const both = { entries: ['home', 'away'] };
        expect(await asking(ask('a', both), ask('b', both), ask('c', both))).toEqual(['home', 'away', '#1']);
        expect(await asking(ask('d', { entries: ['unknown'] }))).toEqual(['#2']);
      });

      it('of the reserve are for sessions that go on', async () => {
        const { asking } = await open({}, { streams: 3, reserve: 1 });
        expect(await asking(ask('a'), ask('b'), ask('c'))).toEqual(['home', 'home', '#1']);
        expect(await asking(ask('d', { continuation: true }))).toEqual(['home']);
      });
    });

    describe('starts', () => {
      it('are given up to so many in a second, though slots are free', async () => {
        const { asking } = await open({}, { streams: 9, startsPerSecond: 2 });
        expect(await asking(ask('a'), ask('b'), ask('c'))).toEqual(['home', 'home', '#1']);
      });

      it('count until they are known to have arrived, and for so long after it as is said then', async () => {
        const { asking, ledger } = await open({}, { streams: 9, startsPerSecond: 1 });
        await asking(ask('a'));
        await ledger.note([{ kind: 'start', entry: 'home', place: 'a-place', countsMs: 200 }]);
        expect(await ledger.ask([ask('b')])).toMatchObject([{ kind: 'waiting', position: 1, hasSlot: true }]);
        await vi.waitFor(async () => expect(await asking(ask('b'))).toEqual(['home']), SOON);
      });

      it('of which nothing is heard count no longer than a start may be under way', async () => {
        const { asking } = await open({ startMs: 200 }, { streams: 9, startsPerSecond: 1 });
        await asking(ask('a'));
        expect(await asking(ask('b'))).toEqual(['#1']);
        await vi.waitFor(async () => expect(await asking(ask('b'))).toEqual(['home']), SOON);
      });

      it('are taken from the next entry where one has none left', async () => {
        const entries = ['home', 'away'].map((one) => ({ name: one, streams: 9, reserve: 0, startsPerSecond: 1 }));
        const { asking } = await open({ entries });
        const both = { entries: ['home', 'away'] };
        expect(await asking(ask('a', both), ask('b', both))).toEqual(['home', 'away']);
      });
    });

    describe('the line', () => {
      it('lets sessions that go on before new ones', async () => {
        const { asking, ledger } = await open({}, { streams: 1 });
        await asking(ask('a'), ask('new'));
        expect(await asking(ask('on', { continuation: true }), ask('new'))).toEqual(['#1', '#2']);
        await ledger.note([slot('a')]);
        expect(await asking(ask('new'), ask('on', { continuation: true }))).toEqual(['#1', 'home']);
      });

      it('lets the tenant before that has the fewest slots, its tickets ahead counted', async () => {
        const { asking } = await open();
        await asking(ask('a1'), ask('a2'));
        const acme = [ask('a3'), ask('a4')];
        const other = [ask('b1', { tenant: 'b' }), ask('b2', { tenant: 'b' }), ask('b3', { tenant: 'b' })];
        await asking(...acme);
        expect(await asking(...acme, ...other)).toEqual(['#3', '#5', '#1', '#2', '#4']);
      });

      it('lets the older of equals before', async () => {
        const { asking } = await open({}, { streams: 1 });
        await asking(ask('a'));
        const one = ask('one', { waitedMs: 1_000, tenant: 'x' });
        const two = ask('two', { waitedMs: 2_000, tenant: 'y' });
        expect(await asking(one, two)).toEqual(['#2', '#1']);
      });

      it('lets who has waited for long before a tenant with fewer slots', async () => {
        const { asking } = await open({ patienceMs: 1_000 });
        await asking(ask('a1'), ask('a2'));
        const long = ask('a3', { waitedMs: 2_500 });
        expect(await asking(long, ask('b1', { tenant: 'b' }))).toEqual(['#1', '#2']);
      });

      it('keeps what a session of another worker may have, while that asks', async () => {
        const { asking, askingOther, ledger } = await open({ blockMs: 200 }, { streams: 1 });
        await asking(ask('a'), ask('b'));
        await ledger.note([slot('a')]);
        expect(await askingOther(ask('c'))).toEqual(['#2']);
        // Its worker asks no more: it keeps its place, and blocks nobody.
        await vi.waitFor(async () => expect(await askingOther(ask('c'))).toEqual(['home']), SOON);
        expect(await askingOther(ask('d'))).toEqual(['#1']);
        expect(await asking(ask('b'), ask('d'))).toEqual(['#1', '#2']);
      });

      it('keeps the place of a session that goes to another worker', async () => {
        const { asking, askingOther } = await open({}, { streams: 1 });
        await asking(ask('a'), ask('b'), ask('c'));
        expect(await askingOther(ask('b', { place: 'elsewhere' }))).toEqual(['#1']);
      });

      it('takes a session that waits for a new one wherever it goes on', async () => {
        const { asking, askingOther } = await open({}, { streams: 1 });
        await asking(ask('a'));
        await asking(ask('b', { waitedMs: 1_000 }), ask('c'));
        expect(await askingOther(ask('c', { place: 'elsewhere', continuation: true }))).toEqual(['#2']);
      });

      it('does not give a session back to a place that it has left, in the line or with a slot', async () => {
        const { asking, askingOther, ledger } = await open({}, { streams: 1 });
        await asking(ask('a'));
        await asking(ask('b'));
        expect(await askingOther(ask('b', { place: 'elsewhere' }))).toEqual(['#1']);
        expect(await asking(ask('b'))).toEqual(['moved']);
        await ledger.note([slot('a')]);
        expect(await askingOther(ask('b', { place: 'elsewhere' }))).toEqual(['home']);
        expect(await asking(ask('b'))).toEqual(['moved']);
        expect(await askingOther(ask('b', { place: 'third', continuation: true }))).toEqual(['home']);
        expect(await asking(ask('b'), ask('c'))).toEqual(['moved', '#1']);
        expect(await askingOther(ask('b', { place: 'elsewhere' }))).toEqual(['moved']);
      });

      it('drops a ticket that nobody asks for any more', async () => {
        const { asking, ledger } = await open({}, { streams: 1 });
        await asking(ask('a'), ask('b', { keepMs: 150 }));
        expect((await ledger.renew('w', [])).waiting).toBe(1);
        await vi.waitFor(async () => {
          await asking(ask('c'));
          expect((await ledger.renew('w', [])).waiting).toBe(1);
        }, SOON);
        expect(await asking(ask('b'), ask('c'))).toEqual(['#2', '#1']);
      });

      it('drops a ticket that is left, but not for a place that has it no more', async () => {
        const { asking, ledger } = await open({}, { streams: 1 });
        await asking(ask('a'), ask('b'), ask('c'));
        await ledger.note([{ kind: 'ticket', sessionId: 'b', place: 'other' }]);
        expect(await asking(ask('c'))).toEqual(['#2']);
        await ledger.note([{ kind: 'ticket', sessionId: 'b', place: 'b-place' }]);
        expect(await asking(ask('c'))).toEqual(['#1']);
      });

      it('refuses new sessions beyond its length, and never those that go on', async () => {
        const { asking } = await open({ lineLength: 1 }, { streams: 1 });
        expect(await asking(ask('a'), ask('b'), ask('c'))).toEqual(['home', '#1', 'full']);
        expect(await asking(ask('d', { continuation: true }), ask('c'), ask('b'))).toEqual(['#1', 'full', '#2']);
      });

      it('refuses whoever cannot be served at once where nobody may wait', async () => {
        const { asking } = await open({ lineLength: 0 }, { streams: 1 });
        expect(await asking(ask('a'), ask('b'))).toEqual(['home', 'full']);
      });

      it('tells how often slots were freed lately', async () => {
        const { asking, ledger } = await open({}, { streams: 1 });
        await asking(ask('a'));
        expect(await ledger.ask([ask('b')])).toMatchObject([{ freedEveryMs: undefined }]);
        await ledger.note([slot('a', 60_000)]);
        const [answer] = await ledger.ask([ask('b')]);
        expect(answer?.kind === 'waiting' && answer.freedEveryMs).toBeGreaterThanOrEqual(0);
      });
    });

    describe('workers', () => {
      it('are counted while they renew', async () => {
        const { ledger, other } = await open({ leaseMs: 300 });
        await ledger.renew('w1', []);
        expect((await other.renew('w2', [])).workers).toBe(2);
        await vi.waitFor(async () => expect((await other.renew('w2', [])).workers).toBe(1), SOON);
      });

      it('are not counted once they have left', async () => {
        const { ledger } = await open();
        await ledger.renew('w1', []);
        await ledger.renew('w2', []);
        await ledger.leave('w1');
        expect((await ledger.renew('w2', [])).workers).toBe(1);
      });
    });
  });
}
