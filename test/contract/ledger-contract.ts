/** What every ledger promises. */
import { randomUUID } from 'node:crypto';
import { beforeEach, describe, expect, it } from 'vitest';
import type { Batch, Ledger } from '../../src/store/ledger.ts';

export interface LedgerWorld {
  /** As many as there are workers, which share the figures. */
  readonly ledgers: readonly Ledger[];
  /** A day passes. */
  ageADay(): Promise<void>;
}

const DAY_MS = 86_400_000;

/** @param open makes the ledgers of so many workers, in a place of their own */
export function describeLedgerContract(name: string, open: (workers: number) => Promise<LedgerWorld>): void {
  describe(`the ledger in ${name}`, () => {
    let world: LedgerWorld;
    let one: Ledger;
    let other: Ledger;
    beforeEach(async () => {
      world = await open(2);
      [one, other] = world.ledgers as [Ledger, Ledger];
    });

    const batch = (part: Partial<Batch> = {}): Batch => ({
      tenant: 'acme',
      writer: randomUUID(),
      number: 1,
      billedSeconds: 0,
      audioMs: 0,
      users: [],
      ...part,
    });

    it('knows nothing of whom nobody has booked for', async () => {
      const used = await one.read('acme', ['ann', 'bob']);
      expect(used).toMatchObject({ kind: 'used', billedSeconds: 0, audioMs: 0, users: [0, 0] });
      expect(used.endsInMs).toBeGreaterThan(0);
      expect(used.endsInMs).toBeLessThanOrEqual(DAY_MS);
      expect(Math.abs(used.day - Date.now() / DAY_MS)).toBeLessThan(2);
    });

    it('adds what several workers book, by tenant and by user', async () => {
      const users = [
        { user: 'ann', audioMs: 1_000 },
        { user: 'bob', audioMs: 500 },
      ];
      expect(await one.book(batch({ billedSeconds: 15, audioMs: 1_500, users }))).toMatchObject({
        billedSeconds: 15,
        audioMs: 1_500,
        users: [1_000, 500],
      });
      await other.book(batch({ billedSeconds: 10, audioMs: 250, users: [{ user: 'bob', audioMs: 250 }] }));
      expect(await one.read('acme', ['bob', 'cid', 'ann'])).toMatchObject({
        billedSeconds: 25,
        audioMs: 1_750,
        users: [750, 0, 1_000],
      });
    });

    it('keeps tenants apart, and users of one name in two of them', async () => {
      await one.book(batch({ audioMs: 10, users: [{ user: 'ann', audioMs: 10 }] }));
      await one.book(batch({ tenant: 'globex', audioMs: 20, users: [{ user: 'ann', audioMs: 20 }] }));
      expect(await other.read('acme', ['ann'])).toMatchObject({ audioMs: 10, users: [10] });
      expect(await other.read('globex', ['ann'])).toMatchObject({ audioMs: 20, users: [20] });
    });

    it('counts a batch once, however often it is booked', async () => {
      const first = batch({ billedSeconds: 15, audioMs: 100, users: [{ user: 'ann', audioMs: 100 }] });
      for (let n = 0; n < 3; n++) expect(await one.book(first)).toMatchObject({ billedSeconds: 15, users: [100] });
      const second = { ...first, number: 2 };
      await one.book(second);
      // What comes late changes nothing any more.
      await one.book(first);
      expect(await other.read('acme', ['ann'])).toMatchObject({ billedSeconds: 30, audioMs: 200, users: [200] });
    });

    it('counts the numbers of each writer for themselves', async () => {
      await one.book(batch({ billedSeconds: 1, number: 7 }));
      await other.book(batch({ billedSeconds: 2, number: 1 }));
      expect(await one.read('acme', [])).toMatchObject({ billedSeconds: 3 });
    });

    it('loses nothing of what is booked at the same moment', async () => {
      const all = Array.from({ length: 40 }, (_, n) => (n % 2 === 0 ? one : other).book(batch({ billedSeconds: 1 })));
      await Promise.all(all);
      expect(await one.read('acme', [])).toMatchObject({ billedSeconds: 40 });
    });

    it('begins each day with nothing', async () => {
      const users = [{ user: 'ann', audioMs: 100 }];
      await one.book(batch({ billedSeconds: 15, audioMs: 100, users }));
      await world.ageADay();
      expect(await other.read('acme', ['ann'])).toMatchObject({ billedSeconds: 0, audioMs: 0, users: [0] });
      await other.book(batch({ billedSeconds: 1, audioMs: 7, users: [{ user: 'ann', audioMs: 7 }] }));
      expect(await one.read('acme', ['ann'])).toMatchObject({ billedSeconds: 1, audioMs: 7, users: [7] });
    });
  });
}
