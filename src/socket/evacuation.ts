import type { DrainTerms } from '../session/registry.ts';

/** How often clients are sent off, in milliseconds. */
const TICK_MS = 100;
/** Even few clients leave at this pace, per millisecond: two in a second, so that a small gateway is not slow to end. */
export const SLOWEST = 2 / 1_000;

/**
 * Why a client cannot simply be cut off:
 * - `none`: it has no session and cannot be told anything; its library connects anew;
 * - `movable`: it can be asked to move, and its session goes on elsewhere;
 * - `bound`: its session can only end here, so that it is left alone as long as can be.
 */
export type Tie = 'none' | 'movable' | 'bound';

const ORDER: readonly Tie[] = ['none', 'movable', 'bound'];

/** A client of a gateway that drains. */
export interface Guest {
  readonly tie: Tie;
  /**
   * Sends the client off; called once, never rejects.
   * @param turn waits until one more connection may be closed
   * @returns once it is gone
   */
  depart(terms: DrainTerms, turn: () => Promise<void>): Promise<void>;
}

export interface EvacuationOptions {
  /** Read again and again: some leave by themselves, and some still come. */
  readonly guests: ReadonlySet<Guest>;
  /** Sends off what has no client here; called again and again. @returns whether nothing is left of that */
  readonly sweep: () => boolean;
  readonly terms: DrainTerms;
  /** Over which the clients are spread, in milliseconds; 0 sends all off at once. */
  readonly windowMs: number;
  /** Ends it wherever it is. */
  readonly signal: AbortSignal;
}

/**
 * Sends the clients of a gateway off one after the other, at an even pace: as many as left it together would come to the
 * other gateways together. Those that lose nothing by it go first, those whose session can only end here last.
 * @returns once nobody is left
 */
export async function evacuate({ guests, signal, sweep, terms, windowMs }: EvacuationOptions): Promise<void> {
  const departing = new Set<Guest>();
  const sent = new WeakSet<Guest>();
  const end = performance.now() + windowMs;
  let pace = Math.max(SLOWEST, windowMs > 0 ? guests.size / windowMs : 0);
  let due = 1;
  let last = performance.now();
  let nextClose = last;
  let departed = 0;
  // Sessions end when somebody is silent, which many may be at the same moment: so the last step has its pace too.
  const turn = async () => {
    const now = performance.now();
    const at = Math.max(now, nextClose);
    // Over the whole window: the pace of those who are sent off rises for a while where one was late.
    nextClose = at + 1 / Math.max(SLOWEST, Math.max(departed, guests.size) / windowMs);
    if (windowMs > 0 && at > now && !signal.aborted) await passes(at - now, signal);
  };
  while (!signal.aborted) {
    const isSwept = sweep();
    const waiting = [...guests].filter((guest) => !sent.has(guest));
    if (isSwept && waiting.length === 0 && departing.size === 0) return;
    const now = performance.now();
    const left = end - now;
    // Measured by the pace so far, which is raised only where that is too slow.
    const overdue = Math.ceil(waiting.length - pace * left);
    pace = Math.max(pace, waiting.length / left);
    due = Math.min(due + pace * (now - last), 1 + pace * TICK_MS);
    last = now;
    for (const guest of left <= 0 ? waiting : chosen(waiting, Math.floor(due), overdue)) {
      sent.add(guest);
      departing.add(guest);
      due -= 1;
      departed += 1;
      void guest.depart(terms, turn).finally(() => departing.delete(guest));
    }
    due = Math.max(0, due);
    await passes(TICK_MS, signal);
  }
}

/** Resolves after so many milliseconds, or as soon as the signal is given. */
function passes(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(over, ms);
    signal.addEventListener('abort', over, { once: true });
    function over() {
      clearTimeout(timer);
      signal.removeEventListener('abort', over);
      resolve();
    }
  });
}

/** @param overdue how many have to leave now even if their sessions end by that */
function chosen(waiting: readonly Guest[], count: number, overdue: number): Guest[] {
  const byTie = waiting.toSorted((a, b) => ORDER.indexOf(a.tie) - ORDER.indexOf(b.tie));
  const free = byTie.filter(({ tie }) => tie !== 'bound');
  const bound = byTie.slice(free.length);
  return [...free, ...bound.slice(0, Math.max(0, overdue - free.length))].slice(0, count);
}
