import { createReadStream, open, type Stats } from 'node:fs';
import { stat } from 'node:fs/promises';
import { Socket } from 'node:net';
import type { Readable } from 'node:stream';
import { promisify } from 'node:util';
import { BYTES_PER_SAMPLE, SAMPLE_RATE } from '../protocol/audio.ts';

/** A fault of the file or the arguments that the user can mend; the message says how. */
export class AudioSourceError extends Error {
  override readonly name = 'AudioSourceError';
}

export interface AudioSource {
  /** Samples in all, where the length is known beforehand. */
  readonly samples: number | undefined;
  /** PCM, 16 bit little-endian, mono, 16 kHz, in pieces of any length; the last byte of an odd file is left out. */
  readonly audio: AsyncIterable<Buffer>;
  /**
   * Gives the input up, whoever waits for its audio. A standard input that stays open, as a microphone's does, would
   * otherwise keep the process alive after its work has ended. Idempotent.
   */
  close(): void;
}

/** A WAV header with its optional chunks ends before this, in bytes; more is not a header that we want to keep. */
const MAX_HEADER_BYTES = 1_048_576;

/** WAVE format tags: plain PCM, and the extensible form, whose sub-format begins with the plain tag. */
const FORMAT_PCM = 1;
const FORMAT_EXTENSIBLE = 0xfffe;
/** What a writer to a pipe puts where it cannot know the length. */
const UNKNOWN_LENGTHS: readonly number[] = [0, 0x7fff_ffff, 0xffff_ffff];

const CONVERT = 'Convert it with: ffmpeg -i INPUT -ar 16000 -ac 1 -f s16le -acodec pcm_s16le output.pcm';

/**
 * Opens WAV or raw PCM.
 * @param file a path, a file URL, or `-` for standard input
 * @throws AudioSourceError when it cannot be read or is of another format
 */
export async function openAudio(file: string | URL, stdin: Readable = process.stdin): Promise<AudioSource> {
  const stats = file === '-' ? undefined : await statFile(file);
  const size = stats?.isFile() ? stats.size : undefined;
  const input = file === '-' ? stdin : stats?.isFIFO() ? await openPipe(file) : createReadStream(file);
  try {
    return { ...(await findAudio(new ByteReader(input), size)), close: () => void input.destroy() };
  } catch (error) {
    input.destroy();
    throw error;
  }
}

/** @param size of the whole input in bytes, undefined when it is not known */
async function findAudio(reader: ByteReader, size: number | undefined): Promise<Omit<AudioSource, 'close'>> {
  const head = await reader.peek(12);
  if (isWave(head)) {
    const dataBytes = await skipWaveHeader(reader);
    return { samples: wholeSamples(dataBytes), audio: reader.rest(dataBytes) };
  }
  refuseOtherFormats(head);
  return { samples: wholeSamples(size), audio: reader.rest(undefined) };
}

function wholeSamples(bytes: number | undefined): number | undefined {
  return bytes === undefined ? undefined : Math.floor(bytes / BYTES_PER_SAMPLE);
}

/** A named pipe or `<(command)`: reading it as a file would block a thread, and a process waits for that on its exit. */
async function openPipe(file: string | URL): Promise<Readable> {
  return new Socket({ fd: await promisify(open)(file, 'r'), readable: true, writable: false });
}

async function statFile(file: string | URL): Promise<Stats> {
  try {
    const stats = await stat(file);
    if (!stats.isDirectory()) return stats;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new AudioSourceError(`Cannot read ${file}: ${code === 'ENOENT' ? 'there is no such file' : code}.`);
  }
  throw new AudioSourceError(`Cannot read ${file}: it is a directory.`);
}

function isWave(head: Buffer): boolean {
  return head.toString('latin1', 0, 4) === 'RIFF' && head.toString('latin1', 8, 12) === 'WAVE';
}

/** Raw PCM has no mark of its own, so the formats that people try by mistake are known by theirs. */
function refuseOtherFormats(head: Buffer): void {
  const marks: readonly (readonly [string, number, string])[] = [
    ['ID3', 0, 'MP3'],
    ['\xff\xfb', 0, 'MP3'],
    ['fLaC', 0, 'FLAC'],
    ['OggS', 0, 'Ogg'],
    ['ftyp', 4, 'MP4 or M4A'],
    ['FORM', 0, 'AIFF'],
    ['.snd', 0, 'AU'],
    ['\x1aE\xdf\xa3', 0, 'WebM or Matroska'],
    ['caff', 0, 'CAF'],
  ];
  for (const [mark, at, format] of marks) {
    if (head.toString('latin1', at, at + mark.length) === mark) {
      throw new AudioSourceError(`The file is ${format}; WAV or raw PCM is needed. ${CONVERT}`);
    }
  }
}

