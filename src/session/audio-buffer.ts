import { BYTES_PER_SAMPLE } from '../protocol/audio.ts';
import { isSilent } from './silence.ts';

/** Samples in a block: 200 ms at 16 kHz, long enough that a minute of audio is 300 blocks. */
const BLOCK_SAMPLES = 3_200;

interface Block {
  readonly bytes: Buffer;
  /** When its newest sample arrived, in milliseconds of the monotonic clock. */
  arrivedAt: number;
}

/** Whether a partial of the channel is open: words are pending that no final has yet. */
export type IsOpen = (channel: number) => boolean;

/** Whether the audio between the positions is known to hold no sound, louder than digital silence though it may be. */
export type IsQuiet = (from: number, to: number) => boolean;

const nothingIsQuiet: IsQuiet = () => false;

/**
 * The audio of one session between the watermark and the newest sample, addressed by position on the session's
 * timeline; a position counts samples of each channel. One structure serves both purposes: what waits for the engine
 * (cursor to head), and what must be given again if the engine's stream breaks (watermark to cursor).
 *
 *     watermark ≤ cursor ≤ head      start = first sample still held, watermark ≤ start only after an overflow
 *
 * Each channel has a watermark of its own, and the session's is the lowest. Audio of a channel before its own one is
 * given again as silence, or the words in it would be said twice.
 *
 * The caller bounds the first part by looking at `fresh` before it appends. The second is bounded here: beyond
 * `replayLimit` samples the oldest audio is forgotten, and a later `rewind` tells what is missing.
 */
export class AudioBuffer {
  readonly #replayLimit: number;
  readonly #channels: number;
  readonly #frameBytes: number;
  readonly #blocks: Block[] = [];
  /** Number of the first block held; block n holds the positions from n × BLOCK_SAMPLES. */
  #firstBlock = 0;
  #head = 0;
  #cursor = 0;
  /** The furthest that the cursor has ever been. */
  #given = 0;
  #start = 0;
  /** By channel: everything before it is covered by finals or holds no speech. */
  readonly #watermarks: number[];

  /**
   * @param replayLimit samples kept between watermark and cursor
   * @param start position of the first sample that will be appended
   */
  constructor(replayLimit: number, channels = 1, start = 0) {
    this.#replayLimit = replayLimit;
    this.#channels = channels;
    this.#frameBytes = channels * BYTES_PER_SAMPLE;
    this.#watermarks = Array.from({ length: channels }, () => start);
    this.#head = start;
    this.#cursor = start;
    this.#given = start;
    this.#start = start;
    this.#firstBlock = Math.floor(start / BLOCK_SAMPLES);
  }

  get channels(): number {
    return this.#channels;
  }

  /** Samples received so far. */
  get head(): number {
    return this.#head;
  }

  /** The next sample to give to the engine. */
  get cursor(): number {
    return this.#cursor;
  }

