import type { Socket } from 'node:net';
import { encodeFrame, FrameReader, type Message } from './frames.ts';

/** Messages over one connection, in order, until one of the ends closes it. */
export class Channel<Sent extends Message, Received extends Message> {
  /** Resolves when the connection is gone; never rejects. Nothing is received afterwards. */
  readonly closed: Promise<void>;
  readonly #socket: Socket;
  #drained: PromiseWithResolvers<void> | undefined;

  constructor(socket: Socket, receive: (message: Received) => void) {
    this.#socket = socket;
    const closed = Promise.withResolvers<void>();
    this.closed = closed.promise;
    const reader = new FrameReader();
    socket.on('data', (bytes: Buffer) => {
      for (const message of this.#messagesIn(reader, bytes)) {
        // One of those before may have closed the connection.
        if (socket.destroyed) return;
        receive(message);
      }
    });
    // 'close' follows.
    socket.on('error', () => undefined);
    socket.on('drain', () => this.#goOn());
    socket.on('close', () => {
      this.#goOn();
      closed.resolve();
    });
  }

  /**
   * Does nothing once the connection is gone.
   * @throws GatewayError `internal` if the message is too long
   */
  send(message: Sent): void {
    const frame = encodeFrame(message);
    if (this.#socket.destroyed) return;
    // What one turn of the event loop sends goes out together.
    if (this.#socket.writableCorked === 0) {
      this.#socket.cork();
      process.nextTick(() => this.#socket.uncork());
    }
    this.#socket.write(frame);
  }

  /** Resolves once the other end has read most of what was sent, or is gone. */
  async keepsUp(): Promise<void> {
    while (this.#socket.writableNeedDrain && !this.#socket.destroyed) {
      this.#drained ??= Promise.withResolvers();
      await this.#drained.promise;
    }
  }

  /** Closes the connection at once. Idempotent. */
  destroy(): void {
    this.#socket.destroy();
  }

  #goOn(): void {
    this.#drained?.resolve();
    this.#drained = undefined;
  }

  /** Bytes that make no sense are a fault that would only go on: the connection ends. */
  *#messagesIn(reader: FrameReader, bytes: Buffer): Generator<Received> {
    try {
      yield* reader.read(bytes) as Generator<Received>;
    } catch {
      this.destroy();
    }
  }
}
