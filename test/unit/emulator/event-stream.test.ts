import { crc32 } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  decodeMessage,
  encodeMessage,
  FrameError,
  type FrameFault,
  type HeaderValue,
  stringHeader,
} from '../../../src/emulator/event-stream.ts';
import { FrameReader } from '../../../src/emulator/frame-reader.ts';
import { badRequest } from '../../../src/emulator/refusal.ts';
import { exceptionFrame } from '../../../src/emulator/server-frames.ts';
import { framesOf, GOLDEN } from './golden.ts';

/** A frame of the real service, from a public report: awsdocs/amazon-transcribe-developer-guide, issue 14. */
const AWS_EXCEPTION = Buffer.concat([
  Buffer.from('000000a300000061', 'hex'),
  Buffer.from('h\x10k\xe1\x0f:exception-type\x07\x00\x13BadRequestException', 'latin1'),
  Buffer.from('\r:content-type\x07\x00\x10application/json\r:message-type\x07\x00\texception', 'latin1'),
  Buffer.from('{"Message":"Unexpected WebSocket frame received."}\xbd\xceK\x8a', 'latin1'),
]);

function faultOf(read: () => unknown): FrameFault | undefined {
  try {
    read();
  } catch (error) {
    if (error instanceof FrameError) return error.fault;
    throw error;
  }
  return undefined;
}

describe('golden frames', () => {
  test('of AWS: an exception is written byte by byte as the service writes it', () => {
    expect(exceptionFrame(badRequest('Unexpected WebSocket frame received.')).equals(AWS_EXCEPTION)).toBe(true);
  });

  test('of AWS: an exception is read', () => {
    const { headers, body } = decodeMessage(AWS_EXCEPTION);
    expect(stringHeader(headers, ':exception-type')).toBe('BadRequestException');
    expect(JSON.parse(body.toString())).toEqual({ Message: 'Unexpected WebSocket frame received.' });
  });

  test('of the stock SDK: audio is nested in a signed frame, and the end is a signed frame without a body', () => {
    const frames = framesOf(GOLDEN).map((frame) => decodeMessage(frame));
    expect(frames).toHaveLength(3);
    for (const { headers } of frames) {
      expect(headers.get(':date')?.type).toBe('timestamp');
      expect(headers.get(':chunk-signature')).toMatchObject({
        type: 'binary',
        value: expect.objectContaining({ length: 32 }),
      });
    }
    const inner = decodeMessage(frames[0]?.body ?? Buffer.alloc(0));
    expect([...inner.headers]).toEqual([
      [':event-type', { type: 'string', value: 'AudioEvent' }],
      [':message-type', { type: 'string', value: 'event' }],
      [':content-type', { type: 'string', value: 'application/octet-stream' }],
    ]);
    expect([...inner.body]).toEqual(Array.from({ length: 32 }, (_, index) => index));
    expect(frames[2]?.body).toHaveLength(0);
  });

  test('of the stock SDK: 3,200 bytes of audio are 3,387 on the wire, and are encoded again to the same bytes', () => {
    const frame = framesOf(GOLDEN)[1] ?? Buffer.alloc(0);
    expect(frame).toHaveLength(3387);
    const { headers, body } = decodeMessage(frame);
    expect(encodeMessage(headers, body).equals(frame)).toBe(true);
  });
});

