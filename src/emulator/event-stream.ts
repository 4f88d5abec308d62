/**
 * The `application/vnd.amazon.eventstream` codec: one message between its bytes and its headers and body.
 *
 * A message is: total length (u32), header length (u32), CRC32 of those eight bytes, headers, body, CRC32 of all
 * before it; big-endian. Written from the published format and held by golden frames of the stock SDK and of AWS,
 * and knows nothing of the gateway's own AWS engine: both must not be able to agree on a wrong wire.
 */
import { crc32 } from 'node:zlib';

/** Length of the two length fields and their checksum, in bytes. */
export const PRELUDE_BYTES = 12;
const CHECKSUM_BYTES = 4;
/** The smallest legal message: a prelude, no headers, no body and the checksum, in bytes. */
const MIN_MESSAGE_BYTES = PRELUDE_BYTES + CHECKSUM_BYTES;

export type HeaderValue =
  | { readonly type: 'boolean'; readonly value: boolean }
  | { readonly type: 'byte' | 'short' | 'integer'; readonly value: number }
  | { readonly type: 'long'; readonly value: bigint }
  | { readonly type: 'binary'; readonly value: Buffer }
  | { readonly type: 'string'; readonly value: string }
  /** Milliseconds since 1970. */
  | { readonly type: 'timestamp'; readonly value: number }
  | { readonly type: 'uuid'; readonly value: string };

export type Headers = ReadonlyMap<string, HeaderValue>;

export interface EventMessage {
  readonly headers: Headers;
  readonly body: Buffer;
}

export type FrameFault = 'bad_length' | 'too_long' | 'prelude_checksum' | 'message_checksum' | 'bad_headers';

/** Bytes that are no message. After one the boundary of the next is not known: the stream cannot go on. */
export class FrameError extends Error {
  override readonly name = 'FrameError';
  readonly fault: FrameFault;

  constructor(fault: FrameFault) {
    super(`The event-stream frame is malformed: ${fault}.`);
    this.fault = fault;
  }
}

const TYPE = { true: 0, false: 1, byte: 2, short: 3, integer: 4, long: 5, binary: 6, string: 7, timestamp: 8, uuid: 9 };

function encodeValue(header: HeaderValue): Buffer {
  switch (header.type) {
    case 'boolean':
      return Buffer.from([header.value ? TYPE.true : TYPE.false]);
    case 'byte':
    case 'short':
    case 'integer': {
      const bytes = header.type === 'byte' ? 1 : header.type === 'short' ? 2 : 4;
      const out = Buffer.alloc(1 + bytes);
      out[0] = TYPE[header.type];
      out.writeIntBE(header.value, 1, bytes);
      return out;
    }
    case 'long':
    case 'timestamp': {
      const out = Buffer.alloc(9);
      out[0] = TYPE[header.type];
      out.writeBigInt64BE(BigInt(header.value), 1);
      return out;
    }
    case 'binary':
    case 'string': {
      const value = header.type === 'string' ? Buffer.from(header.value) : header.value;
      const out = Buffer.alloc(3 + value.length);
      out[0] = TYPE[header.type];
      out.writeUInt16BE(value.length, 1);
      value.copy(out, 3);
      return out;
    }
    case 'uuid':
      return Buffer.concat([Buffer.from([TYPE.uuid]), Buffer.from(header.value.replaceAll('-', ''), 'hex')]);
  }
}

/** The header section alone, in the order given: also what a chunk signature hashes. */
export function encodeHeaders(headers: Iterable<readonly [string, HeaderValue]>): Buffer {
  const parts: Buffer[] = [];
  for (const [name, value] of headers) {
    const nameBytes = Buffer.from(name);
    parts.push(Buffer.from([nameBytes.length]), nameBytes, encodeValue(value));
  }
  return Buffer.concat(parts);
}

export function encodeMessage(headers: Iterable<readonly [string, HeaderValue]>, body: Buffer): Buffer {
  const headerBytes = encodeHeaders(headers);
  const total = PRELUDE_BYTES + headerBytes.length + body.length + CHECKSUM_BYTES;
  const out = Buffer.allocUnsafe(total);
  out.writeUInt32BE(total, 0);
  out.writeUInt32BE(headerBytes.length, 4);
  out.writeUInt32BE(crc32(out.subarray(0, 8)), 8);
  headerBytes.copy(out, PRELUDE_BYTES);
  body.copy(out, PRELUDE_BYTES + headerBytes.length);
  out.writeUInt32BE(crc32(out.subarray(0, total - CHECKSUM_BYTES)), total - CHECKSUM_BYTES);
  return out;
}

