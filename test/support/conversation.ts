/** Real speech in the shape of one side of a conversation: turns of some sentences, and pauses while the other speaks. */
import { readFileSync } from 'node:fs';
import { seededRandom } from '../../src/emulator/random.ts';
import { BYTES_PER_SAMPLE, SAMPLE_RATE } from '../../src/protocol/audio.ts';

const WAV_HEADER_BYTES = 44;

const TURNS: readonly (readonly (readonly [file: string, text: string])[])[] = [
  [
    ['librivox-0880.wav', 'he was not an ill disposed young man'],
    ['librivox-0890.wav', 'unless to be rather cold hearted and rather selfish is to be ill disposed'],
  ],
  [
    [
      'librivox-0920.wav',
      'had he married a more amiable woman he might have been made still more respectable than he was',
    ],
    ['librivox-0930.wav', 'he might even have been made amiable himself'],
  ],
  [
    ['flite-train.wav', 'the train to london leaves at seven in the morning'],
    ['flite-report.wav', 'please send the report before noon tomorrow'],
    ['goforward.raw', 'go forward ten meters'],
  ],
];

export interface Conversation {
  /** PCM, 16 kHz, mono. */
  readonly pcm: Buffer;
  readonly text: string;
  /** Share of the audio in which nobody speaks, between sentences left out. */
  readonly silentShare: number;
}

export interface ConversationOptions {
  /** Share of the whole that is pauses. */
  readonly silentShare: number;
  readonly rounds: number;
  /** Decibels by which the speech is louder than it was recorded; below 0 for soft speech. */
  readonly gain: number;
  /** Effective level of the noise of the room, in decibels of full scale. */
  readonly noise: number;
}

export function conversation({ gain, noise, rounds, silentShare }: ConversationOptions): Conversation {
  const parts: Buffer[] = [];
  const texts: string[] = [];
  let spoken = 0;
  for (let round = 0; round < rounds; round++) {
    for (const turn of TURNS) {
      const speech = Buffer.concat(turn.map(([file]) => readSpeech(file)));
      spoken += speech.length;
      // Pauses are as long as the turns before them are, in the proportion that is asked for.
      const pauseSamples = Math.round((speech.length / BYTES_PER_SAMPLE) * (silentShare / (1 - silentShare)));
      parts.push(amplified(speech, gain), Buffer.alloc(pauseSamples * BYTES_PER_SAMPLE));
      texts.push(...turn.map(([, text]) => text));
    }
  }
  const pcm = Buffer.concat(parts);
  addNoise(pcm, noise);
  return { pcm, text: texts.join(' '), silentShare: 1 - spoken / pcm.length };
}

function readSpeech(file: string): Buffer {
  const bytes = readFileSync(new URL(`../fixtures/${file}`, import.meta.url));
  return file.endsWith('.wav') ? bytes.subarray(WAV_HEADER_BYTES) : bytes;
}

function amplified(pcm: Buffer, decibels: number): Buffer {
  const factor = 10 ** (decibels / 20);
  const louder = Buffer.alloc(pcm.length);
  for (let at = 0; at + 1 < pcm.length; at += BYTES_PER_SAMPLE) write(louder, at, pcm.readInt16LE(at) * factor);
  return louder;
}

/** White, the same each time. */
function addNoise(pcm: Buffer, decibels: number): void {
  const random = seededRandom(SAMPLE_RATE);
  const peak = 32_768 * 10 ** (decibels / 20) * Math.sqrt(3);
  for (let at = 0; at + 1 < pcm.length; at += BYTES_PER_SAMPLE) {
    write(pcm, at, pcm.readInt16LE(at) + (random() * 2 - 1) * peak);
  }
}

function write(pcm: Buffer, at: number, value: number): void {
  pcm.writeInt16LE(Math.max(-32_768, Math.min(32_767, Math.round(value))), at);
}
