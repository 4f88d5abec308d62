import { randomUUID } from 'node:crypto';
import { beforeAll, describe, expect, it } from 'vitest';
import type { Lease, Leases } from '../../src/store/leases.ts';

/** Makes the leases of several workers, which share their places. */
export type LeasesFactory = (count: number) => Promise<Leases[]>;

/** A term that ends within a test, and one that does not, in milliseconds. */
const SHORT = 150;
const LONG = 60_000;

function leaseIn(scope: string, holder: string = randomUUID()): Lease {
  return { scope, holder, grip: randomUUID() };
}

/** The contract of leases (`src/store/leases.ts`) as a suite: every store passes it. */
export function describeLeasesContract(name: string, makeLeases: LeasesFactory): void {
  describe(`leases contract: ${name}`, () => {
    let one: Leases;
    let other: Leases;
    beforeAll(async () => {
      const made = await makeLeases(2);
      [one, other] = made as [Leases, Leases];
    });

    it('grants as many places as there are, to whichever worker asks, and says when to come again', async () => {
      const scope = randomUUID();
      expect(await one.acquire(leaseIn(scope), 2, LONG)).toEqual({ kind: 'granted', held: 1 });
      expect(await other.acquire(leaseIn(scope), 2, LONG)).toEqual({ kind: 'granted', held: 2 });
      const refused = await one.acquire(leaseIn(scope), 2, LONG);
      expect(refused).toEqual({ kind: 'refused', held: 2, retryAfterMs: expect.any(Number) });
      const { retryAfterMs = 0 } = refused as { retryAfterMs?: number };
      expect(retryAfterMs).toBeGreaterThan(0);
      expect(retryAfterMs).toBeLessThanOrEqual(LONG);
    });

    it('keeps scopes apart', async () => {
      const holder = randomUUID();
      for (const scope of [randomUUID(), randomUUID()]) {
        expect(await one.acquire(leaseIn(scope, holder), 1, LONG)).toEqual({ kind: 'granted', held: 1 });
      }
    });

    it('refuses everybody where there is no place at all', async () => {
      expect(await one.acquire(leaseIn(randomUUID()), 0, LONG)).toEqual({
        kind: 'refused',
        held: 0,
        retryAfterMs: LONG,
      });
    });

    it('refuses nobody who asks without a bound, and counts them', async () => {
      const scope = randomUUID();
      await one.acquire(leaseIn(scope), 1, LONG);
      expect(await one.acquire(leaseIn(scope), undefined, LONG)).toEqual({ kind: 'granted', held: 2 });
      expect(await one.acquire(leaseIn(scope), 2, LONG)).toMatchObject({ kind: 'refused', held: 2 });
    });

    it('gives a holder no second place, whichever worker asks for it', async () => {
      const lease = leaseIn(randomUUID());
      for (const [at, leases] of [one, one, other].entries()) {
        const again = { ...lease, grip: `grip ${at}` };
        expect(await leases.acquire(again, 1, LONG)).toEqual({ kind: 'granted', held: 1 });
      }
    });

    it('frees a place that is given back, once', async () => {
      const scope = randomUUID();
      const [first, second] = [leaseIn(scope), leaseIn(scope)];
      await one.acquire(first, 2, LONG);
      await one.acquire(second, 2, LONG);
      await one.release(first);
      await one.release(first);
      expect(await other.acquire(leaseIn(scope), 2, LONG)).toEqual({ kind: 'granted', held: 2 });
    });

    it('frees a place that nobody renews, and no other', async () => {
      const scope = randomUUID();
      const kept = leaseIn(scope);
      await one.acquire(leaseIn(scope), 2, SHORT);
      await one.acquire(kept, 2, SHORT);
      await expect
        .poll(
          async () => {
            expect(await one.renew([kept], SHORT)).toEqual(['kept']);
            return other.acquire(leaseIn(scope), 2, SHORT);
          },
          { interval: 20 },
        )
        .toEqual({ kind: 'granted', held: 2 });
    });

    it('keeps many places of many scopes at once', async () => {
      const scopes = Array.from({ length: 30 }, () => randomUUID());
      const leases = Array.from({ length: 250 }, (_, at) => leaseIn(scopes[at % scopes.length] ?? ''));
      expect(await one.renew(leases, LONG)).toEqual(leases.map(() => 'kept'));
      const [scope = ''] = scopes;
      const held = leases.filter((lease) => lease.scope === scope).length;
      expect(await other.acquire(leaseIn(scope), held, LONG)).toMatchObject({ kind: 'refused', held });
    });

    it('renews nothing when it is given nothing', async () => {
      expect(await one.renew([], LONG)).toEqual([]);
    });

    it('makes a place anew that it has lost, even beyond the bound', async () => {
      const scope = randomUUID();
      await one.acquire(leaseIn(scope), 1, LONG);
      const lost = leaseIn(scope);
      expect(await one.renew([lost], LONG)).toEqual(['kept']);
      expect(await one.acquire(leaseIn(scope), 2, LONG)).toMatchObject({ kind: 'refused', held: 2 });
    });

    it('leaves a place to whoever took it over: the earlier grip neither keeps it nor gives it away', async () => {
      const scope = randomUUID();
      const earlier = leaseIn(scope);
      const later = { ...earlier, grip: 'later' };
      await one.acquire(earlier, 1, LONG);
      await other.acquire(later, 1, LONG);
      expect(await one.renew([earlier, later], LONG)).toEqual(['lost', 'kept']);
      await one.release(earlier);
      expect(await one.acquire(leaseIn(scope), 1, LONG)).toMatchObject({ kind: 'refused', held: 1 });
      await other.release(later);
      expect(await one.acquire(leaseIn(scope), 1, LONG)).toEqual({ kind: 'granted', held: 1 });
    });
  });
}
