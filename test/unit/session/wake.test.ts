import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Wake } from '../../../src/session/wake.ts';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

describe('a loop that waits', () => {
  it('goes on with the next call, and has heard each until it looks no more', async () => {
    const wake = new Wake();
    let rounds = 0;
    void (async () => {
      for (;;) {
        wake.look();
        await wake.wait();
        rounds++;
      }
    })();
    wake.call();
    wake.call();
    await vi.advanceTimersByTimeAsync(5_000);
    expect(rounds).toBe(1);
    expect(wake.unheardMs(performance.now())).toBe(0);
  });

  it('that does not look although it was called is told by how long', () => {
    const wake = new Wake();
    vi.advanceTimersByTime(3_000);
    expect(wake.unheardMs(performance.now())).toBe(0);
    wake.call();
    vi.advanceTimersByTime(3_000);
    wake.call();
    expect(wake.unheardMs(performance.now())).toBe(3_000);
    wake.look();
    expect(wake.unheardMs(performance.now())).toBe(0);
  });
});
