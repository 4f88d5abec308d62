import { deserialize, serialize } from 'node:v8';
import { GatewayError } from '../../errors.ts';
import type { FromHost, ToHost } from './messages.ts';

export type Message = ToHost | FromHost;

/** Far above the longest write of any engine and the longest result, which is the longest other message. */
const MAX_FRAME_BYTES = 4 * 1024 * 1024;

/** A frame is the length of what follows it, its kind, and its body. Numbers have 32 bits, little-endian. */
const LENGTH_BYTES = 4;
const KIND_BYTES = 1;
const STREAM_BYTES = 4;

/**
 * The two kinds that every chunk of audio costs are written by hand: audio is never made into an object or text, because
 * the process at the other end carries that of all sessions.
 */
const KIND = { object: 0, audio: 1, taken: 2 } as const;

/** @throws GatewayError `internal` if the message is longer than a frame may be */
export function encodeFrame(message: Message): Buffer {
  switch (message.type) {
    case 'audio': {
      const frame = newFrame(KIND.audio, STREAM_BYTES + message.audio.length);
      frame.writeUInt32LE(message.stream, LENGTH_BYTES + KIND_BYTES);
      message.audio.copy(frame, LENGTH_BYTES + KIND_BYTES + STREAM_BYTES);
      return frame;
    }
    case 'taken': {
      const frame = newFrame(KIND.taken, STREAM_BYTES);
      frame.writeUInt32LE(message.stream, LENGTH_BYTES + KIND_BYTES);
      return frame;
    }
    default: {
      const body = serialize(message);
      const frame = newFrame(KIND.object, body.length);
      body.copy(frame, LENGTH_BYTES + KIND_BYTES);
      return frame;
    }
  }
}

function newFrame(kind: number, bodyBytes: number): Buffer {
  const length = KIND_BYTES + bodyBytes;
  if (length > MAX_FRAME_BYTES) {
    throw new GatewayError('internal', 'A message to or from a shared engine is too long.');
  }
  const frame = Buffer.allocUnsafe(LENGTH_BYTES + length);
  frame.writeUInt32LE(length, 0);
  frame.writeUInt8(kind, LENGTH_BYTES);
  return frame;
}

/** Makes messages of the bytes of one connection. Holds the beginning of at most one frame. */
export class FrameReader {
  #held: Buffer = Buffer.alloc(0);

  /**
   * The messages that `bytes` completes, in order.
   * @throws Error if the other end does not speak this
   */
  *read(bytes: Buffer): Generator<Message> {
    let rest = this.#held.length === 0 ? bytes : Buffer.concat([this.#held, bytes]);
    while (rest.length >= LENGTH_BYTES) {
      const length = rest.readUInt32LE(0);
      if (length < KIND_BYTES || length > MAX_FRAME_BYTES) throw new Error('a frame has an impossible length');
      if (rest.length < LENGTH_BYTES + length) break;
      const frame = rest.subarray(LENGTH_BYTES, LENGTH_BYTES + length);
      rest = rest.subarray(LENGTH_BYTES + length);
      yield decode(frame);
    }
    this.#held = rest;
  }
}

function decode(frame: Buffer): Message {
  const body = frame.subarray(KIND_BYTES);
  switch (frame[0]) {
    case KIND.object:
      return deserialize(body) as Message;
    case KIND.audio:
      // A copy, because the engine may keep it, and with it all the bytes that came in one piece.
      return { type: 'audio', stream: body.readUInt32LE(0), audio: Buffer.from(body.subarray(STREAM_BYTES)) };
    case KIND.taken:
      return { type: 'taken', stream: body.readUInt32LE(0) };
    default:
      throw new Error('a frame has an unknown kind');
  }
}
