import { TokenBucket } from './token-bucket.ts';

/** Events that may come at once: as many as in so many milliseconds at the limit. A client catches up after a pause. */
const BURST_MS = 10_000;
/** Events other than audio, of those that there may be: a client has a reason for few. */
const CONTROL_SHARE = 0.1;
/** The least wait that is told, in milliseconds: a client that asks again at once would only be refused again. */
const LEAST_WAIT_MS = 100;

/**
 * - `wait`: the event is not taken; the client may come again in so many milliseconds.
 * - `cut`: the client goes on regardless of that.
 */
export type EventVerdict = 'take' | 'cut' | { readonly waitMs: number };

/**
 * How many events a socket may send. Audio and all else are counted apart, so that a client which sends too much audio can
 * still stop, and hears of it.
 */
export class EventGate {
  readonly #isOpen: boolean;
  readonly #audio: TokenBucket;
  readonly #control: TokenBucket;
  /** What may be refused before the connection is cut. */
  readonly #refusals: TokenBucket;

  /** @param perSecond events in the long run; 0 for any number */
  constructor(perSecond: number, now: number) {
    this.#isOpen = perSecond === 0;
    const perMs = perSecond / 1000;
    const bucket = (share: number) => new TokenBucket(perMs * share, perMs * share * BURST_MS, now);
    this.#audio = bucket(1);
    this.#control = bucket(CONTROL_SHARE);
    this.#refusals = bucket(1);
  }

  /** @param now milliseconds of the monotonic clock */
  check(isAudio: boolean, now: number): EventVerdict {
    if (this.#isOpen) return 'take';
    const wait = (isAudio ? this.#audio : this.#control).take(1, now);
    if (wait === 0) return 'take';
    return this.#refusals.take(1, now) === 0 ? { waitMs: Math.max(LEAST_WAIT_MS, wait) } : 'cut';
  }
}
