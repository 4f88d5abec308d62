/**
 * Test audio that carries its own ground truth: the coded block.
 *
 * A block is 320 samples of 16 bit (20 ms at 16 kHz): a mark of 2 samples, the block's number as a little-endian u32
 * in 2 samples, noise that follows from the number, and the CRC32 of all before it in the last 2 samples. A silent
 * block is all zero. A block is heard only if it is whole: one lost sample anywhere in it breaks its checksum, and the
 * mark lets a reader find the next block at any phase.
 */
import { crc32 } from 'node:zlib';

export const BLOCK_SAMPLES = 320;
export const BLOCK_BYTES = BLOCK_SAMPLES * 2;
const MARK = Buffer.from([0x5a, 0x3c, 0xa7, 0xd1]);
const NUMBER_AT = 4;
const NOISE_AT = 8;
const CHECKSUM_AT = BLOCK_BYTES - 4;
/** Loudness of the noise: no level meter may take a block, or a part of one, for silence. */
const AMPLITUDE = 6000;

/** @param number 1 or more; 0 gives a silent block */
export function encodeBlock(number: number): Buffer {
  const block = Buffer.alloc(BLOCK_BYTES);
  if (number === 0) return block;
  MARK.copy(block);
  block.writeUInt32LE(number, NUMBER_AT);
  let state = Math.imul(number, 0x9e3779b1) | 1;
  for (let at = NOISE_AT; at < CHECKSUM_AT; at += 2) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    block.writeInt16LE((state % AMPLITUDE) | 1, at);
  }
  block.writeUInt32LE(crc32(block.subarray(0, CHECKSUM_AT)), CHECKSUM_AT);
  return block;
}

/** The number of the block that starts at `offset`, or undefined if there is no whole block. */
function decodeBlock(bytes: Buffer, offset: number): number | undefined {
  if (MARK.compare(bytes, offset, offset + MARK.length) !== 0) return undefined;
  const checksum = crc32(bytes.subarray(offset, offset + CHECKSUM_AT));
  return checksum === bytes.readUInt32LE(offset + CHECKSUM_AT) ? bytes.readUInt32LE(offset + NUMBER_AT) : undefined;
}

export type CodedPiece =
  | { readonly kind: 'block'; readonly number: number; readonly startSample: number }
  | { readonly kind: 'silence'; readonly samples: number };

/** Finds blocks in a stream of samples, at whatever phase they come. Holds less than one block between calls. */
export class BlockScanner {
  #held: Buffer = Buffer.alloc(0);
  /** Position of the first held sample in the stream. */
  #position = 0;
  #phase: number | undefined;
  blocks = 0;
  /** Samples that belong to no whole block and are not zero. */
  noiseSamples = 0;
  /** Blocks found at another phase than the one before them. */
  resyncs = 0;

  /** Takes whole samples and yields what they complete. */
  *push(audio: Buffer): Generator<CodedPiece> {
    const bytes = this.#held.length === 0 ? audio : Buffer.concat([this.#held, audio]);
    const startSample = this.#position;
    let at = 0;
    while (bytes.length - at >= BLOCK_BYTES) {
      const sample = startSample + at / 2;
      const zeros = zeroBytes(bytes, at);
      if (zeros > 0) {
        // A run of zeros that reaches the end of what is held may go on: only whole blocks of it are taken now.
        const take = at + zeros === bytes.length ? zeros - (zeros % BLOCK_BYTES) : zeros;
        yield { kind: 'silence', samples: take / 2 };
        at += take;
        continue;
      }
      const number = decodeBlock(bytes, at);
      if (number === undefined) {
        this.noiseSamples += 1;
        at += 2;
        continue;
      }
      this.#note(sample);
      yield { kind: 'block', number, startSample: sample };
      at += BLOCK_BYTES;
    }
    // Copied, so that a few bytes do not keep a whole frame in memory.
    this.#held = Buffer.from(bytes.subarray(at));
    this.#position = startSample + at / 2;
  }

  #note(sample: number): void {
    const phase = sample % BLOCK_SAMPLES;
    if (this.#phase !== undefined && this.#phase !== phase) this.resyncs += 1;
    this.#phase = phase;
    this.blocks += 1;
  }
}

/** Length in bytes of the run of zero samples at `offset`. */
function zeroBytes(bytes: Buffer, offset: number): number {
  let at = offset;
  while (at + 2 <= bytes.length && bytes[at] === 0 && bytes[at + 1] === 0) at += 2;
  return at - offset;
}