/**
 * Reads up to the samples.
 * @returns bytes of audio, undefined when the header does not know
 */
async function skipWaveHeader(reader: ByteReader): Promise<number | undefined> {
  await reader.take(12);
  let formatSeen = false;
  for (let read = 12; read < MAX_HEADER_BYTES; ) {
    const chunk = await reader.take(8);
    if (chunk.length < 8) break;
    const name = chunk.toString('latin1', 0, 4);
    const length = chunk.readUInt32LE(4);
    if (name === 'data' && formatSeen) return UNKNOWN_LENGTHS.includes(length) ? undefined : length;
    if (length > MAX_HEADER_BYTES) break;
    // Chunks begin at even positions.
    const body = await reader.take(length + (length % 2));
    if (name === 'fmt ') {
      checkWaveFormat(body);
      formatSeen = true;
    }
    read += 8 + body.length;
  }
  throw new AudioSourceError(`The file begins like WAV but has no audio in it. ${CONVERT}`);
}

function checkWaveFormat(body: Buffer): void {
  if (body.length < 16) throw new AudioSourceError(`The WAV header is damaged. ${CONVERT}`);
  const tag = body.readUInt16LE(0);
  const format = tag === FORMAT_EXTENSIBLE && body.length >= 26 ? body.readUInt16LE(24) : tag;
  const channels = body.readUInt16LE(2);
  const rate = body.readUInt32LE(4);
  const bits = body.readUInt16LE(14);
  if (format === FORMAT_PCM && channels === 1 && rate === SAMPLE_RATE && bits === 16) return;
  const found = `${format === FORMAT_PCM ? 'PCM' : `format ${format}`}, ${channels} channels, ${rate} Hz, ${bits} bit`;
  throw new AudioSourceError(
    `The WAV file has ${found}; PCM, 1 channel, ${SAMPLE_RATE} Hz, 16 bit is needed. ${CONVERT}`,
  );
}

/** Reads a byte stream in exact pieces first, then the rest as it comes. */
class ByteReader {
  readonly #chunks: AsyncIterator<Buffer>;
  #buffered: Buffer = Buffer.alloc(0);

  constructor(input: Readable) {
    this.#chunks = input[Symbol.asyncIterator]();
  }

  /** The next `length` bytes, fewer at the end of the input, without taking them. */
  async peek(length: number): Promise<Buffer> {
    while (this.#buffered.length < length) {
      const chunk = await this.#next();
      if (chunk === undefined) break;
      this.#buffered = Buffer.concat([this.#buffered, chunk]);
    }
    return this.#buffered.subarray(0, length);
  }

  /** The next `length` bytes, fewer at the end of the input. */
  async take(length: number): Promise<Buffer> {
    const taken = await this.peek(length);
    this.#buffered = this.#buffered.subarray(taken.length);
    return taken;
  }

  /** Up to `limit` bytes more, in pieces of whole samples. */
  async *rest(limit: number | undefined): AsyncGenerator<Buffer, void, undefined> {
    let left = limit ?? Number.POSITIVE_INFINITY;
    for (let chunk: Buffer | undefined = this.#buffered; chunk !== undefined && left > 0; chunk = await this.#next()) {
      const joined: Buffer = this.#buffered === chunk ? chunk : Buffer.concat([this.#buffered, chunk]);
      const usable = Math.min(joined.length, left);
      const whole = usable - (usable % BYTES_PER_SAMPLE);
      this.#buffered = joined.subarray(whole);
      left -= whole;
      if (whole > 0) yield joined.subarray(0, whole);
      if (left < BYTES_PER_SAMPLE) return;
    }
  }

  async #next(): Promise<Buffer | undefined> {
    try {
      const { done, value } = await this.#chunks.next();
      return done === true ? undefined : value;
    } catch (error) {
      throw new AudioSourceError(`Reading the audio failed: ${(error as NodeJS.ErrnoException).code ?? 'unknown'}.`);
    }
  }
}
