/** The stock SDK as the emulator's tests use it: one call that streams audio and says all that came of it. */
import { Readable } from 'node:stream';
import {
  type Result,
  StartStreamTranscriptionCommand,
  type StartStreamTranscriptionCommandInput,
  type StartStreamTranscriptionCommandOutput,
  TranscribeStreamingClient,
  type TranscribeStreamingClientConfig,
} from '@aws-sdk/client-transcribe-streaming';
import { vi } from 'vitest';

/** Things given by hand, so that a test decides when the next one comes. */
export class Feed<T> implements AsyncIterable<T> {
  readonly #waiting: T[] = [];
  #ended = false;
  #wake: () => void = () => undefined;
  /** Things that were taken from here. */
  pulled = 0;

  push(...things: T[]): void {
    this.#waiting.push(...things);
    this.#wake();
  }

  end(): void {
    this.#ended = true;
    this.#wake();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<T> {
    for (;;) {
      const next = this.#waiting.shift();
      if (next !== undefined) {
        this.pulled += 1;
        yield next;
      } else if (this.#ended) return;
      else {
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
      }
    }
  }
}

type RequestParameters = Omit<Partial<StartStreamTranscriptionCommandInput>, 'AudioStream'>;

export interface Call {
  readonly url: string;
  readonly audio: Iterable<Buffer> | AsyncIterable<Buffer>;
  readonly parameters?: RequestParameters;
  readonly client?: Partial<TranscribeStreamingClientConfig>;
  readonly signal?: AbortSignal;
  /** Changes a signed frame on its way to the wire, or drops it. */
  readonly tamper?: (frame: Buffer, index: number) => Buffer | undefined;
  /** Told of each result as it comes. */
  readonly onResult?: (result: Result) => void;
}

export interface Answer {
  /** Undefined if `send` rejected. */
  readonly response: Omit<StartStreamTranscriptionCommandOutput, 'TranscriptResultStream'> | undefined;
  readonly events: number;
  readonly results: readonly Result[];
  readonly finals: readonly string[];
  /** The name of the error with which the call or its results ended, or `none`. */
  readonly error: string;
  readonly errorMessage: string;
  /** HTTP status of an error that was refused before the stream. */
  readonly status: number | undefined;
}

export const CREDENTIALS = { accessKeyId: 'test', secretAccessKey: 'test' };

async function* audioEvents(audio: Call['audio']) {
  for await (const AudioChunk of audio) yield { AudioEvent: { AudioChunk } };
}

/** Puts itself between the finished request and the wire. */
function addTampering(client: TranscribeStreamingClient, tamper: NonNullable<Call['tamper']>): void {
  async function* tampered(frames: AsyncIterable<Uint8Array>) {
    let index = 0;
    for await (const frame of frames) {
      const changed = tamper(Buffer.from(frame), index);
      index += 1;
      if (changed !== undefined) yield changed;
    }
  }
  client.middlewareStack.add(
    (next) => (args) => {
      const request = args.request as { body: Readable };
      request.body = Readable.from(tampered(request.body), { objectMode: false });
      return next(args);
    },
    { step: 'deserialize', priority: 'low', name: 'tamper' },
  );
}

/** Waits until the check passes; generous, because a loaded machine is slow and not wrong. */
export function eventually(check: () => void): Promise<void> {
  return vi.waitFor(check, { timeout: 10_000, interval: 5 });
}

/** Text of a result's best alternative. */
export function textOf(result: Result | undefined): string {
  return result?.Alternatives?.[0]?.Transcript ?? '';
}

/** Streams the audio and collects the answer; never rejects. */
export async function transcribe(call: Call): Promise<Answer> {
  const client = new TranscribeStreamingClient({
    region: 'us-east-1',
    endpoint: call.url,
    credentials: CREDENTIALS,
    logger: { trace() {}, debug() {}, info() {}, warn() {}, error() {} },
    ...call.client,
  });
  if (call.tamper) addTampering(client, call.tamper);
  const results: Result[] = [];
  let response: Answer['response'];
  let events = 0;
  const done = (error: string, errorMessage = '', status: number | undefined = undefined): Answer => {
    client.destroy();
    const finals = results.filter((result) => !result.IsPartial).map(textOf);
    return { response, events, results, finals, error, errorMessage, status };
  };
  try {
    const { TranscriptResultStream, ...rest } = await client.send(
      new StartStreamTranscriptionCommand({
        LanguageCode: 'LanguageCode' in (call.parameters ?? {}) ? undefined : 'en-US',
        MediaEncoding: 'pcm',
        MediaSampleRateHertz: 16_000,
        ...call.parameters,
        AudioStream: audioEvents(call.audio),
      }),
      { ...(call.signal && { abortSignal: call.signal }) },
    );
    response = rest;
    for await (const event of TranscriptResultStream ?? []) {
      events += 1;
      for (const result of event.TranscriptEvent?.Transcript?.Results ?? []) {
        results.push(result);
        call.onResult?.(result);
      }
    }
    return done('none');
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    const { $metadata } = error as { $metadata?: { httpStatusCode?: number } };
    return done(error.name, error.message, $metadata?.httpStatusCode);
  }
}
