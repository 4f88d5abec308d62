import { Writable } from 'node:stream';
import { type AudioStream, TranscribeStreamingClient } from '@aws-sdk/client-transcribe-streaming';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { decodeMessage } from '../../../../../src/emulator/event-stream.ts';
import { FrameReader } from '../../../../../src/emulator/frame-reader.ts';
import { encodeAudioFrame } from '../../../../../src/engines/aws/frames/audio-frame.ts';
import { type ChainStart, ChunkSigner } from '../../../../../src/engines/aws/frames/chunk-signer.ts';
import { framesOf, GOLDEN } from '../../../emulator/golden.ts';

/** Date and audio of a frame; no audio for the frame that ends it. */
function contentOf(frame: Buffer): { now: number; audio: Buffer | undefined } {
  const { headers, body } = decodeMessage(frame);
  const now = Number(headers.get(':date')?.value);
  return { now, audio: body.length === 0 ? undefined : decodeMessage(body).body };
}

/** The frames of the same audio at the same times, by our encoder. */
function encodeAgain(frames: readonly Buffer[], start: ChainStart): Buffer[] {
  const signer = new ChunkSigner(start);
  return frames.map((frame) => {
    const { now, audio } = contentOf(frame);
    return encodeAudioFrame(audio, signer, now);
  });
}

interface StockRequest {
  readonly frames: readonly Buffer[];
  readonly start: ChainStart;
}

const SECRET = 'a secret of the test';

/** What the stock SDK puts on the wire for this audio: a request handler that keeps it instead of sending it. */
async function stockRequest(audio: AsyncIterable<Buffer>, sessionToken?: string): Promise<StockRequest> {
  const parts: Buffer[] = [];
  const client = new TranscribeStreamingClient({
    region: 'eu-west-1',
    credentials: { accessKeyId: 'KEY', secretAccessKey: SECRET, ...(sessionToken && { sessionToken }) },
    logger: { trace() {}, debug() {}, info() {}, warn() {}, error() {} },
    disableClockSkewCorrection: true,
  });
  async function* events(): AsyncGenerator<AudioStream> {
    for await (const AudioChunk of audio) yield { AudioEvent: { AudioChunk } };
  }
  const sink = new Writable({
    objectMode: true,
    write: (part: Uint8Array, _encoding, done) => {
      parts.push(Buffer.from(part));
      done();
    },
  });
  const finished = new Promise((resolve) => sink.once('finish', resolve));
  // The stock parts by themselves: serialise, then sign behind a request that is signed already.
  const { eventStreamMarshaller, eventStreamPayloadHandler } = client.config;
  const signer = await client.config.signer({} as never);
  const signed = await signer.sign({
    method: 'POST',
    protocol: 'https:',
    hostname: 'transcribestreaming.eu-west-1.amazonaws.com',
    path: '/stream-transcription',
    query: {},
    headers: { 'x-amz-content-sha256': 'STREAMING-AWS4-HMAC-SHA256-EVENTS' },
  } as never);
  const body = eventStreamMarshaller.serialize(events(), (event: AudioStream) => ({
    headers: {
      ':event-type': { type: 'string', value: 'AudioEvent' },
      ':message-type': { type: 'string', value: 'event' },
      ':content-type': { type: 'string', value: 'application/octet-stream' },
    },
    body: event.AudioEvent?.AudioChunk ?? new Uint8Array(),
  }));
  const request = { ...(signed as object), body };
  await eventStreamPayloadHandler.handle(
    async (args) => {
      (args.request as { body: NodeJS.ReadableStream }).body.pipe(sink);
      await finished;
      return { response: {}, output: { $metadata: {} } } as never;
    },
    { input: {}, request },
  );
  const { authorization } = (signed as { headers: Record<string, string> }).headers;
  const [, signature = ''] = authorization?.match(/Signature=(\w+)$/) ?? [];
  return {
    frames: [...new FrameReader(1e7).push(Buffer.concat(parts))],
    start: { secretAccessKey: SECRET, region: 'eu-west-1', service: 'transcribe', signature },
  };
}

async function* each(chunks: Iterable<Buffer>): AsyncGenerator<Buffer> {
  yield* chunks;
}

describe('frames of audio', () => {
  afterEach(() => void vi.useRealTimers());

  it('are byte for byte those of a recorded request of the stock SDK', () => {
    const [, region = '', service = '', signature = ''] =
      String(GOLDEN.headers.authorization).match(/Credential=[^/]+\/\d+\/([^/]+)\/([^/]+)\/.*Signature=(\w+)$/) ?? [];
    const recorded = framesOf(GOLDEN);
    const ours = encodeAgain(recorded, {
      secretAccessKey: GOLDEN.credentials.secretAccessKey,
      region,
      service,
      signature,
    });
    expect(recorded.length).toBe(3);
    expect(ours).toEqual(recorded);
  });

  it('are those of the stock SDK for chunks of every size', async () => {
    const sizes = [0, 1, 2, 255, 256, 3200, 3201, 32_000, 70_000];
    const chunks = sizes.map((size) => Buffer.alloc(size, size % 251));
    const { frames, start } = await stockRequest(each(chunks));
    expect(frames.map((one) => contentOf(one).audio?.length)).toEqual([...sizes, undefined]);
    expect(encodeAgain(frames, start)).toEqual(frames);
  });

  it('are those of the stock SDK with a session token', async () => {
    const { frames, start } = await stockRequest(each([Buffer.from('audio')]), 'a token');
    expect(encodeAgain(frames, start)).toEqual(frames);
  });

  it('are signed with the key of their own day when a stream runs over midnight', async () => {
    vi.useFakeTimers({ toFake: ['Date'], now: Date.parse('2027-12-31T23:59:59.900Z') });
    async function* overMidnight(): AsyncGenerator<Buffer> {
      yield Buffer.from('before');
      // The stock path signs what it has been given before it is asked again by a later turn of the event loop.
      await new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
      vi.setSystemTime(Date.parse('2028-01-01T00:00:00.100Z'));
      yield Buffer.from('after');
    }
    const { frames, start } = await stockRequest(overMidnight());
    const years = frames.map((one) => new Date(contentOf(one).now).getUTCFullYear());
    expect(years).toEqual([2027, 2028, 2028]);
    expect(encodeAgain(frames, start)).toEqual(frames);
  });

  it('keep the audio they were given when the caller uses its buffer again', () => {
    const audio = Buffer.from('spoken');
    const signer = new ChunkSigner({ secretAccessKey: SECRET, region: 'r', service: 's', signature: '0'.repeat(64) });
    const frame = encodeAudioFrame(audio, signer, 1);
    audio.fill(0);
    expect(contentOf(frame).audio?.toString()).toBe('spoken');
  });
});
