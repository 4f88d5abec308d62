import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Vacancy } from '../../../src/limits/vacancy.ts';
import { createLogger } from '../../../src/log.ts';
import { createMetrics } from '../../../src/metrics/metrics.ts';
import { MemoryLeases } from '../../../src/store/memory-leases.ts';
import { StoreUnavailableError } from '../../../src/store/store.ts';

/** Longer than the interval of the looks; than what is said is believed. */
const LOOK_MS = 1_100;
const TERM_MS = 6_000;

class Worker {
  isFull = false;
  isAway = false;
  pollers = 0;
  readonly metrics = createMetrics();
  readonly vacancy: Vacancy;

  constructor(leases: MemoryLeases) {
    const over = <A extends unknown[], R>(call: (...args: A) => Promise<R>) => {
      return (...args: A) => (this.isAway ? Promise.reject(new StoreUnavailableError('away')) : call(...args));
    };
    this.vacancy = new Vacancy({
      leases: {
        acquire: over((...args: Parameters<MemoryLeases['acquire']>) => leases.acquire(...args)),
        release: over((...args: Parameters<MemoryLeases['release']>) => leases.release(...args)),
      },
      isFull: () => this.isFull,
      tiedConnections: () => this.pollers,
      metrics: this.metrics,
      log: createLogger('silent'),
    });
  }
}

let leases: MemoryLeases;
const workers: Worker[] = [];

beforeEach(() => {
  vi.useFakeTimers();
  leases = new MemoryLeases(() => Date.now());
});

afterEach(async () => {
  for (const { vacancy } of workers.splice(0)) await vacancy.close();
  vi.useRealTimers();
});

async function crew(size: number): Promise<Worker[]> {
  const all = Array.from({ length: size }, () => new Worker(leases));
  workers.push(...all);
  await vi.advanceTimersByTimeAsync(LOOK_MS);
  return all;
}

const stepsBack = async (all: readonly Worker[]) => {
  await vi.advanceTimersByTimeAsync(2 * LOOK_MS);
  return all.map(({ vacancy }) => vacancy.stepsBack);
};

describe('a full worker', () => {
  it('steps back while another has room, and comes back when it has room itself', async () => {
    const all = await crew(2);
    const [first] = all as [Worker];
    expect(await stepsBack(all)).toEqual([false, false]);
    first.isFull = true;
    expect(await stepsBack(all)).toEqual([true, false]);
    const room = async ({ metrics }: Worker) => (await metrics.hasRoom.get()).values[0]?.value;
    expect(await Promise.all(all.map(room))).toEqual([0, 1]);
    first.isFull = false;
    expect(await stepsBack(all)).toEqual([false, false]);
    expect(await Promise.all(all.map(room))).toEqual([1, 1]);
  });

  it('stays where all are full: their clients must be able to come back', async () => {
    const all = await crew(3);
    for (const worker of all) worker.isFull = true;
    expect(await stepsBack(all)).toEqual([false, false, false]);
    const [first] = all as [Worker];
    first.isFull = false;
    expect(await stepsBack(all)).toEqual([false, true, true]);
    first.isFull = true;
    expect(await stepsBack(all)).toEqual([false, false, false]);
  });

  it('stays while clients poll it, whose next request would go elsewhere', async () => {
    const all = await crew(2);
    const [first] = all as [Worker];
    first.pollers = 1;
    first.isFull = true;
    expect(await stepsBack(all)).toEqual([false, false]);
    first.pollers = 0;
    expect(await stepsBack(all)).toEqual([true, false]);
  });

  it('stays while the store is away, and when it is alone', async () => {
    const all = await crew(2);
    const [first, second] = all as [Worker, Worker];
    first.isFull = true;
    expect(await stepsBack(all)).toEqual([true, false]);
    first.isAway = true;
    expect(await stepsBack(all)).toEqual([false, false]);
    first.isAway = false;
    expect(await stepsBack(all)).toEqual([true, false]);
    await second.vacancy.close();
    expect(await stepsBack([first])).toEqual([false]);
  });

  it('does not count for long on one that was killed', async () => {
    const all = await crew(2);
    const [first, second] = all as [Worker, Worker];
    first.isFull = true;
    expect(await stepsBack([first])).toEqual([true]);
    second.isAway = true;
    await vi.advanceTimersByTimeAsync(TERM_MS);
    expect(await stepsBack([first])).toEqual([false]);
  });
});
