import type { EngineResult } from '../engines/engine.ts';

/** A result on the session's timeline: positions are samples since the session's first. */
export type PlacedResult = EngineResult;

/** No engine answers for what was said so many cuts ago. */
const MAX_PIECES = 1_000;

/** From this sample of the stream on, its audio lies at this position. */
interface Piece {
  readonly streamSample: number;
  position: number;
}

/**
 * One timeline over all engine streams of a session. A stream counts from its own first sample; results are moved by
 * the position at which the stream was opened, and by the audio that was cut before them. Finals of a channel never overlap and never run backwards, whatever the
 * engine says: one that begins before the last final's end is clamped, one that lies wholly before it is dropped.
 */
export class Timeline {
  /** Of the present stream, in order; the first begins at its first sample. */
  #pieces: Piece[];
  readonly #ends: number[];
  /** Nothing may be placed before it in any channel. */
  #skippedTo = 0;

  /**
   * @param start position of the first stream's first sample
   * @param ends by channel: where its last final ended before
   */
  constructor(start = 0, ends: readonly number[] = []) {
    this.#pieces = [{ streamSample: 0, position: start }];
    this.#ends = [...ends];
  }

  /** By channel: end of its last final, in samples. */
  get ends(): readonly number[] {
    return this.#ends.map((end) => Math.max(end ?? 0, this.#skippedTo));
  }

  /** Position of the session up to which the audio before the stream's sample reaches. */
  endOf(streamSample: number): number {
    return this.#at(streamSample, (piece) => piece.streamSample < streamSample);
  }

  /** The following results come from a stream whose first sample is at `position`. */
  openStream(position: number): void {
    this.#pieces = [{ streamSample: 0, position }];
  }

  /** The stream's next sample, of this number, is so many samples later in the session than it would be. */
  cut(streamSample: number, samples: number): void {
    const last = this.#pieces.at(-1);
    if (last?.streamSample === streamSample) last.position += samples;
    else this.#pieces.push({ streamSample, position: this.#startOf(streamSample) + samples });
    if (this.#pieces.length > MAX_PIECES) this.#pieces.shift();
  }

  /**
   * Moves a result onto the timeline.
   * @param head samples received so far; no result can end later
   * @returns undefined when the range is wholly covered by earlier finals
   */
  place(result: EngineResult, head: number): PlacedResult | undefined {
    const endSample = Math.min(this.endOf(result.endSample), head);
    const channel = result.channel ?? 0;
    const earliest = Math.max(this.#ends[channel] ?? 0, this.#skippedTo);
    if (endSample <= earliest) return undefined;
    const within = (low: number, position: number) => Math.min(Math.max(position, low), endSample);
    const startSample = within(earliest, this.#startOf(result.startSample));
    const placed: PlacedResult = { ...result, startSample, endSample };
    const place = <Part extends { startSample: number; endSample: number }>(part: Part): Part => {
      const end = within(startSample, this.endOf(part.endSample));
      // A mark without a length stays with the word before it, on whichever side of a cut that is.
      return {
        ...part,
        startSample: Math.min(within(startSample, this.#startOf(part.startSample)), end),
        endSample: end,
      };
    };
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

  /** Position of the session at which the stream's sample lies. */
  #startOf(streamSample: number): number {
    return this.#at(streamSample, (piece) => piece.streamSample <= streamSample);
  }

  /** Where a sample lies that belongs to the last piece of which that is true, or to the first one. */
  #at(streamSample: number, isBefore: (piece: Piece) => boolean): number {
    const piece = this.#pieces.findLast(isBefore) ?? this.#pieces[0];
    return piece === undefined ? streamSample : piece.position + streamSample - piece.streamSample;
  }
}
