import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { loadOfThisProcess } from '../../../src/limits/load.ts';
import { type LoadBounds, LoadShedder } from '../../../src/limits/load-shedder.ts';
import { createLogger } from '../../../src/log.ts';
import { createMetrics } from '../../../src/metrics/metrics.ts';

const load = {
  memoryShare: 0.2,
  delayMs: 5,
  memory: () => load.memoryShare,
  loopDelayMs: () => load.delayMs,
  close: () => undefined,
};
const BOUNDS: LoadBounds = { shedMemoryPercent: 90, shedLoopDelayMs: 300 };
const metrics = createMetrics();
const shedders: LoadShedder[] = [];

beforeEach(() => {
  vi.useFakeTimers();
  Object.assign(load, { memoryShare: 0.2, delayMs: 5 });
});

afterEach(() => {
  for (const shedder of shedders.splice(0)) shedder.close();
  vi.useRealTimers();
});

function shedder(bounds: LoadBounds = BOUNDS): LoadShedder {
  const made = new LoadShedder({ load, bounds, metrics, log: createLogger('silent') });
  shedders.push(made);
  return made;
}

const isShedding = (one: LoadShedder): boolean => {
  try {
    one.assertRoom();
    return false;
  } catch (error) {
    expect(error).toMatchObject({ code: 'overloaded', retryable: true });
    const { retryAfterMs = 0 } = error as { retryAfterMs?: number };
    expect(retryAfterMs).toBeGreaterThanOrEqual(2_000);
    expect(retryAfterMs).toBeLessThanOrEqual(4_000);
    return true;
  }
};

const seconds = (count: number) => vi.advanceTimersByTime(count * 1_000);

describe('a load shedder', () => {
  it('takes new sessions while there is little to do', () => {
    const one = shedder();
    seconds(60);
    expect(isShedding(one)).toBe(false);
  });

  it('refuses them as soon as memory is short, and takes them when there is clearly more again', async () => {
    const one = shedder();
    load.memoryShare = 0.91;
    seconds(1);
    expect(isShedding(one)).toBe(true);
    expect((await metrics.shedding.get()).values).toContainEqual({ labels: { pressure: 'memory' }, value: 1 });
    load.memoryShare = 0.85;
    seconds(1);
    expect(isShedding(one)).toBe(true);
    load.memoryShare = 0.8;
    seconds(1);
    expect(isShedding(one)).toBe(false);
    expect((await metrics.shedding.get()).values).toContainEqual({ labels: { pressure: 'memory' }, value: 0 });
  });

  it('knows it from its start', () => {
    load.memoryShare = 0.99;
    expect(isShedding(shedder())).toBe(true);
  });

  it('refuses them when the event loop is late for seconds, and not for long tasks now and then', () => {
    const one = shedder();
    load.delayMs = 20_000;
    seconds(4);
    load.delayMs = 5;
    for (let second = 0; second < 10; second++) {
      expect(isShedding(one)).toBe(false);
      seconds(1);
    }
    load.delayMs = 400;
    seconds(4);
    expect(isShedding(one)).toBe(false);
    seconds(1);
    expect(isShedding(one)).toBe(true);
    load.delayMs = 5;
    seconds(1);
    expect(isShedding(one)).toBe(false);
  });

  it('never refuses where there is no bound', () => {
    Object.assign(load, { memoryShare: 5, delayMs: 60_000 });
    const one = shedder({ shedMemoryPercent: 0, shedLoopDelayMs: 0 });
    seconds(10);
    expect(isShedding(one)).toBe(false);
  });
});

describe('the load of this process', () => {
  it('is a share of memory, which more processes have more of, and a delay', () => {
    const [one, many] = [loadOfThisProcess(1), loadOfThisProcess(1_000)];
    expect(one.memory()).toBeGreaterThan(0);
    expect(one.memory()).toBeLessThan(1);
    expect(many.memory()).toBeGreaterThan(one.memory());
    expect(one.loopDelayMs()).toBeGreaterThanOrEqual(0);
    for (const load of [one, many]) load.close();
  });
});
