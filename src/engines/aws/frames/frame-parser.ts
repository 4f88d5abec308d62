/** The messages of the answer, cut out of the DATA frames of HTTP/2, which split them anywhere. */
import { crc32 } from 'node:zlib';
import { FrameError } from './frame-error.ts';

const PRELUDE_BYTES = 12;
const CHECKSUM_BYTES = 4;
/** The smallest legal message: a prelude, no headers, no body and the checksum. */
const MIN_MESSAGE_BYTES = PRELUDE_BYTES + CHECKSUM_BYTES;
/**
 * Longest message taken, in bytes. A result of 25 s of speech with all its items is some 15 kB; a length field beyond
 * this is a fault, and must not make us wait for bytes, or hold them, without end.
 */
export const MAX_MESSAGE_BYTES = 1024 * 1024;

/** Types of header values, and the lengths of those that have a fixed one. Source: event streams in Smithy. */
const BINARY = 6;
const STRING = 7;
const FIXED_BYTES: Readonly<Record<number, number>> = { 0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16 };

export interface Frame {
  /** The headers that are strings; the answer has no others. */
  readonly headers: Readonly<Record<string, string>>;
  /** A view of the bytes received, not a copy. */
  readonly body: Buffer;
}

function decodeHeaders(bytes: Buffer): Record<string, string> {
  const headers: Record<string, string> = {};
  try {
    for (let at = 0; at < bytes.length; ) {
      const nameEnd = at + 1 + bytes.readUInt8(at);
      const type = bytes.readUInt8(nameEnd);
      const hasLength = type === STRING || type === BINARY;
      const valueAt = nameEnd + (hasLength ? 3 : 1);
      const valueBytes = hasLength ? bytes.readUInt16BE(nameEnd + 1) : FIXED_BYTES[type];
      if (valueBytes === undefined || valueAt + valueBytes > bytes.length) throw new FrameError('bad_headers');
      const end = valueAt + valueBytes;
      if (type === STRING) headers[bytes.toString('latin1', at + 1, nameEnd)] = bytes.toString('utf8', valueAt, end);
      at = end;
    }
  } catch (error) {
    // A read beyond the end of the headers.
    if (error instanceof RangeError) throw new FrameError('bad_headers');
    throw error;
  }
  return headers;
}

/** Checks a prelude and returns the length of its message in bytes. */
function messageLength(prelude: Buffer): number {
  if (crc32(prelude.subarray(0, 8)) !== prelude.readUInt32BE(8)) throw new FrameError('prelude_checksum');
  const total = prelude.readUInt32BE(0);
  if (total < MIN_MESSAGE_BYTES || prelude.readUInt32BE(4) > total - MIN_MESSAGE_BYTES) {
    throw new FrameError('bad_length');
  }
  if (total > MAX_MESSAGE_BYTES) throw new FrameError('too_long');
  return total;
}

function decode(message: Buffer): Frame {
  const end = message.length - CHECKSUM_BYTES;
  if (crc32(message.subarray(0, end)) !== message.readUInt32BE(end)) throw new FrameError('message_checksum');
  const bodyAt = PRELUDE_BYTES + message.readUInt32BE(4);
  return { headers: decodeHeaders(message.subarray(PRELUDE_BYTES, bodyAt)), body: message.subarray(bodyAt, end) };
}

/** Holds less than one message between calls, `MAX_MESSAGE_BYTES` at most. */
export class FrameParser {
  #parts: Buffer[] = [];
  #held = 0;
  /** Parts are joined only when so many bytes are there, so that a message in many parts is copied once, not for each. */
  #needed = PRELUDE_BYTES;

  /** True inside a message: an end now is a truncation. */
  get pending(): boolean {
    return this.#held > 0;
  }

  /**
   * Takes the next bytes and yields the messages that they complete.
   * @throws FrameError if the bytes are no sequence of messages; the parser is useless afterwards
   */
  *push(chunk: Buffer): Generator<Frame, void> {
    this.#parts.push(chunk);
    this.#held += chunk.length;
    if (this.#held < this.#needed) return;
    let bytes = this.#parts.length === 1 ? chunk : Buffer.concat(this.#parts, this.#held);
    this.#needed = PRELUDE_BYTES;
    while (bytes.length >= PRELUDE_BYTES) {
      const total = messageLength(bytes);
      if (bytes.length < total) {
        this.#needed = total;
        break;
      }
      yield decode(bytes.subarray(0, total));
      bytes = bytes.subarray(total);
    }
    this.#parts = bytes.length > 0 ? [bytes] : [];
    this.#held = bytes.length;
  }
}
