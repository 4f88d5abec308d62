import type { LatencyOptions } from '../options.ts';
import { drawMs, type Random } from '../random.ts';
import type { Heard, HearingSink } from './recogniser.ts';

/** Results held back at a time; audio sent much faster than real time can reach it, and the stream then fails. */
const MAX_HELD = 20_000;

interface HeldResult {
  /** Milliseconds of the monotonic clock. */
  readonly due: number;
  /** Undefined: the end. */
  readonly heard: Heard | undefined;
}

/**
 * Sends results as late as AWS does, in their order: a final that takes 2 s holds back the partials of the next
 * utterance, and of several that then fall due together only the newest is sent.
 */
export class PacedOutput {
  readonly #sink: HearingSink;
  readonly #latency: LatencyOptions;
  readonly #random: Random;
  #held: HeldResult[] = [];
  #timer: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(sink: HearingSink, latency: LatencyOptions, random: Random) {
    this.#sink = sink;
    this.#latency = latency;
    this.#random = random;
  }

  say(heard: Heard): void {
    this.#hold(heard, heard.isPartial ? this.#latency.partialMs : drawMs(this.#latency.finalMs, this.#random));
  }

  end(): void {
    this.#hold(undefined, 0);
  }

  abort(): void {
    this.#closed = true;
    this.#held = [];
    clearTimeout(this.#timer);
  }

  #hold(heard: Heard | undefined, delayMs: number): void {
    if (this.#closed) return;
    if (this.#held.length >= MAX_HELD) {
      this.abort();
      this.#sink.failed(new Error('Too many results are waiting to be sent.'));
      return;
    }
    const last = this.#held.at(-1);
    const due = Math.max(last?.due ?? 0, performance.now() + delayMs);
    const replaces = last?.due === due && last.heard?.isPartial && last.heard.resultId === heard?.resultId;
    if (replaces) this.#held.pop();
    this.#held.push({ due, heard });
    if (this.#held.length === 1) this.#flush();
  }

  #flush(): void {
    clearTimeout(this.#timer);
    for (let first = this.#held[0]; first !== undefined; first = this.#held[0]) {
      const wait = first.due - performance.now();
      if (wait > 0) {
        // Rounded up: a timer may fire a fraction of a millisecond early and would then be set again for nothing.
        this.#timer = setTimeout(() => this.#flush(), Math.ceil(wait));
        return;
      }
      this.#held.shift();
      if (first.heard !== undefined) this.#sink.heard(first.heard);
      else {
        this.#closed = true;
        this.#sink.done();
      }
    }
  }
}
