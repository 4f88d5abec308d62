/** Test audio that carries its own ground truth: the generator. The format is in `src/emulator/coded-block.ts`. */
import { BLOCK_BYTES, BLOCK_SAMPLES, encodeBlock } from '../../src/emulator/coded-block.ts';
import { drawMs, seededRandom } from '../../src/emulator/random.ts';

interface Range {
  readonly min: number;
  readonly max: number;
}

export interface CodedAudioOptions {
  readonly utterances: number;
  /** Blocks of 20 ms in each utterance: a number, or a range to draw from. */
  readonly blocks: number | Range;
  /** Silent blocks before the first utterance and after each. */
  readonly silentBlocks: number | Range;
  /** Number of the first block; default 1. */
  readonly firstBlock?: number;
  readonly seed?: number;
}

/** Where a block is in the audio. */
export interface PlacedBlock {
  readonly number: number;
  /** Samples since the start of the audio. */
  readonly startSample: number;
  readonly endSample: number;
}

export interface CodedAudio {
  /** PCM, 16 bit little-endian, mono. */
  readonly pcm: Buffer;
  readonly blocks: readonly PlacedBlock[];
  /** The block numbers of each utterance. */
  readonly utterances: readonly (readonly number[])[];
}

/** Numbers rise by one from block to block over all utterances; a seed gives the same audio again. */
export function codedAudio(options: CodedAudioOptions): CodedAudio {
  const random = seededRandom(options.seed ?? 1);
  const draw = (count: number | Range) => (typeof count === 'number' ? count : drawMs(count, random));
  const parts: Buffer[] = [];
  const blocks: PlacedBlock[] = [];
  const utterances: number[][] = [];
  let number = options.firstBlock ?? 1;
  const silence = () => parts.push(...Array.from({ length: draw(options.silentBlocks) }, () => encodeBlock(0)));
  silence();
  for (let index = 0; index < options.utterances; index += 1) {
    const utterance: number[] = [];
    for (let left = draw(options.blocks); left > 0; left -= 1) {
      const startSample = parts.length * BLOCK_SAMPLES;
      blocks.push({ number, startSample, endSample: startSample + BLOCK_SAMPLES });
      utterance.push(number);
      parts.push(encodeBlock(number));
      number += 1;
    }
    utterances.push(utterance);
    silence();
  }
  return { pcm: Buffer.concat(parts), blocks, utterances };
}

/** Cuts audio as a client sends it; the last chunk may be shorter. The default is 100 ms at 16 kHz. */
export function* audioChunks(pcm: Buffer, bytes: number = 5 * BLOCK_BYTES): Generator<Buffer> {
  for (let at = 0; at < pcm.length; at += bytes) yield pcm.subarray(at, at + bytes);
}
