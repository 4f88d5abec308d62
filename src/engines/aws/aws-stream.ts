import {
  StartStreamTranscriptionCommand,
  type TranscribeStreamingClient,
  type TranscriptResultStream,
} from '@aws-sdk/client-transcribe-streaming';
import { GatewayError } from '../../errors.ts';
import { BYTES_PER_SAMPLE } from '../../protocol/audio.ts';
import type { StartRequest } from '../../protocol/start-request.ts';
import type { EngineStream } from '../engine.ts';
import { ResultQueue } from '../result-queue.ts';
import { AudioFeed } from './audio-feed.ts';
import type { TranscriptionParameters } from './command-input.ts';
import { AwsFailure, toFailure } from './failures.ts';
import { ResponseWatch } from './response-watch.ts';
import { ResultReader } from './result-reader.ts';

/** Audio that waits here for the SDK, from a writer that does not wait for `write`. Beyond it the stream breaks. */
const MAX_WAITING_SECONDS = 10;
/** Finals of a reader that does not read, before nothing is read from the connection either. */
const MAX_RESULTS_WAITING = 64;
/**
 * AWS accepts a stream that is over its quota and refuses it in the first frame, right behind the headers. A refusal
 * that comes within this time makes `open` fail, so that the pool can try its next entry; audio waits no longer for it.
 */
const REFUSAL_GRACE_MS = 50;

/** Bounds of a stream, in milliseconds. */
export interface StreamTimeouts {
  /** From the request to the headers of the answer, credentials and connection included. */
  readonly startMs: number;
  /** The service may leave audio that waits for it untouched for so long. */
  readonly stallMs: number;
  /** After the end of the audio the service may say nothing for so long. */
  readonly drainMs: number;
}

export interface AwsStreamOptions {
  readonly client: TranscribeStreamingClient;
  readonly request: StartRequest;
  readonly parameters: TranscriptionParameters;
  readonly timeouts: StreamTimeouts;
  /** The service recognised something. An answer without words proves little: the first comes before any audio is heard. */
  readonly onWords: () => void;
  /**
   * The stream is over; called once. A failure is given if it broke after `open` had resolved.
   * @param isComplete it gave all that it owed
   */
  readonly onClosed: (broken: AwsFailure | undefined, isComplete: boolean) => void;
}

/**
 * One stream of Amazon Transcribe on a connection of its own. States:
 * - `opening`: the request is sent; `open` waits.
 * - `open`: takes audio.
 * - `ending`: `end` was called; what was written is sent and its results are read.
 * - `closed`: over, the connection is let go. `#close` is the only way into it.
 */
export class AwsStream implements EngineStream {
  readonly results: ResultQueue;
  readonly #options: AwsStreamOptions;
  readonly #reader: ResultReader;
  readonly #feed: AudioFeed;
  readonly #command: StartStreamTranscriptionCommand;
  readonly #watch: ResponseWatch;
  readonly #aborted = new AbortController();
  readonly #opened = Promise.withResolvers<void>();
  #state: 'opening' | 'open' | 'ending' | 'closed' = 'opening';
  #failure: AwsFailure | undefined;
  #takenBytes = 0;
  #timer: NodeJS.Timeout | undefined;
  /** Resolved when the reader has made room. */
  #room = Promise.withResolvers<void>();

