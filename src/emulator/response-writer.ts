import { constants, type ServerHttp2Stream } from 'node:http2';

/** Bytes that may wait for a client that does not read. A stream over it is reset: see `StreamOutcome` `client_slow`. */
const MAX_WAITING_BYTES = 4 * 1024 * 1024;

/** The response of one HTTP/2 stream: bytes in order, perhaps held back for a while, and an end that lingers. */
export class ResponseWriter {
  readonly #stream: ServerHttp2Stream;
  readonly #lingerMs: number;
  /** What is held back; undefined when nothing is. */
  #held: Buffer[] | undefined;
  #heldBytes = 0;
  #timer: NodeJS.Timeout | undefined;
  #ending = false;

  /** @param lingerMs how long the client may leave its half open after the response has ended, in milliseconds */
  constructor(stream: ServerHttp2Stream, lingerMs: number) {
    this.#stream = stream;
    this.#lingerMs = lingerMs;
    stream.once('close', () => clearTimeout(this.#timer));
  }

  /** Holds back everything from now on, the end included, for so many milliseconds. */
  hold(delayMs: number): void {
    this.#held ??= [];
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#release(), delayMs);
  }

  /** @returns false if the client is too slow: the bytes were not taken */
  write(bytes: Buffer): boolean {
    if (this.#ending || this.#stream.destroyed) return true;
    if (this.#heldBytes + this.#stream.writableLength + bytes.length > MAX_WAITING_BYTES) return false;
    if (this.#held === undefined) this.#stream.write(bytes);
    else {
      this.#held.push(bytes);
      this.#heldBytes += bytes.length;
    }
    return true;
  }

  /**
   * Ends the response. What the client still sends is read and dropped, and it is reset only after a while: a reset
   * that overtakes the response makes clients lose its last bytes.
   */
  end(): void {
    this.#ending = true;
    if (this.#held !== undefined || this.#stream.destroyed || this.#stream.writableEnded) return;
    this.#stream.end();
    this.#stream.resume();
    this.#timer = setTimeout(() => this.#stream.close(constants.NGHTTP2_NO_ERROR), this.#lingerMs);
  }

  #release(): void {
    const held = this.#held ?? [];
    this.#held = undefined;
    this.#heldBytes = 0;
    for (const bytes of held) if (!this.#stream.destroyed) this.#stream.write(bytes);
    if (this.#ending) this.end();
  }
}
