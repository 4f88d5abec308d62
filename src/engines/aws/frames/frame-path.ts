/**
 * A shorter way for the frames of the official SDK, by two entries of its own configuration. The client keeps
 * credentials, endpoint, middleware, the request's signature and the errors of the HTTP answer; ours are the frames of
 * audio, their signatures, and the frames of the answer. The second entry is marked internal: the version of the SDK is
 * pinned and `test/unit/engines/aws/frames` holds its contract.
 */
import type { ClientHttp2Stream } from 'node:http2';
import type { AudioStream, TranscribeStreamingClientConfig } from '@aws-sdk/client-transcribe-streaming';
import { AudioBody } from './audio-body.ts';
import { type ChainStart, ChunkSigner } from './chunk-signer.ts';
import { FrameError } from './frame-error.ts';
import { ResultStream } from './result-stream.ts';

type Config = Required<TranscribeStreamingClientConfig>;
type Marshaller = ReturnType<Config['eventStreamSerdeProvider']>;
type PayloadHandler = ReturnType<Config['eventStreamPayloadHandlerProvider']>;
/** What the client has resolved of its configuration and gives to its payload handler. */
interface ResolvedConfig {
  readonly credentials: () => Promise<{ readonly accessKeyId: string; readonly secretAccessKey: string }>;
}
type Deserializer = Parameters<Marshaller['deserialize']>[1];

/** Authorization header of signature version 4, as the SDK's signer writes it. */
const AUTHORIZATION = /Credential=([^/]+)\/\d{8}\/([^/]+)\/([^/]+)\/aws4_request.*Signature=([0-9a-f]{64})$/;

/** An iterator that has nothing, for the SDK's look at the first event. */
const NOTHING: AsyncIterator<never> = { next: async () => ({ done: true, value: undefined }) };

/**
 * What `deserialize` gives to the SDK, which first takes the first event from one iterator, to see if it is an initial
 * response, and only then resolves `send`. To that iterator the stream is over: then the SDK hands this very object to
 * the caller, so that `send` resolves with the headers, and nothing of the SDK is between the caller and the results.
 */
function afterFirstLook<T>(results: AsyncIterable<T>): AsyncIterable<T> {
  let looked = false;
  return {
    [Symbol.asyncIterator](): AsyncIterator<T> {
      if (looked) return results[Symbol.asyncIterator]();
      looked = true;
      return NOTHING;
    },
  };
}

/** The SDK's own deserialiser makes the exceptions: they are rare, and then of its classes. */
function exceptionMaker(deserialize: Deserializer) {
  return async (name: string, body: Buffer): Promise<Error> => {
    try {
      const made = (await deserialize({ [name]: { headers: {}, body } })) as Record<string, unknown>;
      if (made[name] instanceof Error) return made[name];
    } catch {
      // A body that is not what the SDK expects: its text is all that can be said.
    }
    const error = new Error(body.toString());
    error.name = name;
    return error;
  };
}

const MARSHALLER: Marshaller = {
  // The audio is taken from the command's input in `handle`, without the two generators that wrap it here.
  serialize: () => new AudioBody(),
  deserialize: <T>(body: ClientHttp2Stream, deserializer: Deserializer) => {
    return afterFirstLook(new ResultStream(body, exceptionMaker(deserializer))) as AsyncIterable<T>;
  },
};

/** @throws Error if the request was not signed by signature version 4 or with other credentials than are in use now */
async function chainStart(authorization: string | undefined, config: ResolvedConfig): Promise<ChainStart> {
  const [, accessKeyId, region, service, signature] = authorization?.match(AUTHORIZATION) ?? [];
  if (region === undefined || service === undefined || signature === undefined) {
    throw new Error('the request has no signature of version 4 to sign its audio after');
  }
  const credentials = await config.credentials();
  if (credentials.accessKeyId !== accessKeyId) {
    throw new Error('the credentials were rotated while the request was signed');
  }
  return { secretAccessKey: credentials.secretAccessKey, region, service, signature };
}

function payloadHandler(config: ResolvedConfig): PayloadHandler {
  return {
    async handle(next, args) {
      const request = args.request as { headers: Record<string, string>; body: unknown };
      const { body } = request;
      if (!(body instanceof AudioBody)) throw new Error('both hooks of the frame path must be configured together');
      try {
        const { AudioStream: audio } = args.input as { readonly AudioStream: AsyncIterable<AudioStream> };
        const start = await chainStart(request.headers.authorization, config);
        body.prepare({ audio, signer: new ChunkSigner(start) });
        return await next(args);
      } catch (error) {
        body.destroy();
        const cause = body.connectionError;
        throw body.failure ?? (cause === undefined ? error : new FrameError('reset', { cause }));
      }
    },
  };
}

/**
 * The two entries to spread into the configuration of a `TranscribeStreamingClient` that runs
 * `StartStreamTranscriptionCommand`s over its own HTTP/2 handler, cleartext or TLS. `disableClockSkewCorrection: true`
 * belongs beside them: the frames are dated by our clock.
 *
 * Other than by the stock path:
 * - `send` resolves with the response's headers. An exception frame, even the first, is thrown to the reader of
 *   `TranscriptResultStream`, as the SDK's modelled error.
 * - A stream that breaks, ends early or sends malformed frames throws a `FrameError` to the reader. One thing cannot be
 *   seen: after the end of the audio, a reset without an error code looks like the answer's end.
 * - An audio iterator that throws breaks the stream, with a `FrameError` to the reader or, before the headers, of `send`.
 * - The audio iterator's `return` is called when the stream ends before the audio, and leaving the result loop closes
 *   the stream. An async generator that waits inside is returned by the language only when its wait is over.
 * - A connection that cannot be made is told with its reason, by a `FrameError` of `send`.
 * - Audio is taken only while less than 64 KiB of it waits in the HTTP/2 stream.
 */
export function fastFramePath(): Pick<Config, 'eventStreamSerdeProvider' | 'eventStreamPayloadHandlerProvider'> {
  return {
    eventStreamSerdeProvider: () => MARSHALLER,
    eventStreamPayloadHandlerProvider: payloadHandler,
  };
}
