import type { ClientHttp2Stream } from 'node:http2';
import { Readable } from 'node:stream';
import type { AudioStream } from '@aws-sdk/client-transcribe-streaming';
import { encodeAudioFrame } from './audio-frame.ts';
import type { ChunkSigner } from './chunk-signer.ts';
import { FrameError } from './frame-error.ts';

/**
 * Bytes that may wait in the HTTP/2 stream before no more audio is taken: 2 s of 16 kHz PCM, and the window that
 * HTTP/2 gives a new stream (RFC 9113, 6.9.2), so that a service that reads is never kept waiting. What waits longer
 * is better held by the caller, who can still drop it.
 */
const MAX_WAITING_BYTES = 64 * 1024;

/** What is needed to send: known only after the request is signed. */
interface Sending {
  readonly audio: AsyncIterable<AudioStream>;
  readonly signer: ChunkSigner;
}

/** How the caller's iterator takes its end is nothing to us any more. */
async function giveBack(iterator: AsyncIterator<unknown>): Promise<void> {
  try {
    await iterator.return?.();
  } catch {}
}

/**
 * The body of the request. It is a `Readable` because the SDK's HTTP handler decides by that how to send a body; but it
 * can only be piped, and its `pipe` moves the audio from the caller's iterator to the HTTP/2 stream in one hop, without
 * the buffers and events of a `Readable` between them.
 *
 * States: waiting until `pipe`, which needs `prepare`; then sending; then stopped, for good, when the audio has ended or
 * failed, or the HTTP/2 stream has. The iterator's `return` is called once if it is stopped before its own end.
 */
export class AudioBody extends Readable {
  #sending: Sending | undefined;
  #iterator: AsyncIterator<AudioStream> | undefined;
  #stopped = false;
  #failure: FrameError | undefined;
  #connectionError: Error | undefined;
  /** Resumes the pump that waits for the HTTP/2 stream to take what it has. */
  #wake: () => void = () => undefined;

  /** Says what to send; before `pipe`. */
  prepare(sending: Sending): void {
    this.#sending = sending;
  }

  /** Why the HTTP/2 stream was destroyed, if it was by us: the SDK's handler tells `send` only that it was aborted. */
  get failure(): FrameError | undefined {
    return this.#failure;
  }

  /** Why there was no connection for an answer, if there was none: of that the SDK's handler says nothing at all. */
  get connectionError(): Error | undefined {
    return this.#connectionError;
  }

  /** @param destination an HTTP/2 stream; it is ended after the audio, and destroyed if the audio fails */
  override pipe<T extends NodeJS.WritableStream>(destination: T): T {
    const stream = destination as unknown as ClientHttp2Stream;
    const { session } = stream;
    const onError = (error: Error) => {
      this.#connectionError = error;
    };
    session?.once('error', onError);
    stream.once('response', () => session?.off('error', onError));
    const stop = () => this.#stop();
    // A reset stream that still holds unread results says `aborted` at once, but `close` only when they are read.
    stream.once('aborted', stop).once('close', stop);
    void this.#pump(stream);
    return destination;
  }

  override _read(): void {
    this.destroy(new Error('the audio of a stream can only be piped'));
  }

  override _destroy(error: Error | null, callback: (error: Error | null) => void): void {
    this.#stop();
    callback(error);
  }

  async #pump(stream: ClientHttp2Stream): Promise<void> {
    try {
      if (this.#sending === undefined) throw new Error('the audio of a stream was not prepared for sending');
      const { audio, signer } = this.#sending;
      const iterator = audio[Symbol.asyncIterator]();
      this.#iterator = iterator;
      while (!this.#stopped) {
        const next = await iterator.next();
        if (this.#stopped || !stream.writable) break;
        if (next.done) {
          this.#iterator = undefined;
          stream.end(encodeAudioFrame(undefined, signer, Date.now()));
          break;
        }
        const chunk = next.value.AudioEvent?.AudioChunk;
        if (chunk === undefined) throw new TypeError('only audio events can be sent');
        const frame = encodeAudioFrame(chunk, signer, Date.now());
        if (stream.writableLength < MAX_WAITING_BYTES) stream.write(frame);
        else await this.#written(stream, frame);
      }
    } catch (error) {
      this.#failure = new FrameError('audio_failed', { cause: error });
      stream.destroy(this.#failure);
    }
    this.#stop();
  }

  /** Writes, and waits until all before the frame and itself are with the connection, or the stream is gone. */
  #written(stream: ClientHttp2Stream, frame: Buffer): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
      stream.write(frame, () => resolve());
    });
  }

  #stop(): void {
    if (this.#stopped) return;
    this.#stopped = true;
    this.#wake();
    const iterator = this.#iterator;
    this.#iterator = undefined;
    if (iterator !== undefined) void giveBack(iterator);
  }
}
