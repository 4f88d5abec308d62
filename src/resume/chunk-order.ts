import { GatewayError } from '../errors.ts';
import type { Watermark } from '../store/store.ts';

/** Where the session's audio continues. */
export interface ChunkPosition {
  /** Number of the next chunk. */
  readonly chunk: number;
  /** Position at which it begins, in samples. */
  readonly offset: number;
}

/**
 * The order of a session's chunks. A client that numbers them may send one twice, after a lost answer or a resume, and
 * may find one missing; each is taken once, in order.
 */
export class ChunkOrder {
  #next: ChunkPosition;
  /** A gap was told, and the chunk is still missing: later ones are dropped quietly. */
  #gapTold = false;
  /** Ends of the chunks that are not covered yet, by number, from `#firstEnd` on. */
  readonly #ends: number[] = [];
  #firstEnd: number;
  /** Of the last chunk that is covered. */
  #covered: ChunkPosition;

  /** @param next where the audio continues; 1 at 0 for a new session */
  constructor(next: ChunkPosition) {
    this.#next = next;
    this.#firstEnd = next.chunk;
    this.#covered = { chunk: next.chunk - 1, offset: next.offset };
  }

  get next(): ChunkPosition {
    return this.#next;
  }

  /**
   * What to do with a chunk.
   * @param seq its number; undefined from a client that does not number them
   * @returns false if it is to be dropped
   * @throws GatewayError `chunk_gap` once for each gap
   */
  accepts(seq: number | undefined): boolean {
    if (seq === undefined || seq === this.#next.chunk) return true;
    if (seq < this.#next.chunk || this.#gapTold) return false;
    this.#gapTold = true;
    throw this.#gap(`chunk ${seq} came where ${this.#next.chunk} was expected`);
  }

  /** The next chunk was taken, or is used up without any samples because it was bad. */
  taken(samples: number): void {
    this.#gapTold = false;
    this.#next = { chunk: this.#next.chunk + 1, offset: this.#next.offset + samples };
    this.#ends.push(this.#next.offset);
  }

  /** @throws GatewayError `chunk_gap` if a chunk up to `last` is missing: too early to stop */
  assertComplete(last: number | undefined): void {
    if (last !== undefined && last >= this.#next.chunk)
      throw this.#gap(`chunk ${this.#next.chunk} is missing before the stop`);
  }

  /** The watermark at a position: never moves back. @param offset everything before it is covered, in samples */
  watermarkAt(offset: number): Watermark {
    for (let end = this.#ends[0]; end !== undefined && end <= offset; end = this.#ends[0]) {
      this.#covered = { chunk: this.#firstEnd, offset: end };
      this.#firstEnd++;
      this.#ends.shift();
    }
    return { offset, chunk: this.#covered.chunk, chunkEnd: this.#covered.offset };
  }

  #gap(what: string): GatewayError {
    return new GatewayError('chunk_gap', `audio_chunk: ${what}.`, { expected: this.#next.chunk });
  }
}
