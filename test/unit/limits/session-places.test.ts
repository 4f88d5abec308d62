import { afterEach, describe, expect, it } from 'vitest';
import { LeaseKeeper } from '../../../src/limits/lease-keeper.ts';
import { type SessionOwner, SessionPlaces } from '../../../src/limits/session-places.ts';
import { createLogger } from '../../../src/log.ts';
import { createMetrics } from '../../../src/metrics/metrics.ts';
import { MemoryLeases } from '../../../src/store/memory-leases.ts';

const keepers: LeaseKeeper[] = [];
afterEach(async () => {
  for (const keeper of keepers.splice(0)) await keeper.close();
});

function placesWith(sessionsPerUser: number, sessionsPerTenant = 0) {
  const metrics = createMetrics();
  const keeper = new LeaseKeeper({
    leases: new MemoryLeases(),
    metrics,
    ttlMs: 60_000,
    log: createLogger('silent'),
  });
  keepers.push(keeper);
  return new SessionPlaces(keeper, { sessionsPerUser, sessionsPerTenant }, metrics);
}

const ANN: SessionOwner = { id: 'ann', tenant: 'acme', tokenId: undefined, limits: {} };
const EXCEEDED = { code: 'sessions_exceeded', retryAfterMs: expect.any(Number) };

describe('a seat', () => {
  it('needs nothing where there is no limit', () => {
    expect(placesWith(0).seat(ANN, 's1').take()).toBeUndefined();
  });

  it('is taken, kept from others, and free when it is given back', async () => {
    const places = placesWith(1);
    const first = places.seat(ANN, 's1');
    await first.take();
    await expect(places.seat(ANN, 's2').take()).rejects.toMatchObject(EXCEEDED);
    first.release();
    await places.seat(ANN, 's2').take();
  });

  it('of a session that is gone before it was taken is given back as soon as it is', async () => {
    const places = placesWith(1);
    const hasty = places.seat(ANN, 's1');
    const taken = hasty.take();
    hasty.release();
    await taken;
    await places.seat(ANN, 's2').take();
  });

  it('is kept by a session that goes on, however many there are', async () => {
    const places = placesWith(1);
    await places.seat(ANN, 's1').take();
    places.seat(ANN, 's2').keep();
    places.seat(ANN, 's1').keep();
    const more = { ...ANN, limits: { sessions: 3 } };
    await places.seat(more, 's3').take();
    await expect(places.seat(more, 's4').take()).rejects.toMatchObject(EXCEEDED);
  });

  it('is refused whole: who gets no place of the tenant keeps none of the user', async () => {
    const places = placesWith(1, 1);
    const tenants = places.seat({ ...ANN, id: 'bob' }, 's1');
    await tenants.take();
    await expect(places.seat(ANN, 's2').take()).rejects.toMatchObject(EXCEEDED);
    tenants.release();
    await places.seat(ANN, 's3').take();
  });

  it('of the same start key passes from an earlier session to the next one', async () => {
    const places = placesWith(1);
    const earlier = places.seat(ANN, 'key');
    await earlier.take();
    const later = places.seat(ANN, 'key');
    await later.take();
    earlier.leave();
    earlier.release();
    await expect(places.seat(ANN, 'other').take()).rejects.toMatchObject(EXCEEDED);
    later.release();
    await places.seat(ANN, 'other').take();
  });
});
