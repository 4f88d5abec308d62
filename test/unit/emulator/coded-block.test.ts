import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { BLOCK_BYTES, BLOCK_SAMPLES, BlockScanner, encodeBlock } from '../../../src/emulator/coded-block.ts';
import { audioChunks, codedAudio } from '../../support/coded-audio.ts';

function scan(
  audio: Buffer,
  chunkSamples = 1600,
): { scanner: BlockScanner; heard: [number, number][]; silent: number } {
  const scanner = new BlockScanner();
  const heard: [number, number][] = [];
  let silent = 0;
  for (const chunk of audioChunks(audio, chunkSamples * 2)) {
    for (const piece of scanner.push(chunk)) {
      if (piece.kind === 'block') heard.push([piece.number, piece.startSample]);
      else silent += piece.samples;
    }
  }
  return { scanner, heard, silent };
}

const audio = codedAudio({ utterances: 5, blocks: { min: 1, max: 20 }, silentBlocks: { min: 1, max: 9 }, seed: 5 });

describe('coded audio', () => {
  test('is the same again for the same seed and another for another', () => {
    const options = { utterances: 3, blocks: { min: 5, max: 50 }, silentBlocks: 3 };
    expect(codedAudio({ ...options, seed: 9 }).pcm.equals(codedAudio({ ...options, seed: 9 }).pcm)).toBe(true);
    expect(codedAudio({ ...options, seed: 9 }).utterances).not.toEqual(codedAudio({ ...options, seed: 10 }).utterances);
  });

  test('numbers its blocks from one on, in utterances between silences', () => {
    expect(audio.utterances.flat()).toEqual(audio.blocks.map((block) => block.number));
    expect(audio.blocks.map((block) => block.number)).toEqual(audio.blocks.map((_, index) => index + 1));
    expect(audio.pcm.subarray(0, BLOCK_BYTES).equals(Buffer.alloc(BLOCK_BYTES))).toBe(true);
  });

  test('is loud in every part of a block, so that no meter takes it for silence', () => {
    for (const number of [1, 2, 65_536, 4_000_000_000]) {
      const block = encodeBlock(number);
      for (let at = 8; at < BLOCK_BYTES - 40; at += 40) {
        const samples = Array.from({ length: 20 }, (_, index) => Math.abs(block.readInt16LE(at + index * 2)));
        expect(Math.max(...samples)).toBeGreaterThan(1000);
      }
    }
  });
});

describe('the scanner', () => {
  const all = audio.blocks.map((block): [number, number] => [block.number, block.startSample]);

  test('finds every block at its place, however the audio is cut', () => {
    for (const chunkSamples of [1, 7, 319, 320, 321, 1600, 16_000]) {
      const { heard, silent, scanner } = scan(audio.pcm, chunkSamples);
      expect(heard).toEqual(all);
      expect(silent).toBe(audio.pcm.length / 2 - all.length * BLOCK_SAMPLES);
      expect(scanner).toMatchObject({ blocks: all.length, noiseSamples: 0, resyncs: 0 });
    }
  });

  test('hears exactly the whole blocks when any samples are cut out or put in', () => {
    const samples = audio.pcm.length / 2;
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: samples }),
        fc.integer({ min: 0, max: 2000 }),
        fc.boolean(),
        fc.integer({ min: 1, max: 4000 }),
        (at, length, cutsOut, chunkSamples) => {
          const edge = cutsOut ? Math.min(samples, at + length) : at;
          const added = cutsOut ? 0 : length;
          const torn = Buffer.concat([
            audio.pcm.subarray(0, at * 2),
            Buffer.alloc(added * 2),
            audio.pcm.subarray(edge * 2),
          ]);
          const whole = audio.blocks.flatMap((block): [number, number][] => {
            if (block.endSample <= at) return [[block.number, block.startSample]];
            return block.startSample >= edge ? [[block.number, block.startSample - edge + at + added]] : [];
          });
          // A cut of nothing leaves the block around it whole.
          if (edge === at && added === 0) expect(scan(torn, chunkSamples).heard).toEqual(all);
          else expect(scan(torn, chunkSamples).heard).toEqual(whole);
        },
      ),
    );
  });

  test('counts what is no block, and finds the phase again', () => {
    const torn = Buffer.concat([encodeBlock(1), encodeBlock(70_001).subarray(0, 200), encodeBlock(3)]);
    const { heard, scanner } = scan(torn);
    expect(heard).toEqual([
      [1, 0],
      [3, 420],
    ]);
    expect(scanner).toMatchObject({ noiseSamples: 100, resyncs: 1 });
  });

  test('does not hear a block with one sample changed', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 1e9 }), fc.nat(BLOCK_SAMPLES - 1), (number, sample) => {
        const block = encodeBlock(number);
        block.writeInt16LE(~block.readInt16LE(sample * 2), sample * 2);
        expect(scan(Buffer.concat([block, encodeBlock(0)])).heard).toEqual([]);
      }),
    );
  });
});
