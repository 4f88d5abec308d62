import type { GapEvent, ResultEvent } from '../../src/protocol/events.ts';
import type { PlacedBlock } from './coded-audio.ts';

/** The wire says times in milliseconds; half of one, in samples at 16 kHz. */
const ROUNDING_SAMPLES = 8;
/** Enough to see what is wrong; a session that is wrong throughout says the same a thousand times. */
const MAX_PROBLEMS = 20;

/**
 * Holds the results of one session to what version 2 promises of their positions: finals never overlap, nothing runs
 * backwards, every word lies where its block was sent, and no gap touches what was finalised.
 */
export class TranscriptCheck {
  readonly #placeOf: (number: number) => PlacedBlock | undefined;
  readonly finals: string[] = [];
  readonly gaps: { readonly fromSample: number; readonly toSample: number }[] = [];
  readonly problems: string[] = [];
  /** End of the last final or gap, in samples. */
  #settled = 0;
  /** The latest start of a result, in milliseconds. */
  #startedMs = 0;

  /** @param placeOf where the block of a number was sent */
  constructor(placeOf: (number: number) => PlacedBlock | undefined) {
    this.#placeOf = placeOf;
  }

  readonly result = (result: ResultEvent): void => {
    const { end_sample: end = -1, is_partial: isPartial, items = [], start_ms: startMs = -1, text } = result;
    const { start_sample: start = -1 } = result;
    const name = `${isPartial ? 'partial' : 'final'} "${text.slice(0, 30)}" at ${start}-${end}`;
    if (start < this.#settled)
      this.#problem(`${name} begins before ${this.#settled}, where the last final or gap ends`);
    if (start > end) this.#problem(`${name} ends before it begins`);
    if (startMs < this.#startedMs) this.#problem(`${name} begins before an earlier result, at ${this.#startedMs} ms`);
    this.#startedMs = Math.max(this.#startedMs, startMs);
    if (text !== items.map((item) => item.content).join(' ')) this.#problem(`${name} has other items than words`);
    let before = start;
    for (const item of items) {
      const at = `${name}: ${item.content} at ${item.start_sample}-${item.end_sample}`;
      if (item.start_sample < before) this.#problem(`${at} begins before ${before}`);
      if (item.end_sample > end) this.#problem(`${at} ends after its result`);
      before = item.end_sample;
      const place = this.#placeOf(Number(item.content.slice(1)));
      if (place === undefined) continue;
      const off = Math.max(
        Math.abs(item.start_sample - place.startSample),
        Math.abs(item.end_sample - place.endSample),
      );
      if (off > ROUNDING_SAMPLES) this.#problem(`${at} was sent at ${place.startSample}-${place.endSample}`);
    }
    if (isPartial) return;
    this.finals.push(text);
    this.#settled = end;
  };

  readonly gap = (gap: GapEvent): void => {
    const { from_sample: fromSample, to_sample: toSample } = gap;
    if (fromSample >= toSample) this.#problem(`gap ${fromSample}-${toSample} is empty`);
    if (fromSample < this.#settled) this.#problem(`gap ${fromSample}-${toSample} begins before ${this.#settled}`);
    this.gaps.push({ fromSample, toSample });
    this.#settled = toSample;
  };

  #problem(problem: string): void {
    if (this.problems.length < MAX_PROBLEMS) this.problems.push(problem);
  }
}
