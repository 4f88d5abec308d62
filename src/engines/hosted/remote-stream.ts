import { GatewayError } from '../../errors.ts';
import { BYTES_PER_SAMPLE } from '../../protocol/audio.ts';
import type { EngineStream, EngineStreamOptions } from '../engine.ts';
import { ResultQueue } from '../result-queue.ts';
import type { FromHost, ToHost } from './messages.ts';
import { fromSentError } from './sent-error.ts';

/** Of a writer that does not wait for `write`: audio that the engine has not taken yet. Beyond either the stream breaks. */
const MAX_SECONDS_UNTAKEN = 10;
const MAX_WRITES_UNTAKEN = 1_000;
/** Finals of a reader that does not read; at the usual speaking rate several minutes. */
const MAX_RESULTS_WAITING = 64;

/** What a stream needs from the connection. */
export interface RemoteLink {
  send(message: ToHost): void;
  /** The stream is over, in whichever way. Called once. */
  closed(): void;
}

interface Write {
  readonly audio: Buffer;
  readonly resolve: () => void;
}

/** What the host says about one stream. */
export type StreamMessage = Exclude<FromHost, { type: 'hello' | 'room' }>;

/**
 * One stream of an engine in another process. States:
 * - `opening`: the host has not answered.
 * - `open`: takes audio.
 * - `ending`: `end` was called; what was written is sent, and results are read.
 * - `closed`: over. The host knows nothing of it any more, or is about to hear that.
 */
export class RemoteStream implements EngineStream {
  readonly results: ResultQueue;
  readonly #id: number;
  readonly #link: RemoteLink;
  readonly #maxBytesUntaken: number;
  readonly #opened = Promise.withResolvers<void>();
  #state: 'opening' | 'open' | 'ending' | 'closed' = 'opening';
  /** Writes that were not sent, because the reader does not read. */
  #unsent: Write[] = [];
  /** Writes that the engine has not taken. */
  #untaken: Write[] = [];
  #bytesUntaken = 0;
  #endSent = false;

  constructor(id: number, { channels, sampleRate }: EngineStreamOptions, link: RemoteLink) {
    this.#id = id;
    this.#link = link;
    this.#maxBytesUntaken = MAX_SECONDS_UNTAKEN * sampleRate * channels * BYTES_PER_SAMPLE;
    this.results = new ResultQueue(
      MAX_RESULTS_WAITING,
      () => this.abort(),
      () => this.#pump(),
    );
  }

  /** Resolves once the engine has opened the stream; rejects with a `GatewayError` if it does not. */
  get opened(): Promise<void> {
    return this.#opened.promise;
  }

  write(audio: Buffer): Promise<void> {
    if (this.#state !== 'open' || audio.length === 0) return Promise.resolve();
    this.#bytesUntaken += audio.length;
    const writes = this.#unsent.length + this.#untaken.length;
    if (this.#bytesUntaken > this.#maxBytesUntaken || writes >= MAX_WRITES_UNTAKEN) {
      // The writer ignores backpressure: a fault of ours, and the alternative is memory without bound.
      this.#link.send({ type: 'abort', stream: this.#id });
      this.fail(new GatewayError('internal', 'Audio was given to the engine faster than it takes it.'));
      return Promise.resolve();
    }
    return new Promise((resolve) => {
      this.#unsent.push({ audio, resolve });
      this.#pump();
    });
  }

  end(): void {
    if (this.#state !== 'open') return;
    this.#state = 'ending';
    this.#pump();
  }

  abort(): void {
    if (this.#state !== 'closed') {
      this.#link.send({ type: 'abort', stream: this.#id });
      this.#close();
    }
    this.results.discard();
  }

  receive(message: StreamMessage): void {
    if (this.#state === 'closed') return;
    switch (message.type) {
      case 'opened':
        this.#state = 'open';
        this.#opened.resolve();
        break;
      case 'taken':
        this.#takenNext();
        break;
      case 'result':
        this.results.push(message.result);
        break;
      case 'ended':
        this.#close();
        this.results.close();
        break;
      case 'failed':
        this.fail(fromSentError(message.error));
        break;
      default:
        message satisfies never;
    }
  }

  /** The stream breaks, or is refused: its reader gets the results that were received, then `error`. */
  fail(error: GatewayError): void {
    if (this.#state === 'closed') return;
    this.#close(error);
    this.results.close(error);
  }

  /** Sends what is there, in order, and then the end; nothing while the reader does not read, which bounds the results. */
  #pump(): void {
    while (this.results.hasRoom) {
      const write = this.#unsent.shift();
      if (write === undefined) break;
      this.#untaken.push(write);
      this.#link.send({ type: 'audio', stream: this.#id, audio: write.audio });
    }
    if (this.#state === 'ending' && this.#unsent.length === 0 && !this.#endSent) {
      this.#endSent = true;
      this.#link.send({ type: 'end', stream: this.#id });
    }
  }

  #takenNext(): void {
    const write = this.#untaken.shift();
    if (write === undefined) return;
    this.#bytesUntaken -= write.audio.length;
    write.resolve();
  }

  /** The only way into `closed`. A writer that waits is let go, because the break is told by `results`. */
  #close(error?: GatewayError): void {
    const wasOpening = this.#state === 'opening';
    this.#state = 'closed';
    if (wasOpening) this.#opened.reject(error ?? new GatewayError('engine_unavailable', 'The stream was given up.'));
    const waiting = [...this.#untaken, ...this.#unsent];
    this.#untaken = [];
    this.#unsent = [];
    for (const { resolve } of waiting) resolve();
    this.#link.closed();
  }
}
