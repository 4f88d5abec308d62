import type { EngineResult } from '../engines/engine.ts';

/** A result on the session's timeline: positions are samples since the session's first. */
export type PlacedResult = EngineResult;

/**
 * One timeline over all engine streams of a session. A stream counts from its own first sample; results are moved by
 * the position at which the stream was opened. Finals of a channel never overlap and never run backwards, whatever the
 * engine says: one that begins before the last final's end is clamped, one that lies wholly before it is dropped.
 */
export class Timeline {
  #base: number;
  readonly #ends: number[];
  /** Nothing may be placed before it in any channel. */
  #skippedTo = 0;

  /**
   * @param start position of the first stream's first sample
   * @param ends by channel: where its last final ended before
   */
  constructor(start = 0, ends: readonly number[] = []) {
    this.#base = start;
    this.#ends = [...ends];
  }

  /** By channel: end of its last final, in samples. */
  get ends(): readonly number[] {
    return this.#ends.map((end) => Math.max(end ?? 0, this.#skippedTo));
  }

  /** Position of the session at which the stream's sample lies. */
  positionOf(streamSample: number): number {
    return this.#base + streamSample;
  }

  /** The following results come from a stream whose first sample is at `position`. */
  openStream(position: number): void {
    this.#base = position;
  }

  /**
   * Moves a result onto the timeline.
   * @param head samples received so far; no result can end later
   * @returns undefined when the range is wholly covered by earlier finals
   */
  place(result: EngineResult, head: number): PlacedResult | undefined {
    const endSample = Math.min(this.#base + result.endSample, head);
    const channel = result.channel ?? 0;
    const earliest = Math.max(this.#ends[channel] ?? 0, this.#skippedTo);
    if (endSample <= earliest) return undefined;
    const within = (low: number, sample: number) => Math.min(Math.max(this.#base + sample, low), endSample);
    const startSample = within(earliest, result.startSample);
    const placed: PlacedResult = { ...result, startSample, endSample };
    const place = <Part extends { startSample: number; endSample: number }>(part: Part): Part => ({
      ...part,
      startSample: within(startSample, part.startSample),
      endSample: within(startSample, part.endSample),
    });
    if (!result.isPartial) {
      while (this.#ends.length < channel) this.#ends.push(0);
      this.#ends[channel] = endSample;
    }
    return {
      ...placed,
      ...(result.items && { items: result.items.map(place) }),
      ...(result.entities && { entities: result.entities.map(place) }),
    };
  }

  /** Audio up to `position` is lost: nothing may be placed before it any more. */
  skipTo(position: number): void {
    this.#skippedTo = Math.max(this.#skippedTo, position);
  }
}
