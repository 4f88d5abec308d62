/** An HTTP/2 server that says what a test tells it to, and the stock client against it. */
import { once } from 'node:events';
import { createServer, type ServerHttp2Stream } from 'node:http2';
import type { AddressInfo } from 'node:net';
import {
  type AudioStream,
  StartStreamTranscriptionCommand,
  type StartStreamTranscriptionCommandOutput,
  TranscribeStreamingClient,
  type TranscribeStreamingClientConfig,
  type TranscriptResultStream,
} from '@aws-sdk/client-transcribe-streaming';
import { encodeMessage } from '../../../../../src/emulator/event-stream.ts';
import { CREDENTIALS } from '../../../emulator/sdk-client.ts';

export interface RawServer {
  readonly url: string;
  close(): Promise<void>;
}

/** @param serve told of each stream; nothing is said on it but by this */
export async function startRawServer(serve: (stream: ServerHttp2Stream) => void): Promise<RawServer> {
  const streams: ServerHttp2Stream[] = [];
  const server = createServer();
  server.on('stream', (stream) => {
    streams.push(stream);
    stream.on('error', () => undefined);
    serve(stream);
  });
  server.on('sessionError', () => undefined);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: async () => {
      for (const stream of streams) stream.session?.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}

/** Answers with these bytes, and ends when the client has ended. */
export function answering(...parts: readonly Buffer[]): (stream: ServerHttp2Stream) => void {
  return (stream) => {
    stream.respond({ ':status': 200, 'x-amzn-transcribe-session-id': 'the-session' });
    for (const part of parts) stream.write(part);
    stream.resume();
    stream.once('end', () => stream.end());
  };
}

export function frame(headers: Readonly<Record<string, string>>, body: string): Buffer {
  return encodeMessage(
    Object.entries(headers).map(([name, value]) => [name, { type: 'string', value }] as const),
    Buffer.from(body),
  );
}

export function eventFrame(type: string, body: string): Buffer {
  return frame({ ':event-type': type, ':content-type': 'application/json', ':message-type': 'event' }, body);
}

export function exceptionFrame(type: string, body: string): Buffer {
  return frame({ ':exception-type': type, ':content-type': 'application/json', ':message-type': 'exception' }, body);
}

/** Audio that never comes, and that tells when it is given back; a generator in the same place could not be. */
export class IdleAudio implements AsyncIterable<AudioStream>, AsyncIterator<AudioStream> {
  returned = 0;

  next(): Promise<IteratorResult<AudioStream>> {
    return new Promise(() => undefined);
  }

  async return(): Promise<IteratorResult<AudioStream>> {
    this.returned += 1;
    return { done: true, value: undefined };
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}

export async function* noAudio(): AsyncGenerator<AudioStream> {}

export interface Opening {
  readonly url: string;
  readonly audio: AsyncIterable<AudioStream>;
  readonly client?: Partial<TranscribeStreamingClientConfig>;
  readonly signal?: AbortSignal;
}

/** Only `send`: the caller reads the results. */
export function open({ url, audio, client, signal }: Opening): Promise<StartStreamTranscriptionCommandOutput> {
  const transcribe = new TranscribeStreamingClient({
    region: 'us-east-1',
    endpoint: url,
    credentials: CREDENTIALS,
    disableClockSkewCorrection: true,
    logger: { trace() {}, debug() {}, info() {}, warn() {}, error() {} },
    ...client,
  });
  return transcribe.send(
    new StartStreamTranscriptionCommand({
      LanguageCode: 'en-US',
      MediaEncoding: 'pcm',
      MediaSampleRateHertz: 16_000,
      AudioStream: audio,
    }),
    { ...(signal && { abortSignal: signal }) },
  );
}

export interface Heard {
  readonly events: readonly TranscriptResultStream[];
  readonly error: unknown;
}

/** Reads to the end; never rejects. */
export async function readAll(response: StartStreamTranscriptionCommandOutput): Promise<Heard> {
  const events: TranscriptResultStream[] = [];
  try {
    for await (const event of response.TranscriptResultStream ?? []) events.push(event);
    return { events, error: undefined };
  } catch (error) {
    return { events, error };
  }
}
