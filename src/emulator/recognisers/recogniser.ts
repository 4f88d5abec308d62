/** What the emulator needs from a recogniser: one channel of audio in, words with positions out. */
import type { StreamParameters } from '../parameters.ts';

export interface HeardWord {
  readonly content: string;
  readonly type: 'word' | 'punctuation';
  /** Samples since the start of the stream. */
  readonly startSample: number;
  readonly endSample: number;
  /** 0 to 1. */
  readonly confidence?: number;
}

/** Partials share their `resultId` with the final that replaces them; finals come in order. */
export interface Heard {
  readonly resultId: string;
  readonly isPartial: boolean;
  readonly startSample: number;
  readonly endSample: number;
  readonly words: readonly HeardWord[];
}

/** Where a recogniser says what it heard. Nothing is said after `done` or `failed`, or after `abort`. */
export interface HearingSink {
  heard(result: Heard): void;
  /** All was said after the end of the audio. */
  done(): void;
  /** @param error a `Refusal`, or whatever broke */
  failed(error: unknown): void;
}

export interface RecogniserStream {
  /**
   * Takes audio of one channel; a promise asks for a pause until it is resolved. It never rejects.
   * @param samples length of the audio; an estimate where the encoding does not tell
   */
  write(audio: Buffer, samples: number): Promise<void> | undefined;
  end(): void;
  /** Drops everything; idempotent. */
  abort(): void;
  /** Counts for the admin API. */
  stats(): Readonly<Record<string, number>>;
}

export interface HearingRequest {
  readonly sampleRate: number;
  readonly languageCode: string;
}

export interface Recogniser {
  /**
   * Refuses what this recogniser cannot hear.
   * @throws Refusal
   */
  check(parameters: StreamParameters): void;
  open(request: HearingRequest, sink: HearingSink): RecogniserStream;
}
