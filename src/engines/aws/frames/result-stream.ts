import { type ClientHttp2Stream, constants } from 'node:http2';
import type { TranscriptEvent, TranscriptResultStream } from '@aws-sdk/client-transcribe-streaming';
import { FrameError } from './frame-error.ts';
import { type Frame, FrameParser } from './frame-parser.ts';

/**
 * Bytes of results that may wait for the reader before the HTTP/2 stream is paused, and with it the service by flow
 * control: some 30 results, ten seconds of a stream. At most one DATA frame's results come on top.
 */
const MAX_WAITING_BYTES = 64 * 1024;

type Step = IteratorResult<TranscriptResultStream, undefined>;

/** Makes the error that the SDK models for an exception of the service. Never rejects. */
type ExceptionMaker = (name: string, body: Buffer) => Promise<Error>;

function withoutNulls(_: string, value: unknown): unknown {
  return value === null ? undefined : value;
}

/** Members that are null are left out, as the stock path does; those that the SDK does not know are kept. */
function transcriptEvent(body: Buffer): TranscriptEvent {
  if (body.length === 0) return {};
  const text = body.toString();
  // The text of a result may hold the word: then a walk is made for nothing. Walking always would double the cost.
  return JSON.parse(text, text.includes('null') ? withoutNulls : undefined);
}

/** The parser of JSON quotes what it cannot read, a piece of a transcript: that must not become the cause, which is logged. */
function unreadable(error: unknown): FrameError {
  return new FrameError('bad_body', error instanceof SyntaxError ? {} : { cause: error });
}

/**
 * The results of one stream, for one reader. It reads from the moment of its making, bounded by what waits, and ends
 * once: after the answer's own end, or with the error that says why there was none. A reader that leaves its loop
 * closes the HTTP/2 stream.
 */
export class ResultStream implements AsyncIterableIterator<TranscriptResultStream, undefined> {
  readonly #http2: ClientHttp2Stream;
  readonly #exception: ExceptionMaker;
  readonly #parser = new FrameParser();
  #waiting: { readonly event: TranscriptResultStream; readonly bytes: number }[] = [];
  #waitingBytes = 0;
  /** Set once nothing more will come; a failure is thrown to the reader when nothing waits any more, and only once. */
  #over: { readonly failure?: Promise<Error> } | undefined;
  #reader: PromiseWithResolvers<Step> | undefined;

  constructor(http2: ClientHttp2Stream, exception: ExceptionMaker) {
    this.#http2 = http2;
    this.#exception = exception;
    http2.on('data', (chunk: Buffer) => this.#data(chunk));
    // Before the handler of the SDK, which destroys the connection here and so hides how the stream has ended.
    http2.prependOnceListener('end', () => this.#ended());
    http2.once('error', (cause) => this.#fail(this.#broken(cause)));
    // Without `end` before it: the stream was destroyed.
    http2.once('close', () => this.#fail(this.#broken()));
    // The SDK takes its time between the headers and us: the stream may be gone, and its events with it.
    if (http2.destroyed) this.#fail(this.#broken(http2.errored ?? undefined));
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  /**
   * @throws the SDK's modelled exception if the service sent one
   * @throws FrameError if the stream broke
   */
  async next(): Promise<Step> {
    const first = this.#waiting.shift();
    if (first !== undefined) {
      this.#waitingBytes -= first.bytes;
      if (this.#waitingBytes < MAX_WAITING_BYTES && this.#http2.isPaused()) this.#http2.resume();
      return { done: false, value: first.event };
    }
    if (this.#over !== undefined) {
      const { failure } = this.#over;
      this.#over = {};
      if (failure !== undefined) throw await failure;
      return { done: true, value: undefined };
    }
    if (this.#reader !== undefined) throw new Error('the results of a stream have a single reader');
    this.#reader = Promise.withResolvers();
    return this.#reader.promise;
  }

  async return(): Promise<Step> {
    this.#waiting = [];
    this.#end();
    this.#drop();
    return { done: true, value: undefined };
  }

  #data(chunk: Buffer): void {
    if (this.#over !== undefined) return;
    try {
      for (const frame of this.#parser.push(chunk)) {
        this.#frame(frame);
        if (this.#over !== undefined) return;
      }
    } catch (error) {
      this.#fail(error instanceof FrameError ? error : unreadable(error));
      this.#drop();
      return;
    }
    if (this.#waitingBytes >= MAX_WAITING_BYTES) this.#http2.pause();
  }

  #frame({ headers, body }: Frame): void {
    switch (headers[':message-type']) {
      case 'event':
        // An event that this SDK does not know says nothing to us.
        if (headers[':event-type'] !== 'TranscriptEvent') return;
        this.#event({ TranscriptEvent: transcriptEvent(body) }, body.length);
        return;
      case 'exception':
        this.#fail(this.#exception(headers[':exception-type'] ?? 'UnknownError', body));
        this.#drop();
        return;
      case 'error': {
        // An error that the service does not model, with name and message in headers.
        const error = new Error(headers[':error-message'] ?? 'UnknownError');
        error.name = headers[':error-code'] ?? 'UnknownError';
        this.#fail(error);
        this.#drop();
        return;
      }
      default:
        throw new FrameError('bad_headers');
    }
  }

  #event(event: TranscriptResultStream, bytes: number): void {
    if (this.#reader === undefined) {
      this.#waiting.push({ event, bytes });
      this.#waitingBytes += bytes;
      return;
    }
    this.#reader.resolve({ done: false, value: event });
    this.#reader = undefined;
  }

  /** Node ends a stream that was reset as it ends one that was answered in full. */
  #ended(): void {
    if (this.#http2.rstCode || this.#http2.aborted) this.#fail(this.#broken());
    else if (this.#parser.pending) this.#fail(new FrameError('truncated'));
    else if (!this.#http2.writableEnded) this.#fail(new FrameError('early_end'));
    else this.#end();
  }

  #broken(cause?: unknown): FrameError {
    return cause instanceof FrameError ? cause : new FrameError('reset', { cause, rstCode: this.#http2.rstCode });
  }

  #fail(failure: Error | Promise<Error>): void {
    this.#end(Promise.resolve(failure));
  }

  #end(failure?: Promise<Error>): void {
    if (this.#over !== undefined) return;
    const reader = this.#reader;
    this.#reader = undefined;
    this.#over = failure === undefined || reader !== undefined ? {} : { failure };
    if (failure === undefined) reader?.resolve({ done: true, value: undefined });
    else void failure.then((error) => reader?.reject(error));
  }

  /** Ends the HTTP/2 stream: whatever it has yet to say is not for us. */
  #drop(): void {
    this.#http2.close(constants.NGHTTP2_CANCEL);
    this.#http2.destroy();
  }
}