const headerValue: fc.Arbitrary<HeaderValue> = fc.oneof(
  fc.boolean().map((value): HeaderValue => ({ type: 'boolean', value })),
  fc.integer({ min: -128, max: 127 }).map((value): HeaderValue => ({ type: 'byte', value })),
  fc.integer({ min: -32768, max: 32767 }).map((value): HeaderValue => ({ type: 'short', value })),
  fc.integer().map((value): HeaderValue => ({ type: 'integer', value })),
  fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }).map((value): HeaderValue => ({ type: 'long', value })),
  fc.uint8Array({ maxLength: 300 }).map((value): HeaderValue => ({ type: 'binary', value: Buffer.from(value) })),
  fc.string({ unit: 'grapheme', maxLength: 50 }).map((value): HeaderValue => ({ type: 'string', value })),
  fc.integer({ min: 0, max: 8.64e15 }).map((value): HeaderValue => ({ type: 'timestamp', value })),
  fc.uuid().map((value): HeaderValue => ({ type: 'uuid', value })),
);
const message = fc.record({
  headers: fc.uniqueArray(fc.tuple(fc.string({ minLength: 1, maxLength: 20 }), headerValue), {
    selector: ([name]) => name,
    maxLength: 5,
  }),
  body: fc.uint8Array({ maxLength: 500 }).map((bytes) => Buffer.from(bytes)),
});

describe('any messages', () => {
  test('are read as they were written, wherever the stream is cut', () => {
    fc.assert(
      fc.property(fc.array(message, { maxLength: 5 }), fc.integer({ min: 1, max: 700 }), (messages, cut) => {
        const stream = Buffer.concat(messages.map(({ headers, body }) => encodeMessage(headers, body)));
        const reader = new FrameReader(100_000);
        const read: { headers: unknown; body: Buffer }[] = [];
        for (let at = 0; at < stream.length; at += cut) {
          for (const frame of reader.push(stream.subarray(at, at + cut))) {
            const { headers, body } = decodeMessage(frame);
            read.push({ headers: [...headers], body });
          }
        }
        expect(read).toEqual(messages);
        expect(reader.pendingBytes).toBe(0);
      }),
    );
  });

  test('with a flipped bit are found out, never misread', () => {
    fc.assert(
      fc.property(message, fc.nat(), fc.integer({ min: 0, max: 7 }), ({ headers, body }, at, bit) => {
        const bytes = encodeMessage(headers, body);
        const index = at % bytes.length;
        bytes.writeUInt8(bytes.readUInt8(index) ^ (1 << bit), index);
        expect(faultOf(() => decodeMessage(bytes))).toMatch(/checksum|bad_length/);
      }),
    );
  });

  test('that are noise raise no other error than a FrameError', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 16, maxLength: 200 }), (noise) => {
        expect(faultOf(() => [...new FrameReader(1000).push(Buffer.from(noise))])).toBe('prelude_checksum');
      }),
    );
  });
});

describe('malformed messages', () => {
  test('longer than the bound are refused from their prelude', () => {
    const bytes = encodeMessage([], Buffer.alloc(1000));
    expect(faultOf(() => [...new FrameReader(500).push(bytes.subarray(0, 12))])).toBe('too_long');
  });

  test.each<[string, number[]]>([
    ['an unknown type', [1, 97, 10]],
    ['a value cut off', [1, 97, 4, 0]],
    ['a string longer than the section', [1, 97, 7, 0, 9, 98]],
    ['a uuid cut off', [1, 97, 9, 1, 2]],
    ['a name longer than the section', [200, 97]],
  ])('with headers of %s are refused', (_name, section) => {
    const whole = encodeMessage([], Buffer.from(section));
    // The body is declared to be the header section: prelude and checksums are made good again.
    const headers = Buffer.concat([whole.subarray(0, 12), Buffer.from(section), whole.subarray(-4)]);
    headers.writeUInt32BE(section.length, 4);
    headers.writeUInt32BE(crc32(headers.subarray(0, 8)), 8);
    headers.writeUInt32BE(crc32(headers.subarray(0, -4)), headers.length - 4);
    expect(faultOf(() => decodeMessage(headers))).toBe('bad_headers');
  });

  test('with more header than message are refused', () => {
    const bytes = encodeMessage([], Buffer.alloc(4));
    bytes.writeUInt32BE(5, 4);
    bytes.writeUInt32BE(crc32(bytes.subarray(0, 8)), 8);
    expect(faultOf(() => decodeMessage(bytes))).toBe('bad_length');
  });
});