  constructor(options: AwsStreamOptions) {
    this.#options = options;
    this.#reader = new ResultReader(options.request);
    this.results = new ResultQueue(
      MAX_RESULTS_WAITING,
      () => this.abort(),
      () => this.#resume(),
    );
    this.#feed = new AudioFeed((bytes) => {
      this.#takenBytes += bytes;
      this.#expectProgress();
    });
    this.#command = new StartStreamTranscriptionCommand({ ...options.parameters, AudioStream: this.#feed });
    this.#watch = new ResponseWatch(this.#command, () => {
      if (this.#state === 'opening') this.#startTimer(REFUSAL_GRACE_MS, () => this.#opened.resolve());
    });
  }

  /**
   * Sends the request; call it once. Resolves when the service has accepted the stream.
   * @throws AwsFailure why it did not; the signal's reason when that was aborted
   */
  async open(signal: AbortSignal): Promise<void> {
    const onAbort = () => this.abort();
    signal.addEventListener('abort', onAbort, { once: true });
    this.#startTimer(this.#options.timeouts.startMs, () => this.#break(new AwsFailure('start_timeout')));
    void this.#run();
    await this.#opened.promise;
    signal.removeEventListener('abort', onAbort);
    signal.throwIfAborted();
    if (this.#failure !== undefined) throw this.#failure;
    if (this.#state === 'closed') throw new AwsFailure('ended_early');
    this.#state = 'open';
    this.#expectProgress();
  }

  write(audio: Buffer): Promise<void> {
    if (this.#state !== 'open') return Promise.resolve();
    const { sampleRate, channels } = this.#options.request;
    const limit = MAX_WAITING_SECONDS * sampleRate * channels * BYTES_PER_SAMPLE;
    if (this.#feed.waitingBytes + audio.length > limit) {
      // The writer ignores backpressure: a fault of ours, and the alternative is memory without bound.
      this.#close();
      this.results.close(new GatewayError('internal', 'Audio was given to the engine faster than it takes it.'));
      return Promise.resolve();
    }
    const taken = this.#feed.push(audio);
    if (this.#timer === undefined) this.#expectProgress();
    return taken;
  }

  end(): void {
    if (this.#state !== 'open') return;
    this.#state = 'ending';
    this.#feed.end();
    this.#expectProgress();
  }

  abort(): void {
    this.#close();
    this.results.discard();
  }

  /** Sends, reads the results to their end, and says how they ended. Never rejects. */
  async #run(): Promise<void> {
    const { client } = this.#options;
    try {
      const { TranscriptResultStream: events } = await client.send(this.#command, {
        abortSignal: this.#aborted.signal,
      });
      for await (const event of events ?? []) {
        this.#receive(event);
        while (!this.results.hasRoom && this.#state !== 'closed') await this.#room.promise;
        // Leaving the loop stops nothing in the stock path; `#close` has aborted the request.
        if (this.#state === 'closed') return;
      }
      this.#responseEnded();
    } catch (error) {
      this.#break(toFailure(error));
    }
  }

  #receive(event: TranscriptResultStream): void {
    if (this.#state === 'closed') return;
    if (event.TranscriptEvent !== undefined) {
      for (const result of this.#reader.read(event.TranscriptEvent, this.#given())) {
        this.results.push(result);
        if (result.text !== '') this.#options.onWords();
      }
    }
    this.#opened.resolve();
    this.#expectProgress();
  }

  #given() {
    const { channels } = this.#options.request;
    const samples = (bytes: number) => Math.floor(Math.max(0, bytes) / (BYTES_PER_SAMPLE * channels));
    return { taken: samples(this.#takenBytes), sent: samples(this.#takenBytes - this.#watch.unsentBytes) };
  }

  #responseEnded(): void {
    const { resetCode } = this.#watch;
    if (resetCode) this.#break(new AwsFailure('broken', new Error(`reset with HTTP/2 error code ${resetCode}`)));
    else if (this.#state === 'ending' && this.#feed.drained) {
      this.#close(true);
      this.results.close();
    } else this.#break(new AwsFailure('ended_early'));
  }

  /** The reader has made room. */
  #resume(): void {
    this.#room.resolve();
    this.#room = Promise.withResolvers();
    this.#expectProgress();
  }

  /**
   * Something happened: the service has its time anew for what it owes, if it owes anything. While the reader has no
   * room nothing is read, and nothing can be expected.
   */
  #expectProgress(): void {
    if (this.#state !== 'open' && this.#state !== 'ending') return;
    this.#stopTimer();
    if (!this.results.hasRoom) return;
    const { stallMs, drainMs } = this.#options.timeouts;
    if (this.#state === 'ending') this.#startTimer(drainMs, () => this.#break(new AwsFailure('drain_timeout')));
    else if (this.#feed.waitingBytes > 0) this.#startTimer(stallMs, () => this.#break(new AwsFailure('stalled')));
  }

  /** The stream has one timer: what it waits for depends on its state. */
  #startTimer(ms: number, onTime: () => void): void {
    this.#stopTimer();
    this.#timer = setTimeout(onTime, ms);
  }

  #stopTimer(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  /** The stream breaks: its reader gets the results that were received, then the failure. */
  #break(failure: AwsFailure): void {
    if (this.#state === 'closed') return;
    this.#failure = failure;
    this.#close();
    this.results.close(failure);
  }

  /** The only way into `closed`. A writer that waits is let go, because the break is told by `results`. */
  #close(isComplete = false): void {
    if (this.#state === 'closed') return;
    const wasOpen = this.#state !== 'opening';
    this.#state = 'closed';
    this.#stopTimer();
    this.#feed.close();
    this.#aborted.abort();
    this.#opened.resolve();
    this.#room.resolve();
    this.#options.onClosed(wasOpen ? this.#failure : undefined, isComplete);
  }
}