  /** Everything before it is covered by finals or holds no speech, in all channels. */
  get watermark(): number {
    return Math.min(...this.#watermarks);
  }

  /** Samples that wait for the engine, those that it gets again included. */
  get backlog(): number {
    return this.#head - this.#cursor;
  }

  /** Samples that no engine has been given yet: what a sender who is too fast makes grow, and a recovery does not. */
  get fresh(): number {
    return this.#head - this.#given;
  }

  /** Copies whole samples of all channels to the end. @param now milliseconds of the monotonic clock */
  append(audio: Buffer, now: number): void {
    let offset = 0;
    while (offset < audio.length) {
      const within = (this.#head % BLOCK_SAMPLES) * this.#frameBytes;
      const block = this.#blockFor(this.#head);
      const length = Math.min(block.bytes.length - within, audio.length - offset);
      audio.copy(block.bytes, within, offset, offset + length);
      block.arrivedAt = now;
      offset += length;
      this.#head += length / this.#frameBytes;
    }
  }

  /** Takes up to `maxSamples` from the cursor on, as a copy; empty when nothing waits. */
  read(maxSamples: number): Buffer {
    const from = this.#cursor;
    this.#cursor += Math.min(maxSamples, this.backlog);
    this.#given = Math.max(this.#given, this.#cursor);
    const audio = Buffer.concat([...this.#parts(from, this.#cursor)]);
    if (this.#channels > 1) this.#silenceCovered(audio, from);
    return audio;
  }

  /** Passes over samples at the cursor that no engine need be given. They stay uncovered, as those given do. */
  skip(samples: number): void {
    this.#cursor += Math.min(samples, this.backlog);
    this.#given = Math.max(this.#given, this.#cursor);
  }

  /** Forgets the audio before `position`, of one channel or all: it need not be given again. Never moves back. */
  cover(position: number, channel?: number): void {
    const to = Math.min(position, this.#cursor);
    for (let c = 0; c < this.#channels; c++) {
      if (channel === undefined || channel === c) this.#watermarks[c] = Math.max(this.#watermarks[c] ?? 0, to);
    }
    this.#dropTo(this.watermark);
  }

  /** Covers silence that begins at a channel's watermark, up to `limit`, unless words of the channel are pending. */
  coverSilence(limit: number, isOpen: IsOpen, isQuiet = nothingIsQuiet): void {
    for (let c = 0; c < this.#channels; c++) {
      for (let to = this.#blockEnd(c); to <= Math.min(limit, this.#cursor); to = this.#blockEnd(c)) {
        if (!this.#passSilence(c, to, isOpen, isQuiet)) break;
      }
    }
    this.#dropTo(this.watermark);
  }

  /**
   * Keeps the replayable part within its bound. Silence at the watermark is covered; other audio is forgotten, which
   * shows in the next `rewind`.
   */
  trim(isOpen: IsOpen, isQuiet = nothingIsQuiet): void {
    while (this.#cursor - this.#start > this.#replayLimit) {
      const to = Math.min((Math.floor(this.#start / BLOCK_SAMPLES) + 1) * BLOCK_SAMPLES, this.#cursor);
      for (let c = 0; c < this.#channels; c++) this.#passSilence(c, to, isOpen, isQuiet);
      this.#dropTo(to);
    }
  }

  /**
   * Moves the cursor back to the first sample held, for a new engine stream.
   * @returns the range that should have been given again but was forgotten, if any; the watermark passes it
   */
  rewind(): { from: number; to: number } | undefined {
    const from = this.watermark;
    this.#cursor = this.#start;
    for (let c = 0; c < this.#channels; c++) this.#watermarks[c] = Math.max(this.#watermarks[c] ?? 0, this.#start);
    return from < this.#start ? { from, to: this.#start } : undefined;
  }

  /** When the sample at `position` arrived, in milliseconds of the monotonic clock; undefined if it is not held. */
  arrivalOf(position: number): number | undefined {
    return this.#blocks[Math.floor(position / BLOCK_SAMPLES) - this.#firstBlock]?.arrivedAt;
  }

  /** True if no sample between the positions is louder than the noise of silence; false for what is not held any more. */
  isSilentBetween(from: number, to: number): boolean {
    return from >= this.#start && this.#isSilent(from, Math.min(to, this.#head));
  }

  #blockFor(position: number): Block {
    const index = Math.floor(position / BLOCK_SAMPLES) - this.#firstBlock;
    const known = this.#blocks[index];
    if (known !== undefined) return known;
    const block = { bytes: Buffer.alloc(BLOCK_SAMPLES * this.#frameBytes), arrivedAt: 0 };
    this.#blocks.push(block);
    return block;
  }

  *#parts(from: number, to: number): Generator<Buffer> {
    for (let position = from; position < to; ) {
      const block = this.#blocks[Math.floor(position / BLOCK_SAMPLES) - this.#firstBlock];
      if (block === undefined) throw new Error('audio buffer: position is not held');
      const within = position % BLOCK_SAMPLES;
      const samples = Math.min(BLOCK_SAMPLES - within, to - position);
      yield block.bytes.subarray(within * this.#frameBytes, (within + samples) * this.#frameBytes);
      position += samples;
    }
  }

  /** End of the block in which the channel's watermark lies. */
  #blockEnd(channel: number): number {
    return (Math.floor((this.#watermarks[channel] ?? 0) / BLOCK_SAMPLES) + 1) * BLOCK_SAMPLES;
  }

  /** Covers the channel up to `to` if it is silent there and nothing before was forgotten. */
  #passSilence(channel: number, to: number, isOpen: IsOpen, isQuiet: IsQuiet): boolean {
    const from = this.#watermarks[channel] ?? 0;
    if (from >= to) return true;
    if (from < this.#start || isOpen(channel)) return false;
    if (!isQuiet(from, to) && !this.#isSilent(from, to, channel)) return false;
    this.#watermarks[channel] = to;
    return true;
  }

  #isSilent(from: number, to: number, channel?: number): boolean {
    for (const part of this.#parts(from, to)) if (!isSilent(part, this.#channels, channel)) return false;
    return true;
  }

  /** Silences each channel before its own watermark in `audio`, which begins at `from`. */
  #silenceCovered(audio: Buffer, from: number): void {
    const end = from + audio.length / this.#frameBytes;
    for (const [channel, watermark] of this.#watermarks.entries()) {
      for (let position = from; position < Math.min(watermark, end); position++) {
        audio.writeInt16LE(0, (position - from) * this.#frameBytes + channel * BYTES_PER_SAMPLE);
      }
    }
  }

  #dropTo(position: number): void {
    this.#start = Math.max(this.#start, position);
    const first = Math.floor(this.#start / BLOCK_SAMPLES);
    this.#blocks.splice(0, first - this.#firstBlock);
    this.#firstBlock = first;
  }
}
