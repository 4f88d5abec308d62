/**
 * The frame of one chunk of audio, as `application/vnd.amazon.eventstream` nests it: an outer message with `:date` and
 * `:chunk-signature`, whose body is the inner message with the audio. A message is: total length (u32), header length
 * (u32), CRC32 of those eight bytes, headers, body, CRC32 of all before it; big-endian.
 */
import { crc32 } from 'node:zlib';
import type { ChunkSigner } from './chunk-signer.ts';

const PRELUDE_BYTES = 12;
const CHECKSUM_BYTES = 4;
/** Types of header values. Source: the specification of event streams in Smithy. */
const BINARY = 6;
const STRING = 7;
const TIMESTAMP = 8;
const TIMESTAMP_BYTES = 8;
const SIGNATURE_BYTES = 32;
/** Counts of the high half of a 64 bit number. */
const HIGH = 2 ** 32;

/** Name and type of a header, and the value's length if the type has one. */
function headerStart(name: string, type: number, valueBytes?: number): Buffer {
  const length = valueBytes === undefined ? [] : [valueBytes >> 8, valueBytes & 0xff];
  return Buffer.from([name.length, ...Buffer.from(name), type, ...length]);
}

function stringHeader(name: string, value: string): Buffer {
  return Buffer.concat([headerStart(name, STRING, value.length), Buffer.from(value)]);
}

/** The order is that of the stock SDK. */
const INNER_HEADERS = Buffer.concat([
  stringHeader(':event-type', 'AudioEvent'),
  stringHeader(':message-type', 'event'),
  stringHeader(':content-type', 'application/octet-stream'),
]);
const INNER_BODY = PRELUDE_BYTES + INNER_HEADERS.length;

const DATE_START = headerStart(':date', TIMESTAMP);
const SIGNATURE_START = headerStart(':chunk-signature', BINARY, SIGNATURE_BYTES);
const DATE_AT = PRELUDE_BYTES + DATE_START.length;
const DATE_END = DATE_AT + TIMESTAMP_BYTES;
const SIGNATURE_AT = DATE_END + SIGNATURE_START.length;
const OUTER_BODY = SIGNATURE_AT + SIGNATURE_BYTES;

/** All that the outer messages have in common up to their bodies; lengths, checksum, date and signature are blank. */
const OUTER_TEMPLATE = Buffer.concat([
  Buffer.alloc(PRELUDE_BYTES),
  DATE_START,
  Buffer.alloc(TIMESTAMP_BYTES),
  SIGNATURE_START,
  Buffer.alloc(SIGNATURE_BYTES),
]);

/** Writes lengths and checksums around headers and body that are in their places. */
function seal(message: Buffer, headerBytes: number): void {
  const checksumAt = message.length - CHECKSUM_BYTES;
  message.writeUInt32BE(message.length, 0);
  message.writeUInt32BE(headerBytes, 4);
  message.writeUInt32BE(crc32(message.subarray(0, 8)), 8);
  message.writeUInt32BE(crc32(message.subarray(0, checksumAt)), checksumAt);
}

/**
 * Makes the signed frame of the next chunk in one allocation. The audio is copied.
 * @param audio what to send; undefined: the frame with an empty body that ends the audio
 * @param now milliseconds since 1970
 */
export function encodeAudioFrame(audio: Uint8Array | undefined, signer: ChunkSigner, now: number): Buffer {
  const innerBytes = audio === undefined ? 0 : INNER_BODY + audio.length + CHECKSUM_BYTES;
  const frame = Buffer.allocUnsafe(OUTER_BODY + innerBytes + CHECKSUM_BYTES);
  frame.set(OUTER_TEMPLATE, 0);
  frame.writeUInt32BE(Math.floor(now / HIGH), DATE_AT);
  frame.writeUInt32BE(now % HIGH, DATE_AT + 4);
  const inner = frame.subarray(OUTER_BODY, OUTER_BODY + innerBytes);
  if (audio !== undefined) {
    inner.set(INNER_HEADERS, PRELUDE_BYTES);
    inner.set(audio, INNER_BODY);
    seal(inner, INNER_HEADERS.length);
  }
  frame.write(signer.sign(frame.subarray(PRELUDE_BYTES, DATE_END), inner, now), SIGNATURE_AT, 'hex');
  seal(frame, OUTER_BODY - PRELUDE_BYTES);
  return frame;
}
