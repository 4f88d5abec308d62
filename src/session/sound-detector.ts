import { type AudioFormat, BYTES_PER_SAMPLE, frameBytes, msToSamples } from '../protocol/audio.ts';

/** Audio is judged in pieces of this length: shorter than any sound of speech. */
const FRAME_MS = 20;
/** Above the floor by so much a sound begins, and by less it goes on, so that the soft end of a word still belongs to it. */
const ONSET_DB = 6;
const RELEASE_DB = 3;
/**
 * The floor is the quietest that it has been for so long. Whoever speaks pauses for breath and between syllables within
 * it, so that speech, however soft and long, is never its own floor.
 */
const FLOOR_WINDOW_MS = 8_000;
/** Parts of the window, the oldest of which is forgotten at a time. */
const FLOOR_SLOTS = 16;
/**
 * Bounds of the floor, in decibels of full scale. With the lower one, what is under −60 dB is never a sound; with the
 * upper one, what is over −39 dB always is, for that loud no noise can be told from speech by its level.
 */
const LOWEST_FLOOR_DB = -66;
const HIGHEST_FLOOR_DB = -45;

const FULL_SCALE = 32_768;

/**
 * Tells sounds from silence by their level above the noise of the room, which it learns: an energy floor with hysteresis.
 * Until it has heard a whole window it takes everything above −60 dB for a sound. It errs on that side, because what it
 * calls silence may never be heard by anybody.
 *
 * It is our own because the detectors that are kept and have no native code are models that need a runtime of many
 * megabytes and a fraction of a core for each session, or know only some of the sample rates that sessions may have.
 */
export class SoundDetector {
  /** Samples in a frame. */
  readonly #frame: number;
  readonly #frameBytes: number;
  readonly #channels: readonly Channel[];
  /** Samples of the frame under way. */
  #samples = 0;

  constructor(format: AudioFormat) {
    this.#frame = msToSamples(FRAME_MS, format.sampleRate);
    this.#frameBytes = frameBytes(format);
    this.#channels = Array.from({ length: format.channels }, () => new Channel());
  }

  /**
   * Takes audio of any length, whole samples of all channels.
   * @returns for each frame that it completes, in order: its length in samples, and whether there is a sound in a channel
   */
  hear(audio: Buffer): Frame[] {
    const frames: Frame[] = [];
    for (let at = 0; at < audio.length; ) {
      const end = Math.min(audio.length, at + (this.#frame - this.#samples) * this.#frameBytes);
      for (const [index, channel] of this.#channels.entries()) {
        channel.add(audio, at + index * BYTES_PER_SAMPLE, end, this.#frameBytes);
      }
      this.#samples += (end - at) / this.#frameBytes;
      if (this.#samples === this.#frame) frames.push(this.#judge());
      at = end;
    }
    return frames;
  }

  /** Judges what is there of a frame, because no more may come; undefined if nothing is. */
  flush(): Frame | undefined {
    return this.#samples === 0 ? undefined : this.#judge();
  }

  #judge(): Frame {
    const samples = this.#samples;
    this.#samples = 0;
    // All of them, for each has a floor to learn.
    const sounds = this.#channels.map((channel) => channel.judge(samples));
    return { samples, isSound: sounds.includes(true) };
  }
}

export interface Frame {
  readonly samples: number;
  readonly isSound: boolean;
}

class Channel {
  #sum = 0;
  #squares = 0;
  #isSound = false;
  /** Of the frame before. */
  #power = 0;
  /** The lowest levels of the last parts of the window, the present one last. */
  #minima = new Array<number>(FLOOR_SLOTS).fill(LOWEST_FLOOR_DB);
  #framesInSlot = 0;

  /** Adds the samples that begin between two places in the audio, so many bytes apart. */
  add(audio: Buffer, from: number, end: number, step: number): void {
    let sum = 0;
    let squares = 0;
    for (let at = from; at < end; at += step) {
      const sample = audio.readInt16LE(at);
      sum += sample;
      squares += sample * sample;
    }
    this.#sum += sum;
    this.#squares += squares;
  }

  judge(samples: number): boolean {
    // Without the constant part, which cheap converters add and nobody hears.
    const mean = this.#sum / samples;
    const power = Math.max(0, this.#squares / samples - mean * mean) / FULL_SCALE ** 2;
    this.#sum = 0;
    this.#squares = 0;
    // Single frames of noise vary by chance, and three are longer than the pause between two syllables.
    this.#learn(decibels((power + this.#power) / 2));
    this.#power = power;
    const floor = Math.min(HIGHEST_FLOOR_DB, Math.max(LOWEST_FLOOR_DB, Math.min(...this.#minima)));
    this.#isSound = decibels(power) > floor + (this.#isSound ? RELEASE_DB : ONSET_DB);
    return this.#isSound;
  }

  #learn(level: number): void {
    if (this.#framesInSlot === FLOOR_WINDOW_MS / FLOOR_SLOTS / FRAME_MS) {
      this.#minima.shift();
      this.#minima.push(Number.POSITIVE_INFINITY);
      this.#framesInSlot = 0;
    }
    this.#framesInSlot++;
    const last = this.#minima.length - 1;
    this.#minima[last] = Math.min(this.#minima[last] ?? level, level);
  }
}

function decibels(power: number): number {
  return power === 0 ? Number.NEGATIVE_INFINITY : 10 * Math.log10(power);
}
