import { channelCount, type MediaEncoding, type StreamParameters } from './parameters.ts';
import { badRequest } from './refusal.ts';

/** Bytes of one sample where the encoding fixes them; undefined where only a decoder could tell. */
const BYTES_PER_SAMPLE: Readonly<Record<MediaEncoding, number | undefined>> = {
  pcm: 2,
  'g711-alaw': 1,
  'g711-ulaw': 1,
  g729: undefined,
  flac: undefined,
  'ogg-opus': undefined,
};
/** First bytes of a container. Sources: RFC 3533 (Ogg), RFC 9639 (FLAC). */
const CONTAINER_MARK: Partial<Record<MediaEncoding, string>> = { flac: 'fLaC', 'ogg-opus': 'OggS' };

/**
 * Knows how much audio came: the position of the stream, and what is billed.
 *
 * The length of compressed audio is not in its bytes. It is taken to be sent in real time, so the time since the first
 * event stands for it: right for a live client, and the only use that is made of compressed audio here.
 */
export class AudioMeter {
  readonly #parameters: StreamParameters;
  readonly #bytesPerSample: number | undefined;
  readonly #maxEventBytes: number;
  #started: number | undefined;
  #samples = 0;
  /** Bytes of a frame of samples that an event cut in two. */
  #carry: Buffer = Buffer.alloc(0);

  constructor(parameters: StreamParameters) {
    this.#parameters = parameters;
    const bytes = BYTES_PER_SAMPLE[parameters['media-encoding']];
    this.#bytesPerSample = bytes === undefined ? undefined : bytes * channelCount(parameters);
    // The documented size: one second, counted in the bytes of uncompressed audio whatever the encoding.
    this.#maxEventBytes = parameters['sample-rate'] * 2 * channelCount(parameters);
  }

  get seconds(): number {
    return this.#samples / this.#parameters['sample-rate'];
  }

  /**
   * Takes one audio event.
   * @param now milliseconds of a monotonic clock
   * @returns the audio in whole samples of all channels, and its length in samples
   * @throws Refusal if the event is longer than a second or is not of the encoding promised
   */
  add(audio: Buffer, now: number): { audio: Buffer; samples: number } {
    if (audio.length > this.#maxEventBytes) {
      // The words of AWS, from users' reports: aws-sdk-js-v3, issue 6338.
      throw badRequest('Your stream is too big. Reduce the frame size and try your request again.');
    }
    if (this.#started === undefined) this.#checkContainer(audio);
    this.#started ??= now;
    if (this.#bytesPerSample === undefined) {
      const before = this.#samples;
      this.#samples = Math.round(((now - this.#started) * this.#parameters['sample-rate']) / 1000);
      return { audio, samples: this.#samples - before };
    }
    const bytes = this.#carry.length === 0 ? audio : Buffer.concat([this.#carry, audio]);
    const samples = Math.floor(bytes.length / this.#bytesPerSample);
    const whole = samples * this.#bytesPerSample;
    this.#carry = Buffer.from(bytes.subarray(whole));
    this.#samples += samples;
    return { audio: bytes.subarray(0, whole), samples };
  }

  #checkContainer(audio: Buffer): void {
    const mark = CONTAINER_MARK[this.#parameters['media-encoding']];
    if (mark !== undefined && !audio.subarray(0, mark.length).equals(Buffer.from(mark))) {
      throw badRequest(`The audio is not of the media encoding '${this.#parameters['media-encoding']}'.`);
    }
  }
}

/** Cuts interleaved PCM of 16 bit into one buffer a channel. */
export function splitChannels(audio: Buffer, channels: number): Buffer[] {
  if (channels === 1) return [audio];
  const frames = audio.length / (2 * channels);
  const split = Array.from({ length: channels }, () => Buffer.allocUnsafe(frames * 2));
  for (const [channel, out] of split.entries()) {
    for (let frame = 0; frame < frames; frame += 1) {
      out.writeInt16LE(audio.readInt16LE((frame * channels + channel) * 2), frame * 2);
    }
  }
  return split;
}
