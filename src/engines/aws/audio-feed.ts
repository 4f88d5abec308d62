import type { AudioStream } from '@aws-sdk/client-transcribe-streaming';

interface WaitingAudio {
  readonly audio: Buffer;
  readonly taken: () => void;
}

/**
 * The audio of one stream, as the SDK pulls it. It is written by hand and not a generator, because the stock SDK never
 * returns its audio and goes on pulling after a break: this one is ended by `close`, and it never throws, which would
 * hang the SDK in silence.
 */
export class AudioFeed implements AsyncIterable<AudioStream> {
  readonly #onTaken: (bytes: number) => void;
  #waiting: WaitingAudio[] = [];
  #waitingBytes = 0;
  #pull: ((step: IteratorResult<AudioStream, undefined>) => void) | undefined;
  #ended = false;
  #drained = false;

  /** @param onTaken called with the length of each chunk that the SDK takes, in bytes, before its writer is let go */
  constructor(onTaken: (bytes: number) => void) {
    this.#onTaken = onTaken;
  }

  /** Bytes that the SDK has not taken yet. */
  get waitingBytes(): number {
    return this.#waitingBytes;
  }

  /** True once the SDK has been told that no more audio comes. */
  get drained(): boolean {
    return this.#drained;
  }

  /** Resolves when the SDK has taken the chunk, or never will. An empty one is not sent: it would end the stream. */
  push(audio: Buffer): Promise<void> {
    if (this.#ended || audio.length === 0) return Promise.resolve();
    return new Promise((taken) => {
      this.#waiting.push({ audio, taken });
      this.#waitingBytes += audio.length;
      this.#serve();
    });
  }

  /** No more audio comes; what waits is still to be taken. Idempotent. */
  end(): void {
    this.#ended = true;
    this.#serve();
  }

  /** Drops what waits and lets writers and the SDK go. Idempotent. */
  close(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    this.#waitingBytes = 0;
    this.end();
    for (const { taken } of waiting) taken();
  }

  [Symbol.asyncIterator](): AsyncIterator<AudioStream, undefined> {
    return {
      next: () =>
        new Promise((resolve) => {
          this.#pull = resolve;
          this.#serve();
        }),
    };
  }

  #serve(): void {
    if (this.#pull === undefined) return;
    const next = this.#waiting.shift();
    if (next === undefined && !this.#ended) return;
    const resolve = this.#pull;
    this.#pull = undefined;
    if (next === undefined) {
      this.#drained = true;
      resolve({ done: true, value: undefined });
      return;
    }
    this.#waitingBytes -= next.audio.length;
    resolve({ done: false, value: { AudioEvent: { AudioChunk: next.audio } } });
    this.#onTaken(next.audio.length);
    next.taken();
  }
}
