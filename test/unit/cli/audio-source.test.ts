import { PassThrough, Readable } from 'node:stream';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { AudioSourceError, openAudio } from '../../../src/cli/audio-source.ts';
import { SPEECH_SAMPLE_FILE } from '../../../src/speech-sample.ts';

interface WaveOptions {
  readonly tag?: number;
  readonly channels?: number;
  readonly rate?: number;
  readonly bits?: number;
  readonly dataLength?: number;
  readonly before?: Buffer;
  readonly after?: Buffer;
}

function wave(data: Buffer, options: WaveOptions = {}): Buffer {
  const { tag = 1, channels = 1, rate = 16_000, bits = 16 } = options;
  const format = Buffer.alloc(24);
  format.write('fmt ');
  format.writeUInt32LE(16, 4);
  format.writeUInt16LE(tag, 8);
  format.writeUInt16LE(channels, 10);
  format.writeUInt32LE(rate, 12);
  format.writeUInt16LE(bits, 22);
  const head = Buffer.alloc(8);
  head.write('data');
  head.writeUInt32LE(options.dataLength ?? data.length, 4);
  const none = Buffer.alloc(0);
  const riff = Buffer.from('RIFF\0\0\0\0WAVE', 'latin1');
  return Buffer.concat([riff, options.before ?? none, format, head, data, options.after ?? none]);
}

async function read(bytes: Buffer, pieces: readonly number[] = [bytes.length]) {
  const parts: Buffer[] = [];
  let at = 0;
  for (const piece of pieces) {
    parts.push(bytes.subarray(at, at + piece));
    at += piece;
  }
  parts.push(bytes.subarray(at));
  const source = await openAudio('-', Readable.from(parts.filter((part) => part.length > 0)));
  const audio: Buffer[] = [];
  for await (const piece of source.audio) {
    expect(piece.length % 2).toBe(0);
    audio.push(piece);
  }
  return { samples: source.samples, audio: Buffer.concat(audio) };
}

const AUDIO = Buffer.from(Array.from({ length: 1000 }, (_, n) => n % 251));
const LIST = Buffer.from('LIST\x05\0\0\0abcde\0', 'latin1');

describe('openAudio', () => {
  it('reads the bundled sample', async () => {
    const { samples } = await openAudio(SPEECH_SAMPLE_FILE);
    expect(samples).toBe(206_159);
  });

  it('finds the audio of a WAV among other chunks, however the bytes arrive', async () => {
    const bytes = wave(AUDIO, { before: LIST, after: LIST });
    await fc.assert(
      fc.asyncProperty(fc.array(fc.integer({ min: 1, max: 200 }), { maxLength: 30 }), async (pieces) => {
        expect(await read(bytes, pieces)).toEqual({ samples: 500, audio: AUDIO });
      }),
      { numRuns: 50 },
    );
  });

  it.each([0, 0x7fff_ffff, 0xffff_ffff])('reads a WAV of unknown length %i to its end', async (dataLength) => {
    expect(await read(wave(AUDIO, { dataLength }))).toEqual({ samples: undefined, audio: AUDIO });
  });

  it('takes anything else as raw PCM and leaves an odd last byte out', async () => {
    expect(await read(AUDIO.subarray(0, 999), [1, 3])).toEqual({ samples: undefined, audio: AUDIO.subarray(0, 998) });
    expect((await read(Buffer.alloc(0))).audio).toHaveLength(0);
  });

  it.each([
    ['stereo', wave(AUDIO, { channels: 2 }), /2 channels, 16000 Hz.*ffmpeg -i/],
    ['44.1 kHz', wave(AUDIO, { rate: 44_100 }), /44100 Hz/],
    ['8 bit', wave(AUDIO, { bits: 8 }), /8 bit/],
    ['floating point', wave(AUDIO, { tag: 3 }), /format 3/],
    ['a header alone', wave(AUDIO).subarray(0, 20), /damaged|no audio/],
    ['MP3', Buffer.from('ID3\x03 and more of it'), /MP3.*ffmpeg/],
    ['FLAC', Buffer.from('fLaC and more of it'), /FLAC/],
    ['Ogg', Buffer.from('OggS and more of it'), /Ogg/],
    ['MP4', Buffer.from('\0\0\0\x20ftypM4A and more'), /MP4/],
  ])('refuses %s and says what to do', async (_name, bytes, message) => {
    await expect(read(bytes)).rejects.toThrow(AudioSourceError);
    await expect(read(bytes)).rejects.toThrow(message);
  });

  it.each([
    ['/nowhere/at/all.wav', /no such file/],
    ['/', /directory/],
  ])('refuses %s', async (file, message) => {
    await expect(openAudio(file)).rejects.toThrow(message);
  });

  it('closes an input that stays open, and ends whoever waits for its audio', async () => {
    const stdin = new PassThrough();
    stdin.write(AUDIO);
    const source = await openAudio('-', stdin);
    const audio = source.audio[Symbol.asyncIterator]();
    await audio.next();
    const waiting = audio.next();
    source.close();
    await expect(waiting).rejects.toThrow(AudioSourceError);
    expect(stdin.destroyed).toBe(true);
    source.close();
  });

  it('closes an input that it refuses', async () => {
    const stdin = new PassThrough();
    stdin.write('fLaC and more of it');
    await expect(openAudio('-', stdin)).rejects.toThrow(/FLAC/);
    expect(stdin.destroyed).toBe(true);
  });
});
