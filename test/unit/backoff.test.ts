import { describe, expect, it } from 'vitest';
import { respawnDelayMs } from '../../src/backoff.ts';

describe('the delay before a worker is replaced', () => {
  it('doubles with each failure up to half a minute', () => {
    const delays = Array.from({ length: 10 }, (_, failures) => respawnDelayMs(failures, () => 1));
    expect(delays).toEqual([250, 500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000]);
  });

  it('is spread over half of it, so that workers that died together do not start together', () => {
    expect(respawnDelayMs(3, () => 0)).toBe(1_000);
    expect(respawnDelayMs(3, () => 0.5)).toBe(1_500);
  });
});
