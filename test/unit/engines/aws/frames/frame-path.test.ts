/** The contract between the pinned SDK and our two hooks, against a server that says exactly what each test needs. */
import { once } from 'node:events';
import { type ClientHttp2Stream, constants, type ServerHttp2Stream } from 'node:http2';
import {
  type AudioStream,
  BadRequestException,
  ConflictException,
  InternalFailureException,
  LimitExceededException,
  ServiceUnavailableException,
  TranscribeStreamingClient,
} from '@aws-sdk/client-transcribe-streaming';
import { afterEach, describe, expect, it } from 'vitest';
import { decodeMessage } from '../../../../../src/emulator/event-stream.ts';
import { FrameReader } from '../../../../../src/emulator/frame-reader.ts';
import { FrameError } from '../../../../../src/engines/aws/frames/frame-error.ts';
import { fastFramePath } from '../../../../../src/engines/aws/frames/frame-path.ts';
import { eventually } from '../../../emulator/sdk-client.ts';
import {
  answering,
  eventFrame,
  exceptionFrame,
  frame,
  type Heard,
  IdleAudio,
  noAudio,
  type Opening,
  open,
  type RawServer,
  readAll,
  startRawServer,
} from './raw-server.ts';

const NOTHING_SAID = eventFrame('TranscriptEvent', '{"Transcript":{"Results":[]}}');

let server: RawServer | undefined;

afterEach(async () => {
  await server?.close();
  server = undefined;
});

async function serve(behaviour: (stream: ServerHttp2Stream) => void): Promise<string> {
  server = await startRawServer(behaviour);
  return server.url;
}

const fast = ({ client, ...opening }: Opening) => open({ ...opening, client: { ...fastFramePath(), ...client } });

/** All that one path makes of an answer. */
async function heardBy(client: Opening['client'], url: string): Promise<Heard> {
  try {
    return await readAll(await open({ url, audio: noAudio(), ...(client && { client }) }));
  } catch (error) {
    return { events: [], error };
  }
}

/** The error of an answer by our path. */
async function failure(behaviour: (stream: ServerHttp2Stream) => void, audio: AsyncIterable<AudioStream> = noAudio()) {
  const { error } = await readAll(await fast({ url: await serve(behaviour), audio }));
  return error;
}