/** Reads header values at `offset` of `bytes`, never past its end: a short read is a `RangeError` of the Buffer. */
function decodeValue(bytes: Buffer, offset: number): { value: HeaderValue; end: number } {
  const type = bytes.readUInt8(offset);
  const at = offset + 1;
  switch (type) {
    case TYPE.true:
    case TYPE.false:
      return { value: { type: 'boolean', value: type === TYPE.true }, end: at };
    case TYPE.byte:
      return { value: { type: 'byte', value: bytes.readInt8(at) }, end: at + 1 };
    case TYPE.short:
      return { value: { type: 'short', value: bytes.readInt16BE(at) }, end: at + 2 };
    case TYPE.integer:
      return { value: { type: 'integer', value: bytes.readInt32BE(at) }, end: at + 4 };
    case TYPE.long:
      return { value: { type: 'long', value: bytes.readBigInt64BE(at) }, end: at + 8 };
    case TYPE.timestamp:
      return { value: { type: 'timestamp', value: Number(bytes.readBigInt64BE(at)) }, end: at + 8 };
    case TYPE.binary:
    case TYPE.string: {
      const end = at + 2 + bytes.readUInt16BE(at);
      if (end > bytes.length) throw new FrameError('bad_headers');
      const value = bytes.subarray(at + 2, end);
      return type === TYPE.binary
        ? { value: { type: 'binary', value }, end }
        : { value: { type: 'string', value: value.toString() }, end };
    }
    case TYPE.uuid: {
      if (at + 16 > bytes.length) throw new FrameError('bad_headers');
      const hex = bytes.toString('hex', at, at + 16);
      const groups = [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)];
      return { value: { type: 'uuid', value: groups.join('-') }, end: at + 16 };
    }
    default:
      throw new FrameError('bad_headers');
  }
}

function decodeHeaders(bytes: Buffer): Headers {
  const headers = new Map<string, HeaderValue>();
  try {
    for (let offset = 0; offset < bytes.length; ) {
      const nameEnd = offset + 1 + bytes.readUInt8(offset);
      const name = bytes.toString('utf8', offset + 1, nameEnd);
      const { value, end } = decodeValue(bytes, nameEnd);
      headers.set(name, value);
      offset = end;
    }
  } catch (error) {
    if (error instanceof RangeError) throw new FrameError('bad_headers');
    throw error;
  }
  return headers;
}

/**
 * Checks a message's prelude and returns its whole length in bytes.
 * @param prelude at least the first `PRELUDE_BYTES` of the message
 * @throws FrameError
 */
export function messageLength(prelude: Buffer, maxBytes: number): number {
  if (crc32(prelude.subarray(0, 8)) !== prelude.readUInt32BE(8)) throw new FrameError('prelude_checksum');
  const total = prelude.readUInt32BE(0);
  if (total < MIN_MESSAGE_BYTES || prelude.readUInt32BE(4) > total - MIN_MESSAGE_BYTES) {
    throw new FrameError('bad_length');
  }
  if (total > maxBytes) throw new FrameError('too_long');
  return total;
}

/**
 * Decodes exactly one message. Its body and binary headers are views of `bytes`, not copies.
 * @throws FrameError
 */
export function decodeMessage(bytes: Buffer): EventMessage {
  if (bytes.length < MIN_MESSAGE_BYTES || messageLength(bytes, bytes.length) !== bytes.length) {
    throw new FrameError('bad_length');
  }
  const end = bytes.length - CHECKSUM_BYTES;
  if (crc32(bytes.subarray(0, end)) !== bytes.readUInt32BE(end)) throw new FrameError('message_checksum');
  const bodyStart = PRELUDE_BYTES + bytes.readUInt32BE(4);
  return { headers: decodeHeaders(bytes.subarray(PRELUDE_BYTES, bodyStart)), body: bytes.subarray(bodyStart, end) };
}

/** The value of a string header, or undefined if it is missing or of another type. */
export function stringHeader(headers: Headers, name: string): string | undefined {
  const header = headers.get(name);
  return header?.type === 'string' ? header.value : undefined;
}
