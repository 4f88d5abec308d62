import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { DrainTerms } from '../../../src/session/registry.ts';
import { evacuate, type Guest, type Tie } from '../../../src/socket/evacuation.ts';

const TERMS: DrainTerms = { moveMs: 500, quietMs: 500 };
const WINDOW_MS = 10_000;

beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] }));
afterEach(() => void vi.useRealTimers());

/** Guests that take a moment to go, and when each was sent off, in milliseconds since the beginning. */
function party() {
  const guests = new Set<Guest>();
  const sent: { tie: Tie; at: number }[] = [];
  const begin = performance.now();
  const add = (tie: Tie, count: number) => {
    for (let n = 0; n < count; n++) {
      const guest: Guest = {
        tie,
        async depart() {
          sent.push({ tie, at: performance.now() - begin });
          await new Promise((resolve) => setTimeout(resolve, 50));
          guests.delete(guest);
        },
      };
      guests.add(guest);
    }
  };
  const { signal } = new AbortController();
  const run = (windowMs = WINDOW_MS) => evacuate({ guests, sweep: () => true, windowMs, terms: TERMS, signal });
  return { add, guests, run, sent };
}

/** The most that were sent off within one second. */
function peak(sent: readonly { at: number }[]): number {
  return Math.max(...sent.map(({ at }) => sent.filter((one) => one.at >= at && one.at < at + 1_000).length));
}

describe('an evacuation', () => {
  it('sends clients off at an even pace over the whole window', async () => {
    const { add, run, sent } = party();
    add('movable', 100);
    const done = run();
    await vi.runAllTimersAsync();
    await done;
    expect(sent).toHaveLength(100);
    expect(peak(sent)).toBeLessThanOrEqual(12);
    expect(sent.at(-1)?.at).toBeGreaterThan(WINDOW_MS * 0.85);
    expect(sent.at(-1)?.at).toBeLessThanOrEqual(WINDOW_MS + 100);
  });

  it('closes connections at that pace too, also where many sessions end at the same moment', async () => {
    const guests = new Set<Guest>();
    const closed: { at: number }[] = [];
    const begin = performance.now();
    for (let n = 0; n < 60; n++) {
      const guest: Guest = {
        tie: 'bound',
        async depart(_terms, turn) {
          // Everybody falls silent every three seconds.
          const elapsed = performance.now() - begin;
          await new Promise((resolve) => setTimeout(resolve, 3_000 - (elapsed % 3_000)));
          await turn();
          closed.push({ at: performance.now() - begin });
          guests.delete(guest);
        },
      };
      guests.add(guest);
    }
    const { signal } = new AbortController();
    const done = evacuate({ guests, sweep: () => true, windowMs: WINDOW_MS, terms: TERMS, signal });
    await vi.runAllTimersAsync();
    await done;
    expect(closed).toHaveLength(60);
    expect(peak(closed)).toBeLessThanOrEqual(8);
  });

  it('lets those go first who lose nothing, and leaves sessions that can only end here until last', async () => {
    const { add, run, sent } = party();
    add('bound', 30);
    add('movable', 30);
    add('none', 30);
    const done = run();
    await vi.runAllTimersAsync();
    await done;
    const order = sent.map(({ tie }) => tie);
    expect(order).toEqual([...Array(30).fill('none'), ...Array(30).fill('movable'), ...Array(30).fill('bound')]);
    expect(peak(sent)).toBeLessThanOrEqual(11);
    expect(sent[60]?.at).toBeGreaterThan(WINDOW_MS * 0.6);
  });

  it('does not take the whole window for few clients, unless their sessions can only end here', async () => {
    const { add, run, sent } = party();
    add('movable', 4);
    const done = run();
    await vi.runAllTimersAsync();
    await done;
    expect(sent.at(-1)?.at).toBeLessThan(2_000);

    const other = party();
    other.add('bound', 4);
    const ended = other.run();
    await vi.runAllTimersAsync();
    await ended;
    expect(other.sent[0]?.at).toBeGreaterThan(WINDOW_MS * 0.75);
  });

  it('sends off those who come while it goes on, and ends when nobody is left', async () => {
    const { add, guests, run, sent } = party();
    add('bound', 1);
    const done = run();
    setTimeout(() => add('none', 5), 3_000);
    await vi.runAllTimersAsync();
    await done;
    expect(guests.size).toBe(0);
    expect(sent.map(({ tie }) => tie)).toEqual([...Array(5).fill('none'), 'bound']);
  });

  it('does not make up by a burst for the time in which it had nobody to send off', async () => {
    const { add, run, sent } = party();
    add('bound', 10);
    const done = run();
    setTimeout(() => add('none', 10), 2_000);
    await vi.runAllTimersAsync();
    await done;
    expect(peak(sent.filter(({ tie }) => tie === 'none'))).toBeLessThanOrEqual(4);
  });

  it('sends all off at once where no time is given', async () => {
    const { add, run, sent } = party();
    add('movable', 50);
    const done = run(0);
    await vi.runAllTimersAsync();
    await done;
    expect(new Set(sent.map(({ at }) => at))).toEqual(new Set([0]));
  });

  it('ends by its signal although somebody does not go', async () => {
    const stop = new AbortController();
    const guest: Guest = { tie: 'bound', depart: () => new Promise(() => undefined) };
    const done = evacuate({
      guests: new Set([guest]),
      sweep: () => false,
      windowMs: 0,
      terms: TERMS,
      signal: stop.signal,
    });
    await vi.advanceTimersByTimeAsync(1_000);
    stop.abort();
    await vi.advanceTimersByTimeAsync(1_000);
    await done;
  });
});
