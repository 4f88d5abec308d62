import { FrameError, messageLength, PRELUDE_BYTES } from './event-stream.ts';

/**
 * Cuts a byte stream into event-stream messages; HTTP/2 DATA frames split them anywhere.
 *
 * It holds less than one message, and a message longer than `maxBytes` is refused from its prelude alone, so a hostile
 * length field costs nothing.
 */
export class FrameReader {
  readonly #maxBytes: number;
  #parts: Buffer[] = [];
  #held = 0;
  /** Length of the message in progress in bytes; 0 while its prelude is not complete. */
  #wanted = 0;

  /** @param maxBytes longest message accepted, in bytes */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** Bytes of an incomplete message. */
  get pendingBytes(): number {
    return this.#held;
  }

  /**
   * Takes the next bytes and yields the messages that they complete, as raw bytes.
   * @throws FrameError if the stream is no sequence of messages; the reader is useless afterwards
   */
  *push(chunk: Buffer): Generator<Buffer> {
    this.#parts.push(chunk);
    this.#held += chunk.length;
    while (this.#held >= (this.#wanted || PRELUDE_BYTES)) {
      const bytes = this.#joined();
      if (this.#wanted === 0) this.#wanted = messageLength(bytes, this.#maxBytes);
      if (bytes.length < this.#wanted) return;
      const message = bytes.subarray(0, this.#wanted);
      const rest = bytes.subarray(this.#wanted);
      this.#parts = rest.length > 0 ? [rest] : [];
      this.#held = rest.length;
      this.#wanted = 0;
      yield message;
    }
  }

  /** Joins the parts only when a length is reached, so that a message in many parts is copied once, not once a part. */
  #joined(): Buffer {
    const [first] = this.#parts;
    if (first === undefined) throw new FrameError('bad_length');
    if (this.#parts.length === 1) return first;
    const joined = Buffer.concat(this.#parts, this.#held);
    this.#parts = [joined];
    return joined;
  }
}
