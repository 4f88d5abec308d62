import { GatewayError } from '../../errors.ts';
import { BYTES_PER_SAMPLE, SAMPLE_RATE } from '../../protocol/audio.ts';
import type { EngineStream } from '../engine.ts';
import { ResultQueue } from '../result-queue.ts';
import type { StreamReport } from './messages.ts';

/** Audio that a process may hold undecoded per stream: bounds its memory and what a crash throws away. */
const MAX_SAMPLES_IN_FLIGHT = SAMPLE_RATE;
/** Audio that waits here for the process, from a writer that does not wait for `write`. Beyond it the stream breaks. */
const MAX_SAMPLES_WAITING = 10 * SAMPLE_RATE;
/** Finals of a reader that does not read; at the usual speaking rate several minutes. */
const MAX_RESULTS_WAITING = 64;

/** What a stream needs from the process it runs on. */
export interface StreamLink {
  audio(audio: Buffer): void;
  end(): void;
  abort(): void;
  /** The stream is over, in whichever way; `brokenBy` says why, if it was neither ended nor aborted. Called once. */
  closed(brokenBy?: GatewayError): void;
  /** Audio was decoded `lagMs` milliseconds after it was given to `write`. */
  processed(lagMs: number): void;
}

interface WaitingWrite {
  readonly audio: Buffer;
  readonly resolve: () => void;
}

interface Mark {
  readonly endSample: number;
  /** `performance.now()` of the write. */
  readonly writtenAt: number;
}

/**
 * One stream, as the gateway's process sees it. States:
 * - `open`: takes audio.
 * - `ending`: `end` was called; what was written is decoded and its results are read.
 * - `closed`: over. The process knows nothing of it any more.
 */
export class LocalStream implements EngineStream {
  readonly results: ResultQueue;
  readonly #link: StreamLink;
  #state: 'open' | 'ending' | 'closed' = 'open';
  #waiting: WaitingWrite[] = [];
  #marks: Mark[] = [];
  /** Samples given to `write`, sent to the process, and decoded by it. */
  #written = 0;
  #sent = 0;
  #processed = 0;
  #endSent = false;
  readonly #opened = Promise.withResolvers<void>();
  #stalledTicks = 0;

  constructor(link: StreamLink) {
    this.#link = link;
    this.results = new ResultQueue(
      MAX_RESULTS_WAITING,
      () => this.abort(),
      () => this.#pump(),
    );
  }

  /** Resolves once the process is ready for audio, or the stream is over. */
  get opened(): Promise<void> {
    return this.#opened.promise;
  }

  write(audio: Buffer): Promise<void> {
    if (this.#state !== 'open' || audio.length === 0) return Promise.resolve();
    this.#written += audio.length / BYTES_PER_SAMPLE;
    if (this.#written - this.#sent > MAX_SAMPLES_WAITING) {
      // The writer ignores backpressure: a fault of ours, and the alternative is memory without bound.
      this.break(new GatewayError('internal', 'Audio was given to the engine faster than it takes it.'));
      return Promise.resolve();
    }
    this.#marks.push({ endSample: this.#written, writtenAt: performance.now() });
    return new Promise((resolve) => {
      this.#waiting.push({ audio, resolve });
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
      this.#link.abort();
      this.#close();
    }
    this.results.discard();
  }

  /** The process reports on this stream. */
  receive(report: StreamReport): void {
    if (this.#state === 'closed') return;
    switch (report.type) {
      case 'opened':
        this.#opened.resolve();
        break;
      case 'result':
        this.results.push(report.result);
        break;
      case 'processed':
        this.#onProcessed(report.samples);
        break;
      case 'ended':
        this.#close();
        this.results.close();
        break;
      case 'dropped':
        // The answer to an abort: a stream that is not closed is never dropped.
        break;
      case 'failed':
        this.#closeBroken(new GatewayError('engine_unavailable', 'The recogniser failed on this stream.'));
        break;
      default:
        report satisfies never;
    }
  }

  /** The stream breaks: its reader gets the results that were received, then `error`. */
  break(error: GatewayError): void {
    if (this.#state === 'closed') return;
    this.#link.abort();
    this.#closeBroken(error);
  }

  /** Age in milliseconds of the oldest audio that is not decoded yet; 0 when there is none. */
  lagMs(now: number): number {
    const [oldest] = this.#marks;
    // While the reader does not read, audio waits by intent: that says nothing about the process.
    return oldest === undefined || !this.results.hasRoom ? 0 : now - oldest.writtenAt;
  }

  /**
   * To be called regularly: how many calls in a row found the process owing an answer and making no progress. That it
   * owes the opening is not counted here, because a stream cannot tell whether it merely waits its turn.
   */
  tick(): number {
    const owesAnswer = this.#sent > this.#processed || this.#endSent;
    this.#stalledTicks = owesAnswer ? this.#stalledTicks + 1 : 0;
    return this.#stalledTicks;
  }

  /** Sends what fits, in order, and then the end. */
  #pump(): void {
    while (this.#state !== 'closed' && this.results.hasRoom) {
      const [next] = this.#waiting;
      if (next === undefined) break;
      const samples = next.audio.length / BYTES_PER_SAMPLE;
      const inFlight = this.#sent - this.#processed;
      if (inFlight > 0 && inFlight + samples > MAX_SAMPLES_IN_FLIGHT) return;
      this.#waiting.shift();
      this.#sent += samples;
      this.#link.audio(next.audio);
      next.resolve();
    }
    if (this.#state === 'ending' && this.#waiting.length === 0 && !this.#endSent) {
      this.#endSent = true;
      this.#link.end();
    }
  }

  #onProcessed(samples: number): void {
    this.#stalledTicks = 0;
    this.#processed = samples;
    let writtenAt: number | undefined;
    for (let [mark] = this.#marks; mark !== undefined && mark.endSample <= samples; [mark] = this.#marks) {
      this.#marks.shift();
      writtenAt ??= mark.writtenAt;
    }
    if (writtenAt !== undefined) this.#link.processed(performance.now() - writtenAt);
    this.#pump();
  }

  #closeBroken(error: GatewayError): void {
    this.#close(error);
    this.results.close(error);
  }

  /** The only way into `closed`. A writer that waits is let go, because the break is told by `results`. */
  #close(brokenBy?: GatewayError): void {
    this.#state = 'closed';
    this.#opened.resolve();
    this.#marks = [];
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const { resolve } of waiting) resolve();
    this.#link.closed(brokenBy);
  }
}