describe('the SDK with the fast frame path', () => {
  it('resolves send with the headers, before any event', async () => {
    let stream: ServerHttp2Stream | undefined;
    const url = await serve((opened) => {
      stream = opened;
      opened.respond({ ':status': 200, 'x-amzn-transcribe-session-id': 'early', 'x-amzn-request-id': 'request' });
    });
    const response = await fast({ url, audio: new IdleAudio() });
    expect(response.SessionId).toBe('early');
    expect(response.RequestId).toBe('request');
    stream?.write(NOTHING_SAID);
    const results = response.TranscriptResultStream?.[Symbol.asyncIterator]();
    expect(await results?.next()).toEqual({
      done: false,
      value: { TranscriptEvent: { Transcript: { Results: [] } } },
    });
  });

  it('gives events of the shape that the stock path gives', async () => {
    const result = {
      ResultId: 'r1',
      StartTime: 0.105,
      EndTime: 2,
      IsPartial: false,
      ChannelId: null,
      LanguageCode: 'en-US',
      LanguageIdentification: [{ LanguageCode: 'en-US', Score: 0.97 }],
      Alternatives: [
        {
          Transcript: 'null is größer',
          Entities: null,
          Items: [
            {
              StartTime: 1e-3,
              EndTime: 1,
              Type: 'pronunciation',
              Content: 'null',
              Confidence: null,
              Speaker: '0',
              Stable: true,
              VocabularyFilterMatch: false,
            },
          ],
        },
      ],
    };
    const url = await serve(
      answering(
        NOTHING_SAID,
        eventFrame('TranscriptEvent', JSON.stringify({ Transcript: { Results: [result] } })),
        eventFrame('EventOfTomorrow', '{"Value":1}'),
        eventFrame('TranscriptEvent', '{}'),
        eventFrame('TranscriptEvent', ''),
        eventFrame('TranscriptEvent', '{"Transcript":null}'),
      ),
    );
    const stock = await heardBy(undefined, url);
    const ours = await heardBy(fastFramePath(), url);
    expect(stock.error).toBeUndefined();
    expect(stock.events.length).toBe(5);
    expect(ours).toStrictEqual(stock);
  });

  it('sends what is signed after the request, and the end', async () => {
    const parts: Buffer[] = [];
    const ended = Promise.withResolvers<void>();
    const url = await serve((stream) => {
      stream.respond({ ':status': 200 });
      stream.on('data', (chunk: Buffer) => parts.push(chunk));
      stream.once('end', () => {
        stream.end();
        ended.resolve();
      });
    });
    async function* audio(): AsyncGenerator<AudioStream> {
      yield { AudioEvent: { AudioChunk: Buffer.from('one') } };
      yield { AudioEvent: { AudioChunk: Buffer.from('two') } };
    }
    expect((await readAll(await fast({ url, audio: audio() }))).error).toBeUndefined();
    await ended.promise;
    const bodies = [...new FrameReader(1e6).push(Buffer.concat(parts))].map((one) => decodeMessage(one).body);
    expect(bodies.map((body) => (body.length === 0 ? '' : decodeMessage(body).body.toString()))).toEqual([
      'one',
      'two',
      '',
    ]);
  });

  describe('throws to the reader of the results', () => {
    it.each([
      ['BadRequestException', BadRequestException],
      ['LimitExceededException', LimitExceededException],
      ['InternalFailureException', InternalFailureException],
      ['ConflictException', ConflictException],
      ['ServiceUnavailableException', ServiceUnavailableException],
    ])('%s as the SDK models it, even as the first frame', async (name, type) => {
      const url = await serve(answering(exceptionFrame(name, '{"Message":"the reason"}')));
      const ours = await heardBy(fastFramePath(), url);
      const stock = await heardBy(undefined, url);
      expect(ours.error).toBeInstanceOf(type);
      expect(ours.error).toMatchObject({ name, message: 'the reason' });
      // Thrown by `send` on the stock path, with the answer's metadata added to it.
      expect(stock.error).toBeInstanceOf(type);
      expect(stock.error).toMatchObject({ name, message: 'the reason' });
    });

    it('an exception after the events before it, and then no more', async () => {
      const url = await serve(
        answering(NOTHING_SAID, exceptionFrame('ConflictException', '{"Message":"taken"}'), NOTHING_SAID),
      );
      const response = await fast({ url, audio: noAudio() });
      const heard = await readAll(response);
      expect(heard.events.length).toBe(1);
      expect(heard.error).toBeInstanceOf(ConflictException);
      expect(await readAll(response)).toEqual({ events: [], error: undefined });
    });

    it('an exception that the SDK does not know, by its name and body', async () => {
      const error = await failure(answering(exceptionFrame('ExceptionOfTomorrow', '{"Message":"why"}')));
      expect(error).toMatchObject({ name: 'ExceptionOfTomorrow', message: '{"Message":"why"}' });
    });

    it('an exception whose body is malformed, by its name', async () => {
      const error = await failure(answering(exceptionFrame('BadRequestException', 'no JSON')));
      expect(error).toMatchObject({ name: 'BadRequestException', message: 'no JSON' });
    });

    it('an error that the service does not model', async () => {
      const headers = { ':message-type': 'error', ':error-code': 'Odd', ':error-message': 'why' };
      expect(await failure(answering(frame(headers, '')))).toMatchObject({ name: 'Odd', message: 'why' });
    });

    it.each([
      ['a message of no known type', frame({ ':message-type': 'riddle' }, ''), 'bad_headers'],
      ['a message without headers', frame({}, ''), 'bad_headers'],
      ['an event that is no JSON', eventFrame('TranscriptEvent', '{'), 'bad_body'],
      ['half a message', NOTHING_SAID.subarray(0, 50), 'truncated'],
      ['half a prelude', NOTHING_SAID.subarray(0, 5), 'truncated'],
      ['bytes that are no message', Buffer.alloc(100), 'prelude_checksum'],
    ])('a typed error for %s, after the events before it', async (_, bytes, fault) => {
      const url = await serve(answering(NOTHING_SAID, bytes));
      const heard = await readAll(await fast({ url, audio: noAudio() }));
      expect(heard.events.length).toBe(1);
      expect(heard.error).toBeInstanceOf(FrameError);
      expect(heard.error).toMatchObject({ fault });
    });

    // Not `close`, by which Node's server ends the answer in order before it resets the stream.
    it.each([
      ['with an error code', new Error('broken'), constants.NGHTTP2_INTERNAL_ERROR],
      ['without an error', undefined, constants.NGHTTP2_NO_ERROR],
    ])('a reset %s while audio was sent', async (_, reason, rstCode) => {
      const audio = new IdleAudio();
      const error = await failure((stream) => {
        stream.respond({ ':status': 200 });
        stream.write(NOTHING_SAID, () => stream.destroy(reason));
      }, audio);
      expect(error).toMatchObject({ name: 'FrameError', fault: 'reset', rstCode });
      await eventually(() => expect(audio.returned).toBe(1));
    });

    it('a stream that broke before the SDK came to read it', async () => {
      const audio = new IdleAudio();
      const url = await serve((stream) => {
        stream.respond({ ':status': 200 });
        stream.write(NOTHING_SAID, () => stream.destroy(new Error('broken')));
      });
      const { requestHandler } = new TranscribeStreamingClient({ region: 'us-east-1' }).config;
      /** Between the headers and us the SDK loads code, which may take long enough for all to be over. */
      const late = {
        handle: async (...args: Parameters<typeof requestHandler.handle>) => {
          const result = await requestHandler.handle(...args);
          const body = result.response.body as ClientHttp2Stream;
          if (!body.closed) await new Promise((resolve) => body.once('close', resolve));
          return result;
        },
      };
      const response = await fast({ url, audio, client: { requestHandler: late } });
      expect((await readAll(response)).error).toMatchObject({ fault: 'reset' });
      expect(audio.returned).toBe(1);
    });

    it('a reset after the audio has ended', async () => {
      const error = await failure((stream) => {
        stream.respond({ ':status': 200 });
        stream.resume();
        stream.once('end', () => stream.destroy(new Error('broken')));
      });
      expect(error).toMatchObject({ fault: 'reset', rstCode: constants.NGHTTP2_INTERNAL_ERROR });
    });

    it('a lost connection', async () => {
      const audio = new IdleAudio();
      const error = await failure((stream) => {
        stream.respond({ ':status': 200 });
        stream.write(NOTHING_SAID, () => stream.session?.destroy());
      }, audio);
      expect(error).toMatchObject({ fault: 'reset' });
      await eventually(() => expect(audio.returned).toBe(1));
    });

    it('a lost connection after the audio has ended', async () => {
      const url = await serve((stream) => {
        stream.respond({ ':status': 200 });
        stream.resume();
        stream.once('end', () => stream.session?.destroy());
      });
      const answered = Promise.withResolvers<void>();
      async function* audio(): AsyncGenerator<AudioStream> {
        yield { AudioEvent: { AudioChunk: Buffer.alloc(2) } };
        await answered.promise;
      }
      const response = await fast({ url, audio: audio() });
      answered.resolve();
      expect((await readAll(response)).error).toMatchObject({ fault: 'reset' });
    });

    it('a GOAWAY with a code', async () => {
      const audio = new IdleAudio();
      const error = await failure((stream) => {
        stream.respond({ ':status': 200 });
        stream.write(NOTHING_SAID, () => stream.session?.goaway(constants.NGHTTP2_ENHANCE_YOUR_CALM));
      }, audio);
      expect(error).toMatchObject({ fault: 'reset' });
      expect((error as FrameError).cause).toMatchObject({ code: 'ERR_HTTP2_SESSION_ERROR' });
      await eventually(() => expect(audio.returned).toBe(1));
    });

    it('an end before the audio has ended', async () => {
      const audio = new IdleAudio();
      const error = await failure((stream) => {
        stream.respond({ ':status': 200 });
        stream.end(NOTHING_SAID);
      }, audio);
      expect(error).toMatchObject({ fault: 'early_end' });
      await eventually(() => expect(audio.returned).toBe(1));
    });

    it('the failure of the audio itself', async () => {
      const url = await serve((stream) => {
        stream.respond({ ':status': 200 });
        stream.resume();
      });
      const answered = Promise.withResolvers<void>();
      const cause = new Error('microphone gone');
      async function* audio(): AsyncGenerator<AudioStream> {
        yield { AudioEvent: { AudioChunk: Buffer.alloc(2) } };
        await answered.promise;
        throw cause;
      }
      const response = await fast({ url, audio: audio() });
      answered.resolve();
      expect((await readAll(response)).error).toMatchObject({ name: 'FrameError', fault: 'audio_failed', cause });
    });
  });

  it('rejects send with the failure of the audio before an answer', async () => {
    const url = await serve(() => undefined);
    async function* audio(): AsyncGenerator<AudioStream> {
      yield { ConfigurationEvent: {} };
    }
    const error = await fast({ url, audio: audio() }).catch((reason: unknown) => reason);
    expect(error).toMatchObject({ fault: 'audio_failed', cause: { message: 'only audio events can be sent' } });
  });

  it('goes on to the end after a GOAWAY without an error', async () => {
    const url = await serve((stream) => {
      stream.respond({ ':status': 200 });
      stream.write(NOTHING_SAID);
      stream.session?.goaway(constants.NGHTTP2_NO_ERROR);
      stream.resume();
      stream.once('end', () => stream.end(NOTHING_SAID));
    });
    const heard = await readAll(await fast({ url, audio: noAudio() }));
    expect(heard.error).toBeUndefined();
    expect(heard.events.length).toBe(2);
  });

  it('pulls no more audio than fits while the service does not read, and gives the audio back when aborted', async () => {
    const url = await serve((stream) => {
      stream.respond({ ':status': 200 });
      stream.pause();
    });
    let pulled = 0;
    let returned = 0;
    const audio: AsyncIterable<AudioStream> & AsyncIterator<AudioStream> = {
      next: async () => {
        pulled += 1;
        await new Promise((resolve) => setImmediate(resolve));
        return { done: false, value: { AudioEvent: { AudioChunk: Buffer.alloc(3200) } } };
      },
      return: async () => {
        returned += 1;
        return { done: true, value: undefined };
      },
      [Symbol.asyncIterator]: () => audio,
    };
    const abort = new AbortController();
    const response = await fast({ url, audio, signal: abort.signal });
    let before = -1;
    await eventually(() => {
      const now = pulled;
      const settled = now === before;
      before = now;
      expect(settled && now > 20).toBe(true);
    });
    // The window of HTTP/2 at the server, what may wait at the client, and Node's own buffers between them.
    expect(pulled * 3387).toBeLessThan(4 * 64 * 1024);
    abort.abort();
    expect((await readAll(response)).error).toMatchObject({ fault: 'reset' });
    await eventually(() => expect(returned).toBe(1));
  });

  it('goes on with the audio when the service reads again', async () => {
    let received = 0;
    const paused = Promise.withResolvers<ServerHttp2Stream>();
    const url = await serve((stream) => {
      stream.respond({ ':status': 200 });
      stream.on('data', (chunk: Buffer) => {
        received += chunk.length;
      });
      stream.pause();
      stream.once('end', () => stream.end());
      paused.resolve(stream);
    });
    let pulled = 0;
    async function* audio(): AsyncGenerator<AudioStream> {
      for (; pulled < 200; pulled += 1) yield { AudioEvent: { AudioChunk: Buffer.alloc(3200) } };
    }
    const response = await fast({ url, audio: audio() });
    const stream = await paused.promise;
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(pulled).toBeLessThan(100);
    stream.resume();
    expect((await readAll(response)).error).toBeUndefined();
    expect(received).toBe(200 * 3387 + 83);
  });

  it('lets the service wait while nobody reads the results, and loses none', async () => {
    const big = eventFrame(
      'TranscriptEvent',
      JSON.stringify({ Transcript: { Results: [{ ResultId: 'r'.repeat(9000) }] } }),
    );
    let stream: ServerHttp2Stream | undefined;
    const url = await serve((opened) => {
      stream = opened;
      opened.respond({ ':status': 200 });
      for (let count = 0; count < 100; count += 1) opened.write(big);
      opened.resume();
      opened.once('end', () => opened.end());
    });
    const response = await fast({ url, audio: noAudio() });
    let before = -1;
    await eventually(() => {
      const now = stream?.writableLength ?? 0;
      const settled = now === before;
      before = now;
      expect(settled && now > 0).toBe(true);
    });
    expect(before).toBeGreaterThan(100 * 9000 - 4 * 64 * 1024);
    const heard = await readAll(response);
    expect(heard.error).toBeUndefined();
    expect(heard.events.length).toBe(100);
  });

  it('closes the stream and gives the audio back when the reader leaves its loop', async () => {
    const audio = new IdleAudio();
    const closed = Promise.withResolvers<number>();
    const url = await serve((stream) => {
      stream.respond({ ':status': 200 });
      stream.write(NOTHING_SAID);
      stream.once('close', () => closed.resolve(stream.rstCode));
    });
    const response = await fast({ url, audio });
    for await (const _ of response.TranscriptResultStream ?? []) break;
    expect(await closed.promise).toBe(constants.NGHTTP2_CANCEL);
    expect(audio.returned).toBe(1);
    expect(await readAll(response)).toEqual({ events: [], error: undefined });
  });

  it('gives the audio back when send is aborted before an answer', async () => {
    const audio = new IdleAudio();
    const abort = new AbortController();
    const url = await serve(() => abort.abort());
    await expect(fast({ url, audio, signal: abort.signal })).rejects.toThrow('aborted');
    await eventually(() => expect(audio.returned).toBe(1));
  });

  it('rejects send with the SDK’s typed error for an HTTP error, and gives the audio back', async () => {
    const audio = new IdleAudio();
    const url = await serve((stream) => {
      stream.respond({ ':status': 429, 'x-amzn-errortype': 'LimitExceededException' });
      stream.end('{"Message":"too many"}');
    });
    const error = await fast({ url, audio }).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(LimitExceededException);
    expect(error).toMatchObject({ message: 'too many', $metadata: { httpStatusCode: 429 } });
    await eventually(() => expect(audio.returned).toBe(1));
  });

  it('rejects send and gives the audio back when the connection is refused', async () => {
    const audio = new IdleAudio();
    const url = await serve(() => undefined);
    await server?.close();
    server = undefined;
    await expect(fast({ url, audio })).rejects.toThrow();
    await eventually(() => expect(audio.returned).toBe(1));
  });

  it('rejects send when the credentials change between the request’s signature and its audio', async () => {
    const url = await serve(answering());
    let calls = 0;
    const credentials = async () => {
      calls += 1;
      return { accessKeyId: `key${calls}`, secretAccessKey: 'secret', expiration: new Date(0) };
    };
    await expect(fast({ url, audio: noAudio(), client: { credentials } })).rejects.toThrow('rotated');
  });

  it('refuses to work with one hook only', async () => {
    const url = await serve(answering());
    const { eventStreamPayloadHandlerProvider } = fastFramePath();
    const sent = open({ url, audio: noAudio(), client: { eventStreamPayloadHandlerProvider } });
    await expect(sent).rejects.toThrow('both hooks');
  });
});

describe('the stock path', () => {
  // Why ours exists; when one of these fails, the SDK has learned it and ours may have less to do.
  it('hides that the stream was reset', async () => {
    const url = await serve((stream) => {
      stream.respond({ ':status': 200 });
      stream.write(NOTHING_SAID, () => stream.close(constants.NGHTTP2_CANCEL));
    });
    const { error } = await readAll(await open({ url, audio: new IdleAudio() }));
    expect(error).toBeUndefined();
  });

  it('resolves send only with the first event', async () => {
    const opened = Promise.withResolvers<ServerHttp2Stream>();
    const url = await serve((stream) => {
      stream.respond({ ':status': 200 });
      opened.resolve(stream);
    });
    let resolved = false;
    const sent = open({ url, audio: new IdleAudio() }).then(() => {
      resolved = true;
    });
    const stream = await opened.promise;
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(resolved).toBe(false);
    stream.write(NOTHING_SAID);
    await sent;
    stream.close();
    await once(stream, 'close');
  });
});
