import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { KeptPlaces } from '../../../../src/engines/local/kept-places.ts';

describe('KeptPlaces', () => {
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['performance'] });
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  it('counts a place until it is taken back', () => {
    const places = new KeptPlaces();
    places.keep();
    places.keep();
    expect(places.count).toBe(2);
    places.takeBack();
    expect(places.count).toBe(1);
  });

  it('forgets a place that is not taken back within ten seconds', () => {
    const places = new KeptPlaces();
    places.keep();
    vi.advanceTimersByTime(6_000);
    places.keep();
    vi.advanceTimersByTime(3_999);
    expect(places.count).toBe(2);
    vi.advanceTimersByTime(1);
    expect(places.count).toBe(1);
    vi.advanceTimersByTime(6_000);
    expect(places.count).toBe(0);
  });

  it('takes nothing back for a session that comes after its place was forgotten', () => {
    const places = new KeptPlaces();
    places.takeBack();
    places.keep();
    expect(places.count).toBe(1);
  });
});
