/** A chunk of audio as it was recorded. Numbers and positions are the transcription's own, over all its sessions. */
export interface RingChunk {
  /** From 1, without holes. */
  readonly number: number;
  /** Samples before it. */
  readonly offset: number;
  /** Samples up to its end. */
  readonly end: number;
  readonly audio: Uint8Array;
  /** When it was recorded, in milliseconds. */
  readonly at: number;
}

export interface RingBounds {
  /** Most audio that is kept, in bytes. */
  readonly bytes: number;
  /** Oldest audio that is kept, in milliseconds since it was recorded. */
  readonly ageMs: number;
}

/** Samples; the end is not included. */
export interface SampleRange {
  readonly fromSample: number;
  readonly toSample: number;
}

/** An overflow makes room for a while, so that a full ring does not report each single chunk. */
const KEPT_AFTER_OVERFLOW = 0.9;
/** While the server is being told what is held, the ring may exceed its bounds by this factor. */
const PINNED_FACTOR = 2;

/** The chunks that the server has not acknowledged yet, bounded in bytes and age. */
export class AudioRing {
  readonly #bounds: RingBounds;
  readonly #frameBytes: number;
  #chunks: RingChunk[] = [];
  #bytes = 0;
  #last = 0;
  #end = 0;
  /**
   * Set while a resume names the oldest chunk and is not answered: if that chunk were dropped in the meantime, the next
   * resume would be wrong as well, and so on for ever in a full ring.
   */
  pinned = false;

  /** @param frameBytes bytes of one sample of all channels */
  constructor(bounds: RingBounds, frameBytes: number) {
    this.#bounds = bounds;
    this.#frameBytes = frameBytes;
  }

  /** Number of the last chunk recorded, 0 for none. */
  get last(): number {
    return this.#last;
  }

  /** Samples recorded. */
  get end(): number {
    return this.#end;
  }

  /** Bytes held. */
  get bytes(): number {
    return this.#bytes;
  }

  /** The first chunk held, or the one that will be recorded next. */
  get oldest(): { readonly number: number; readonly offset: number } {
    return this.#chunks[0] ?? { number: this.#last + 1, offset: this.#end };
  }

  /** Undefined if the chunk is not held any more or not recorded yet. */
  get(number: number): RingChunk | undefined {
    return this.#chunks[number - this.oldest.number];
  }

  /** @param audio whole frames; kept as they are, not copied */
  push(audio: Uint8Array, at: number): RingChunk {
    const offset = this.#end;
    this.#last += 1;
    this.#end += audio.length / this.#frameBytes;
    const chunk = { number: this.#last, offset, end: this.#end, audio, at };
    this.#chunks.push(chunk);
    this.#bytes += audio.length;
    return chunk;
  }

  /** Drops the chunks that end at or before a position. */
  forget(position: number): void {
    let count = 0;
    for (const chunk of this.#chunks) {
      if (chunk.end > position) break;
      count += 1;
    }
    this.#drop(count);
  }

  /** Drops what the bounds do not allow, and returns its range. */
  enforce(now: number): SampleRange | undefined {
    const { ageMs, bytes } = this.#bounds;
    const most = bytes * (this.pinned ? PINNED_FACTOR : 1);
    const keep = this.#bytes > most ? most * KEPT_AFTER_OVERFLOW : most;
    let left = this.#bytes;
    let count = 0;
    for (const chunk of this.#chunks) {
      const tooOld = !this.pinned && now - chunk.at > ageMs;
      // The chunk just recorded stays, however small the bound: it is about to be sent.
      if ((left <= keep && !tooOld) || chunk.number === this.#last) break;
      left -= chunk.audio.length;
      count += 1;
    }
    if (count === 0) return undefined;
    const fromSample = this.oldest.offset;
    this.#drop(count);
    return { fromSample, toSample: this.oldest.offset };
  }

  /** Forgets all before a position, to the sample: the chunk that holds it keeps its number and begins there. */
  cutTo(position: number): void {
    this.forget(position);
    const first = this.#chunks[0];
    if (first === undefined || first.offset >= position) return;
    const audio = first.audio.slice((position - first.offset) * this.#frameBytes);
    this.#bytes -= first.audio.length - audio.length;
    this.#chunks[0] = { ...first, offset: position, audio };
  }

  /** Replaces one channel by silence before a position, in copies. */
  silence(channel: number, position: number): void {
    this.#chunks = this.#chunks.map((chunk) => {
      if (chunk.offset >= position) return chunk;
      const audio = chunk.audio.slice();
      const frames = Math.min(chunk.end, position) - chunk.offset;
      for (let frame = 0; frame < frames; frame += 1) {
        audio.fill(0, frame * this.#frameBytes + channel * 2, frame * this.#frameBytes + channel * 2 + 2);
      }
      return { ...chunk, audio };
    });
  }

  #drop(count: number): void {
    for (const chunk of this.#chunks.splice(0, count)) this.#bytes -= chunk.audio.length;
  }
}
