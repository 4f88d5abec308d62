import type { EngineItem, EngineResult } from '../engines/engine.ts';

/** A result on the session's timeline: positions are samples since the session's first. */
export type PlacedResult = EngineResult;

/**
 * One timeline over all engine streams of a session. A stream counts from its own first sample; results are moved by
 * the position at which the stream was opened. Finals never overlap and never run backwards, whatever the engine says:
 * one that begins before the last final's end is clamped, one that lies wholly before it is dropped.
 */
export class Timeline {
  #base = 0;
  #end = 0;

  /** End of the last final, in samples. */
  get end(): number {
    return this.#end;
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
    if (endSample <= this.#end) return undefined;
    const within = (low: number, sample: number) => Math.min(Math.max(this.#base + sample, low), endSample);
    const startSample = within(this.#end, result.startSample);
    const placed: PlacedResult = { ...result, startSample, endSample };
    const items = result.items?.map(
      (item): EngineItem => ({
        ...item,
        startSample: within(startSample, item.startSample),
        endSample: within(startSample, item.endSample),
      }),
    );
    if (!result.isPartial) this.#end = endSample;
    return items === undefined ? placed : { ...placed, items };
  }

  /** Audio up to `position` is lost: nothing may be placed before it any more. */
  skipTo(position: number): void {
    this.#end = Math.max(this.#end, position);
  }
}
