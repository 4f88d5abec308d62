import { type AudioFormat, msToSamples } from '../protocol/audio.ts';
import type { AudioBuffer } from './audio-buffer.ts';
import { SoundDetector } from './sound-detector.ts';

/** After a sound the engine is given so much of the pause, for it to end the utterance by. */
const HANGOVER_MS = 1_000;
/** Before a sound it is given so much, so that a soft beginning, which the detector hears late or not at all, is whole. */
const PRE_ROLL_MS = 400;

/** It cuts whole numbers of what clients send and engines are given at a time, so that both stay in step. */
const STEP_MS = 100;

/** A stretch of the session's timeline, in samples. */
interface Stretch {
  from: number;
  to: number;
}

/** What is to be done with the audio from the buffer's cursor on, in samples: first `cut`, then `give`. */
export interface Plan {
  readonly cut: number;
  readonly give: number;
  /** No more comes that belongs to it: it need not wait to become longer. */
  readonly isWhole: boolean;
  /** The cursor is in a pause of which nobody knows when it ends. */
  readonly isPause: boolean;
}

/**
 * Decides which audio of a session the engine need not be given: the middle of pauses, in which there is no sound in any
 * channel. What it decides rests on where the sounds are alone, so that a new stream is not given again what was cut
 * before, and is given everything else.
 *
 *     sound │ hangover, given │ cut │ pre-roll, given │ sound
 *
 * At the live edge nobody knows yet whether a sound follows: the last pre-roll is held back until one does, or until it
 * is too old to be one's.
 */
export class SilenceTrimmer {
  readonly #buffer: AudioBuffer;
  readonly #detector: SoundDetector;
  readonly #hangover: number;
  readonly #preRoll: number;
  readonly #step: number;
  /** Sounds that less silence parts than may be cut are one. In order; those behind the watermark are forgotten. */
  #sounds: Stretch[];
  /** Up to here it is known where sounds are. */
  #heard: number;

  constructor(buffer: AudioBuffer, format: AudioFormat) {
    this.#buffer = buffer;
    this.#detector = new SoundDetector(format);
    this.#hangover = msToSamples(HANGOVER_MS, format.sampleRate);
    this.#preRoll = msToSamples(PRE_ROLL_MS, format.sampleRate);
    this.#step = msToSamples(STEP_MS, format.sampleRate);
    this.#heard = buffer.head;
    // Whatever was before, the engine is given the beginning.
    this.#sounds = [{ from: this.#heard, to: this.#heard }];
  }

  /** Hears what is appended to the buffer, in order. */
  hear(audio: Buffer): void {
    for (const { isSound, samples } of this.#detector.hear(audio)) this.#note(samples, isSound);
    const { watermark } = this.#buffer;
    while ((this.#sounds[0]?.to ?? watermark) + this.#hangover < watermark) this.#sounds.shift();
  }

  /**
   * @param all no more audio is waited for: nothing is held back
   * @param wanted samples that the engine needs of a pause at the live edge, though it is silence
   */
  plan({ all, wanted }: { readonly all: boolean; readonly wanted: number }): Plan {
    if (all) this.#flush();
    const { cursor, head } = this.#buffer;
    const next = this.#sounds.find(({ to }) => to + this.#hangover > cursor);
    if (next !== undefined) {
      const cut = this.#steps(next.from - this.#preRoll - cursor);
      const end = next.to + this.#hangover;
      return { cut, give: Math.min(end, head) - cursor - cut, isWhole: end <= head, isPause: false };
    }
    const pause = { isWhole: true, isPause: true };
    if (all) return { cut: head - cursor, give: 0, ...pause };
    if (wanted === 0) return { cut: this.#steps(this.#heard - this.#preRoll - cursor), give: 0, ...pause };
    const give = Math.min(wanted, head - cursor);
    return { cut: 0, give, ...pause, isWhole: give === wanted };
  }

  /**
   * How many samples a session without a stream may pass over.
   * @param from all before is covered
   * @returns undefined if there is a sound behind that, so that a stream is needed
   */
  idle(from: number, all: boolean): number | undefined {
    if (all) this.#flush();
    if (this.hasSoundFrom(from)) return undefined;
    return Math.max(0, (all ? this.#buffer.head : this.#heard - this.#preRoll) - this.#buffer.cursor);
  }

  /** Whether there is a sound at or after the position. */
  hasSoundFrom(position: number): boolean {
    return (this.#sounds.at(-1)?.to ?? 0) > position;
  }

  /** Whether there is no sound between the positions; false for what has not been heard yet. */
  isQuiet(from: number, to: number): boolean {
    return to <= this.#heard && !this.#sounds.some((sound) => sound.from < to && sound.to > from);
  }

  #steps(samples: number): number {
    return Math.max(0, samples - (samples % this.#step));
  }

  #note(samples: number, isSound: boolean): void {
    const from = this.#heard;
    this.#heard += samples;
    if (!isSound) return;
    const last = this.#sounds.at(-1);
    if (last !== undefined && from - this.#preRoll <= last.to + this.#hangover) last.to = this.#heard;
    else this.#sounds.push({ from, to: this.#heard });
  }

  #flush(): void {
    const frame = this.#detector.flush();
    if (frame !== undefined) this.#note(frame.samples, frame.isSound);
  }
}
