import { crc32 } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { encodeMessage, type HeaderValue } from '../../../../../src/emulator/event-stream.ts';
import { FrameError, type FrameFault } from '../../../../../src/engines/aws/frames/frame-error.ts';
import { type Frame, FrameParser, MAX_MESSAGE_BYTES } from '../../../../../src/engines/aws/frames/frame-parser.ts';
import { eventFrame } from './raw-server.ts';

const FIRST = eventFrame('TranscriptEvent', '{"first":"größer"}');
const SECOND = eventFrame('TranscriptEvent', '');
const EXPECTED = ['{"first":"größer"}', ''];

function parse(parts: readonly Buffer[]): Frame[] {
  const parser = new FrameParser();
  return parts.flatMap((part) => [...parser.push(part)]);
}

const bodies = (frames: readonly Frame[]) => frames.map((one) => one.body.toString());

function faultOf(bytes: Buffer): FrameFault | undefined {
  try {
    parse([bytes]);
    return undefined;
  } catch (error) {
    if (error instanceof FrameError) return error.fault;
    throw error;
  }
}

/** Sets a field and makes its checksums right again. */
function withLengths(bytes: Buffer, total: number, headers: number): Buffer {
  const out = Buffer.from(bytes);
  out.writeUInt32BE(total, 0);
  out.writeUInt32BE(headers, 4);
  out.writeUInt32BE(crc32(out.subarray(0, 8)), 8);
  out.writeUInt32BE(crc32(out.subarray(0, -4)), out.length - 4);
  return out;
}

describe('FrameParser', () => {
  it('finds the messages wherever the bytes are split', () => {
    const bytes = Buffer.concat([FIRST, SECOND]);
    for (let at = 0; at <= bytes.length; at += 1) {
      expect(bodies(parse([bytes.subarray(0, at), bytes.subarray(at)]))).toEqual(EXPECTED);
    }
  });

  it('finds the messages in bytes that come one at a time', () => {
    const bytes = Buffer.concat([FIRST, SECOND, FIRST]);
    const frames = parse(Array.from(bytes, (byte) => Buffer.from([byte])));
    expect(bodies(frames)).toEqual([...EXPECTED, EXPECTED[0]]);
    expect(frames[0]?.headers).toEqual({
      ':event-type': 'TranscriptEvent',
      ':content-type': 'application/json',
      ':message-type': 'event',
    });
  });

  it('knows whether it is inside a message', () => {
    const parser = new FrameParser();
    expect(parser.pending).toBe(false);
    expect([...parser.push(FIRST.subarray(0, 20))]).toEqual([]);
    expect(parser.pending).toBe(true);
    expect([...parser.push(FIRST.subarray(20))].length).toBe(1);
    expect(parser.pending).toBe(false);
  });

  it('passes over headers of every other type', () => {
    const headers: [string, HeaderValue][] = [
      ['yes', { type: 'boolean', value: true }],
      ['no', { type: 'boolean', value: false }],
      ['byte', { type: 'byte', value: 1 }],
      ['short', { type: 'short', value: 1 }],
      ['integer', { type: 'integer', value: 1 }],
      ['long', { type: 'long', value: 1n }],
      ['binary', { type: 'binary', value: Buffer.from('bytes') }],
      ['timestamp', { type: 'timestamp', value: 1 }],
      ['uuid', { type: 'uuid', value: '6f4ff6ad-bb24-4c4c-b10b-228097bae9c6' }],
      [':event-type', { type: 'string', value: 'Last' }],
    ];
    expect(parse([encodeMessage(headers, Buffer.alloc(0))])[0]?.headers).toEqual({ ':event-type': 'Last' });
  });

  it('gives the messages before a corrupt one', () => {
    const corrupt = Buffer.from(SECOND);
    corrupt.writeUInt8(corrupt.readUInt8(30) ^ 1, 30);
    const frames: Frame[] = [];
    const read = () => {
      for (const one of new FrameParser().push(Buffer.concat([FIRST, corrupt]))) frames.push(one);
    };
    expect(read).toThrow(FrameError);
    expect(bodies(frames)).toEqual([EXPECTED[0]]);
  });

  it('refuses a message with any byte changed', () => {
    for (let at = 0; at < FIRST.length; at += 1) {
      const bytes = Buffer.from(FIRST);
      bytes.writeUInt8(bytes.readUInt8(at) ^ 0x10, at);
      expect(faultOf(bytes)).toBe(at < 12 ? 'prelude_checksum' : 'message_checksum');
    }
  });

  it('refuses lengths that cannot be, from the prelude alone', () => {
    const prelude = (total: number, headers: number) => withLengths(FIRST, total, headers).subarray(0, 12);
    expect(faultOf(prelude(15, 0))).toBe('bad_length');
    expect(faultOf(prelude(100, 85))).toBe('bad_length');
    expect(faultOf(prelude(MAX_MESSAGE_BYTES + 1, 0))).toBe('too_long');
    expect(faultOf(prelude(0xff_ff_ff_ff, 0))).toBe('too_long');
    expect(faultOf(prelude(MAX_MESSAGE_BYTES, 0))).toBeUndefined();
  });

  it('takes the longest message allowed', () => {
    const bytes = encodeMessage([], Buffer.alloc(MAX_MESSAGE_BYTES - 16, 7));
    const parts: Buffer[] = [];
    for (let at = 0; at < bytes.length; at += 16_384) parts.push(bytes.subarray(at, at + 16_384));
    expect(parse(parts).map((one) => one.body.length)).toEqual([MAX_MESSAGE_BYTES - 16]);
  });

  it.each([
    ['a name beyond the headers', [200, 97]],
    ['a value beyond the headers', [1, 97, 7, 0, 200, 98]],
    ['a fixed value beyond the headers', [1, 97, 8, 0, 0]],
    ['an unknown type', [1, 97, 99]],
    ['no type', [1, 97]],
  ])('refuses headers with %s', (_, headerBytes) => {
    const head = Buffer.from(headerBytes);
    const bytes = Buffer.concat([Buffer.alloc(12), head, Buffer.alloc(4)]);
    expect(faultOf(withLengths(bytes, bytes.length, head.length))).toBe('bad_headers');
  });
});
