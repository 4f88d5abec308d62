import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { LeaseKeeper, type PlaceRequest } from '../../../src/limits/lease-keeper.ts';
import { createLogger } from '../../../src/log.ts';
import { createMetrics } from '../../../src/metrics/metrics.ts';
import { MemoryLeases } from '../../../src/store/memory-leases.ts';
import { StoreUnavailableError } from '../../../src/store/store.ts';

const TTL_MS = 900;
const RENEW_MS = TTL_MS / 3;

/** Places that every worker of the test shares, which can go away, come back empty, and refuse. */
class FlakyLeases extends MemoryLeases {
  isAway = false;
  readonly #listeners = new Set<(available: boolean) => void>();

  override acquire(...args: Parameters<MemoryLeases['acquire']>) {
    if (this.isAway) return Promise.reject(new StoreUnavailableError('away'));
    return super.acquire(...args);
  }

  override release(...args: Parameters<MemoryLeases['release']>) {
    if (this.isAway) return Promise.reject(new StoreUnavailableError('away'));
    return super.release(...args);
  }

  override onAvailability(listener?: (available: boolean) => void): () => void {
    if (listener !== undefined) this.#listeners.add(listener);
    return () => undefined;
  }

  setAway(isAway: boolean): void {
    this.isAway = isAway;
    for (const listener of this.#listeners) listener(!isAway);
  }
}

const metrics = createMetrics();
let leases: FlakyLeases;
const keepers: LeaseKeeper[] = [];

beforeEach(() => {
  vi.useFakeTimers();
  metrics.registry.resetMetrics();
  leases = new FlakyLeases(() => Date.now());
});

afterEach(async () => {
  for (const keeper of keepers.splice(0)) await keeper.close();
  vi.useRealTimers();
});

function keeper(): LeaseKeeper {
  const made = new LeaseKeeper({ leases, metrics, log: createLogger('silent'), ttlMs: TTL_MS });
  keepers.push(made);
  return made;
}

function ask(holder: string, most = 1): PlaceRequest {
  return { limit: 'sessions_per_user', scope: 'user', holder, most };
}

async function granted(by: LeaseKeeper, request: PlaceRequest) {
  const answer = await by.take(request);
  if (answer.kind !== 'granted') throw new Error('refused');
  return answer.place;
}

async function value(name: 'leases' | 'limitFallbacksTotal'): Promise<number> {
  return (await metrics[name].get()).values[0]?.value ?? 0;
}

describe('a lease keeper', () => {
  it('keeps places for as long as it runs, and they end within the term when it is killed', async () => {
    const [one, other] = [keeper(), keeper()];
    await granted(one, ask('a'));
    await vi.advanceTimersByTimeAsync(10 * TTL_MS);
    expect(await other.take(ask('b'))).toMatchObject({ kind: 'refused' });
    await one.close();
    await vi.advanceTimersByTimeAsync(TTL_MS);
    expect(await other.take(ask('b'))).toMatchObject({ kind: 'granted' });
  });

  it('tells whoever is refused a wait that is never longer than seconds', async () => {
    const one = keeper();
    await granted(one, ask('a'));
    const answer = await one.take(ask('b'));
    expect(answer).toEqual({ kind: 'refused', retryAfterMs: expect.any(Number) });
  });

  it('frees a place that is given back, once', async () => {
    const one = keeper();
    const place = await granted(one, ask('a'));
    expect(await value('leases')).toBe(1);
    place.release();
    place.release();
    expect(await value('leases')).toBe(0);
    await granted(one, ask('b'));
    place.release();
    expect(await one.take(ask('c'))).toMatchObject({ kind: 'refused' });
  });

  it('leaves a place to another worker, which asks for the same holder without a second place', async () => {
    const [one, other] = [keeper(), keeper()];
    const before = await granted(one, ask('a'));
    await granted(other, ask('a'));
    before.leave();
    before.release();
    await vi.advanceTimersByTimeAsync(2 * TTL_MS);
    expect(await one.take(ask('b'))).toMatchObject({ kind: 'refused' });
  });

  it('stops keeping a place that another worker took over, though nobody told it', async () => {
    const [one, other] = [keeper(), keeper()];
    await granted(one, ask('a'));
    const later = await granted(other, ask('a'));
    await vi.advanceTimersByTimeAsync(RENEW_MS);
    later.release();
    await vi.advanceTimersByTimeAsync(2 * RENEW_MS);
    expect(await one.take(ask('b'))).toMatchObject({ kind: 'granted' });
  });

  it('gives a place to whoever goes on with the same holder in its own process, and the earlier one has nothing to give', async () => {
    const one = keeper();
    const before = await granted(one, ask('a'));
    const after = await granted(one, ask('a'));
    before.release();
    expect(await one.take(ask('b'))).toMatchObject({ kind: 'refused' });
    after.release();
    expect(await one.take(ask('b'))).toMatchObject({ kind: 'granted' });
  });

  it('without the store decides by what it has itself, counts that, and enters it when the store is back', async () => {
    const [one, other] = [keeper(), keeper()];
    leases.setAway(true);
    await granted(one, ask('a', 2));
    await granted(one, ask('b', 2));
    await granted(one, ask('b', 2));
    expect(await one.take(ask('c', 2))).toMatchObject({ kind: 'refused' });
    expect(await value('limitFallbacksTotal')).toBe(4);
    leases.setAway(false);
    await vi.advanceTimersByTimeAsync(0);
    expect(await other.take(ask('d', 3))).toMatchObject({ kind: 'granted' });
    expect(await other.take(ask('e', 3))).toMatchObject({ kind: 'refused' });
  });

  it('never refuses who asks without a bound', async () => {
    const one = keeper();
    await granted(one, ask('a'));
    await granted(one, { ...ask('b'), most: undefined });
    leases.setAway(true);
    await granted(one, { ...ask('c'), most: undefined });
  });

  it('keeps nobody out, and ends no process, for a fault of its own', async () => {
    const one = keeper();
    leases.acquire = () => Promise.reject(new TypeError('a fault'));
    leases.renew = () => Promise.reject(new TypeError('a fault'));
    await granted(one, ask('a'));
    await vi.advanceTimersByTimeAsync(TTL_MS);
    expect(await one.take(ask('b'))).toMatchObject({ kind: 'refused' });
  });

  it('does nothing worse than keep a place for its term when it cannot be given back', async () => {
    const one = keeper();
    const place = await granted(one, ask('a'));
    leases.setAway(true);
    place.release();
    leases.setAway(false);
    await vi.advanceTimersByTimeAsync(TTL_MS);
    expect(await one.take(ask('b'))).toMatchObject({ kind: 'granted' });
  });
});
