import { BYTES_PER_SAMPLE } from '../protocol/audio.ts';

/** Samples in a block: 200 ms at 16 kHz, long enough that a minute of audio is 300 blocks. */
const BLOCK_SAMPLES = 3_200;
const BLOCK_BYTES = BLOCK_SAMPLES * BYTES_PER_SAMPLE;

/**
 * Blocks quieter than this hold no speech that an engine could hear: −60 dB of full scale, near the noise of a muted
 * microphone's converter and far under breath noise.
 */
const SILENCE_PEAK = 33;

interface Block {
  readonly bytes: Buffer;
  /** When its newest sample arrived, in milliseconds of the monotonic clock. */
  arrivedAt: number;
}

/**
 * The audio of one session between the watermark and the newest sample, addressed by position on the session's
 * timeline. One structure serves both purposes: what waits for the engine (cursor to head), and what must be given
 * again if the engine's stream breaks (watermark to cursor).
 *
 *     watermark ≤ cursor ≤ head      start = first sample still held, watermark ≤ start only after an overflow
 *
 * The caller bounds the first part by looking at `fresh` before it appends. The second is bounded here: beyond
 * `replayLimit` samples the oldest audio is forgotten, and a later `rewind` tells what is missing.
 */
export class AudioBuffer {
  readonly #replayLimit: number;
  readonly #blocks: Block[] = [];
  /** Number of the first block held; block n holds the positions from n × BLOCK_SAMPLES. */
  #firstBlock = 0;
  #head = 0;
  #cursor = 0;
  /** The furthest that the cursor has ever been. */
  #given = 0;
  #start = 0;
  #watermark = 0;

  /** @param replayLimit samples kept between watermark and cursor */
  constructor(replayLimit: number) {
    this.#replayLimit = replayLimit;
  }

  /** Samples received so far. */
  get head(): number {
    return this.#head;
  }

  /** The next sample to give to the engine. */
  get cursor(): number {
    return this.#cursor;
  }

  /** Everything before it is covered by finals or is silence. */
  get watermark(): number {
    return this.#watermark;
  }

  /** Samples that wait for the engine, those that it gets again included. */
  get backlog(): number {
    return this.#head - this.#cursor;
  }

  /** Samples that no engine has been given yet: what a sender who is too fast makes grow, and a recovery does not. */
  get fresh(): number {
    return this.#head - this.#given;
  }

  /** Copies whole samples to the end. @param now milliseconds of the monotonic clock */
  append(audio: Buffer, now: number): void {
    let offset = 0;
    while (offset < audio.length) {
      const within = (this.#head % BLOCK_SAMPLES) * BYTES_PER_SAMPLE;
      const block = this.#blockFor(this.#head);
      const length = Math.min(BLOCK_BYTES - within, audio.length - offset);
      audio.copy(block.bytes, within, offset, offset + length);
      block.arrivedAt = now;
      offset += length;
      this.#head += length / BYTES_PER_SAMPLE;
    }
  }

  /** Takes up to `maxSamples` from the cursor on, as a copy; empty when nothing waits. */
  read(maxSamples: number): Buffer {
    const samples = Math.min(maxSamples, this.backlog);
    const audio = this.#copy(this.#cursor, this.#cursor + samples);
    this.#cursor += samples;
    this.#given = Math.max(this.#given, this.#cursor);
    return audio;
  }

  /**
   * Forgets the audio before `position`, because a final covers it. Never moves back, never passes the cursor.
   */
  advanceWatermark(position: number): void {
    const to = Math.min(position, this.#cursor);
    if (to <= this.#watermark) return;
    this.#watermark = to;
    this.#start = Math.max(this.#start, to);
    this.#dropBlocksBefore(this.#start);
  }

  /**
   * Keeps the replayable part within its bound. Silence at the watermark is passed over for good unless `partialOpen`
   * says that words are pending; other audio is forgotten, which shows in the next `rewind`.
   */
  trim(partialOpen: boolean): void {
    while (this.#cursor - this.#start > this.#replayLimit) {
      const to = Math.min((Math.floor(this.#start / BLOCK_SAMPLES) + 1) * BLOCK_SAMPLES, this.#cursor);
      const silent = !partialOpen && this.#watermark === this.#start && this.#isSilent(this.#start, to);
      this.#start = to;
      if (silent) this.#watermark = to;
      this.#dropBlocksBefore(to);
    }
  }

  /**
   * Moves the cursor back to the first sample held, for a new engine stream.
   * @returns the range that should have been given again but was forgotten, if any; the watermark passes it
   */
  rewind(): { from: number; to: number } | undefined {
    const from = this.#watermark;
    this.#cursor = this.#start;
    this.#watermark = this.#start;
    return from < this.#start ? { from, to: this.#start } : undefined;
  }

  /** When the sample at `position` arrived, in milliseconds of the monotonic clock; undefined if it is not held. */
  arrivalOf(position: number): number | undefined {
    return this.#blocks[Math.floor(position / BLOCK_SAMPLES) - this.#firstBlock]?.arrivedAt;
  }

  /** True if no sample between the positions, as far as they are held, is louder than the noise of silence. */
  isSilentBetween(from: number, to: number): boolean {
    return this.#isSilent(Math.max(from, this.#start), Math.min(to, this.#head));
  }

  #blockFor(position: number): Block {
    const index = Math.floor(position / BLOCK_SAMPLES) - this.#firstBlock;
    const known = this.#blocks[index];
    if (known !== undefined) return known;
    const block = { bytes: Buffer.alloc(BLOCK_BYTES), arrivedAt: 0 };
    this.#blocks.push(block);
    return block;
  }

  *#parts(from: number, to: number): Generator<Buffer> {
    for (let position = from; position < to; ) {
      const block = this.#blocks[Math.floor(position / BLOCK_SAMPLES) - this.#firstBlock];
      if (block === undefined) throw new Error('audio buffer: position is not held');
      const within = position % BLOCK_SAMPLES;
      const samples = Math.min(BLOCK_SAMPLES - within, to - position);
      yield block.bytes.subarray(within * BYTES_PER_SAMPLE, (within + samples) * BYTES_PER_SAMPLE);
      position += samples;
    }
  }

  #copy(from: number, to: number): Buffer {
    return Buffer.concat([...this.#parts(from, to)]);
  }

  #isSilent(from: number, to: number): boolean {
    for (const part of this.#parts(from, to)) {
      for (let i = 0; i < part.length; i += BYTES_PER_SAMPLE) {
        if (Math.abs(part.readInt16LE(i)) > SILENCE_PEAK) return false;
      }
    }
    return true;
  }

  #dropBlocksBefore(position: number): void {
    const first = Math.floor(position / BLOCK_SAMPLES);
    this.#blocks.splice(0, first - this.#firstBlock);
    this.#firstBlock = first;
  }
}
