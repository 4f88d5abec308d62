import { once } from 'node:events';
import { existsSync, statSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { dirname } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Engine, EngineResult, EngineStream, EngineStreamOptions } from '../../../../src/engines/engine.ts';
import { connectEngine } from '../../../../src/engines/hosted/connect-engine.ts';
import { encodeFrame } from '../../../../src/engines/hosted/frames.ts';
import { makePrivatePath, type PrivatePath } from '../../../../src/engines/hosted/private-path.ts';
import { type EngineHost, serveEngine } from '../../../../src/engines/hosted/serve-engine.ts';
import { ResultQueue } from '../../../../src/engines/result-queue.ts';
import { type Script, ScriptedEngine } from '../../../../src/engines/scripted/scripted-engine.ts';
import { GatewayError } from '../../../../src/errors.ts';

const SECOND = 32_000;
const OPTIONS: EngineStreamOptions = { languageCode: 'en-US', sampleRate: 16_000, channels: 1, continuation: false };

let place: PrivatePath;
let host: EngineHost | undefined;
const clients: Engine[] = [];
const sockets: Socket[] = [];
beforeEach(async () => {
  place = await makePrivatePath();
});
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  for (const client of clients.splice(0)) await client.close();
  await host?.close();
  await place.remove();
});

/** Hosts an engine; what it returns connects to it. */
async function share(engine: Engine): Promise<() => Promise<Engine>> {
  host = await serveEngine(engine, place.path);
  return async () => {
    const client = await connectEngine(place.path);
    clients.push(client);
    return client;
  };
}

async function shareScript(script: Partial<Script>): Promise<{ engine: ScriptedEngine; client: Engine }> {
  const engine = new ScriptedEngine({ script: () => ({ steps: [], ...script }) });
  return { engine, client: await (await share(engine))() };
}

function open(engine: Engine, signal = new AbortController().signal): Promise<EngineStream> {
  return engine.open(OPTIONS, signal);
}

async function collect(stream: EngineStream, results: EngineResult[] = []): Promise<EngineResult[]> {
  for await (const result of stream.results) results.push(result);
  return results;
}

/** An engine whose streams do nothing by themselves. */
class IdleEngine implements Engine {
  readonly capabilities = new ScriptedEngine({ script: () => ({ steps: [] }) }).capabilities;
  readonly streams: IdleStream[] = [];
  readonly opened: EngineStreamOptions[] = [];
  isFull = false;
  /** What the next `open` waits for. */
  slow: Promise<void> = Promise.resolve();
  /** Results of the streams that open from now on. */
  flood: ((stream: IdleStream) => AsyncIterable<EngineResult>) | undefined;

  async open(options: EngineStreamOptions): Promise<EngineStream> {
    const { flood, slow } = this;
    this.slow = Promise.resolve();
    this.opened.push(options);
    await slow;
    const stream = new IdleStream();
    this.streams.push(stream);
    return flood === undefined ? stream : Object.assign(stream, { results: flood(stream), abort: vi.fn() });
  }

  readonly close = vi.fn(async () => undefined);
}

class IdleStream implements EngineStream {
  readonly results = new ResultQueue(1_000_000, () => this.abort());
  readonly abort = vi.fn(() => this.results.discard());
  readonly end = vi.fn(() => this.results.close());
  readonly write = vi.fn((_audio: Buffer) => Promise.resolve());
}

function resultOf(n: number, text = 'word'): EngineResult {
  return { resultId: `u${n}`, isPartial: false, text, startSample: n, endSample: n + 1 };
}

describe('an engine in another process', () => {
  it('says whether it has room', async () => {
    const engine = new IdleEngine();
    const client = await (await share(engine))();
    expect(client.isFull).toBe(false);
    engine.isFull = true;
    await expect.poll(() => client.isFull, { timeout: 2_000 }).toBe(true);
    engine.isFull = false;
    await expect.poll(() => client.isFull, { timeout: 2_000 }).toBe(false);
  });

  it('passes options, audio and results over as they are', async () => {
    const engine = new IdleEngine();
    const client = await (await share(engine))();
    expect(client.capabilities).toEqual(engine.capabilities);
    const options: EngineStreamOptions = {
      ...OPTIONS,
      languageCode: undefined,
      identify: { languages: 'one', options: ['en-US', 'de-DE'] },
      vocabularyFilter: { names: ['ü'], method: 'mask' },
    };
    const stream = await client.open(options, new AbortController().signal);
    expect(engine.opened).toStrictEqual([options]);
    const audio = Buffer.from(Array.from({ length: 190_000 }, (_, n) => n % 251));
    await stream.write(Buffer.from(audio));
    await stream.write(Buffer.alloc(2, 7));
    const [hosted] = engine.streams;
    expect(hosted?.write.mock.calls.map(([given]) => given)).toEqual([audio, Buffer.alloc(2, 7)]);
    const result: EngineResult = { ...resultOf(1, 'Grüße'), confidence: 0.123456789, channel: 0, items: [] };
    hosted?.results.push(result);
    stream.end();
    expect(await collect(stream)).toStrictEqual([result]);
  });

  it('passes errors over with code, message and decision, and their cause for the log', async () => {
    const error = new GatewayError('quota_exhausted', 'All taken.', {
      retryable: false,
      retryAfterMs: 1_234,
      cause: new TypeError('why', { cause: () => 'what cannot be sent' }),
    });
    const same = {
      name: 'GatewayError',
      code: 'quota_exhausted',
      message: 'All taken.',
      retryable: false,
      retryAfterMs: 1_234,
      expected: undefined,
      cause: expect.objectContaining({ message: 'why', stack: expect.stringContaining('TypeError: why') }),
    };
    const { client: refusing } = await shareScript({ open: { error } });
    await expect(open(refusing)).rejects.toMatchObject(same);
    await host?.close();
    const { client } = await shareScript({
      steps: [
        { do: 'final', atSample: 1, text: 'kept' },
        { do: 'fail', atSample: 1, error },
      ],
    });
    const stream = await open(client);
    await stream.write(Buffer.alloc(SECOND));
    const results: EngineResult[] = [];
    await expect(collect(stream, results)).rejects.toMatchObject(same);
    expect(results.map(({ text }) => text)).toEqual(['kept']);
    await stream.write(Buffer.alloc(SECOND));
  });

  it('makes a fault of the engine an internal error of that stream', async () => {
    const engine = new IdleEngine();
    const client = await (await share(engine))();
    const [stream, other] = [await open(client), await open(client)];
    engine.streams[0]?.write.mockRejectedValueOnce(new Error('a fault'));
    await stream.write(Buffer.alloc(2));
    await expect(collect(stream)).rejects.toMatchObject({ code: 'internal', cause: { message: 'a fault' } });
    expect(engine.streams[0]?.abort).toHaveBeenCalled();
    await other.write(Buffer.alloc(2));
    expect(engine.streams[1]?.abort).not.toHaveBeenCalled();
  });

  it('lets a write wait until the engine can take more', async () => {
    const engine = new IdleEngine();
    const client = await (await share(engine))();
    const stream = await open(client);
    const room = Promise.withResolvers<void>();
    engine.streams[0]?.write.mockReturnValueOnce(room.promise);
    const written = vi.fn();
    const writing = stream.write(Buffer.alloc(SECOND)).then(written);
    await expect.poll(() => engine.streams[0]?.write.mock.calls.length).toBe(1);
    // An answer to something else has come since.
    await (await open(client)).write(Buffer.alloc(2));
    expect(written).not.toHaveBeenCalled();
    room.resolve();
    await writing;
  });

  it('breaks a stream whose writer never waits, before it fills the memory', async () => {
    for (const [bytes, most] of [
      [SECOND, 10],
      [2, 1_000],
    ] as const) {
      const engine = new IdleEngine();
      const client = await (await share(engine))();
      const stream = await open(client);
      engine.streams[0]?.write.mockReturnValue(new Promise(() => undefined));
      const writes = Array.from({ length: most + 1 }, () => stream.write(Buffer.alloc(bytes)));
      await expect(collect(stream)).rejects.toMatchObject({ code: 'internal' });
      await Promise.all(writes);
      await expect.poll(() => engine.streams[0]?.abort.mock.calls.length).toBe(1);
      expect(engine.streams[0]?.write.mock.calls.length).toBeLessThanOrEqual(most);
      await host?.close();
    }
  });

  it('gives the engine no more audio while the results are not read, and all of it later', async () => {
    const words = Array.from({ length: 200 }, (_, n) => n);
    const { client } = await shareScript({
      steps: words.map((n) => ({ do: 'final' as const, atSample: n + 1, text: `word ${n}` })),
    });
    const stream = await open(client);
    let written = 0;
    const writing = (async () => {
      for (; written < words.length; written++) await stream.write(Buffer.alloc(2));
      stream.end();
    })();
    await expect.poll(() => written).toBeGreaterThanOrEqual(64);
    for (let turn = 0; turn < 50; turn++) await setImmediate();
    expect(written).toBeLessThan(70);
    expect((await collect(stream)).map(({ text }) => text)).toEqual(words.map((n) => `word ${n}`));
    await writing;
  });

  it('leaves results in the engine while a client does not read its connection', async () => {
    let taken = 0;
    const engine = new IdleEngine();
    engine.flood = async function* (stream) {
      for (; stream.abort.mock.calls.length === 0; taken++) yield resultOf(taken, 'x'.repeat(10_000));
    };
    await share(engine);
    const socket = await rawClient();
    socket.pause();
    socket.write(encodeFrame({ type: 'open', stream: 1, options: OPTIONS }));
    await expect.poll(() => taken).toBeGreaterThan(0);
    const held = await settled(() => taken);
    // What fits into the buffers of the connection, of some 100 KB at each end.
    expect(held).toBeLessThan(1_000);
    socket.resume();
    await expect.poll(() => taken).toBeGreaterThan(held + 1_000);
  });

  it('leaves nothing behind of an open that was aborted', async () => {
    const { engine, client } = await shareScript({ open: { delayMs: 60_000 } });
    const givenUp = new AbortController();
    const opening = open(client, givenUp.signal);
    const reason = new Error('given up');
    givenUp.abort(reason);
    await expect(opening).rejects.toBe(reason);
    // The engine's own open is aborted too: its answer comes before that of the next one.
    await expect(client.open({ ...OPTIONS, sampleRate: 1 }, new AbortController().signal)).rejects.toMatchObject({
      code: 'unsupported_encoding',
    });
    expect(engine.openStreams).toBe(0);
  });

  it('aborts the stream of an engine that opens it although the open was aborted', async () => {
    const engine = new IdleEngine();
    const slow = Promise.withResolvers<void>();
    engine.slow = slow.promise;
    const client = await (await share(engine))();
    const givenUp = new AbortController();
    const opening = open(client, givenUp.signal);
    await expect.poll(() => engine.opened.length).toBe(1);
    givenUp.abort();
    await expect(opening).rejects.toThrow();
    const other = open(client);
    await expect.poll(() => engine.opened.length).toBe(2);
    slow.resolve();
    await other;
    await expect.poll(() => engine.streams.map(({ abort }) => abort.mock.calls.length).sort()).toEqual([0, 1]);
  });

  it('ends the streams of a client that closes, and neither those of others nor the engine', async () => {
    const engine = new IdleEngine();
    const connectTo = await share(engine);
    const [leaving, staying] = [await connectTo(), await connectTo()];
    const [stream, other] = [await open(leaving), await open(staying)];
    engine.slow = new Promise(() => undefined);
    const refused = expect(open(leaving)).rejects.toMatchObject({ code: 'engine_unavailable' });
    await leaving.close();
    expect(await collect(stream)).toEqual([]);
    await refused;
    await expect(open(leaving)).rejects.toMatchObject({ code: 'engine_unavailable' });
    await expect.poll(() => engine.streams[0]?.abort.mock.calls.length).toBe(1);
    await other.write(Buffer.alloc(2));
    expect(engine.streams[1]?.abort).not.toHaveBeenCalled();
    expect(engine.close).not.toHaveBeenCalled();
  });

  it('aborts the streams of a client that dies, those that open too', async () => {
    const engine = new IdleEngine();
    await share(engine);
    const socket = await rawClient();
    socket.write(encodeFrame({ type: 'open', stream: 1, options: OPTIONS }));
    await expect.poll(() => engine.streams.length).toBe(1);
    const slow = Promise.withResolvers<void>();
    engine.slow = slow.promise;
    socket.write(encodeFrame({ type: 'open', stream: 2, options: OPTIONS }));
    await expect.poll(() => engine.opened.length).toBe(2);
    socket.destroy();
    await expect.poll(() => engine.streams[0]?.abort.mock.calls.length).toBe(1);
    slow.resolve();
    await expect.poll(() => engine.streams[1]?.abort.mock.calls.length).toBe(1);
  });

  it('breaks what is open, and refuses what comes, when the host is gone', async () => {
    const engine = new IdleEngine();
    const client = await (await share(engine))();
    const stream = await open(client);
    engine.streams[0]?.results.push(resultOf(1));
    engine.streams[0]?.write.mockReturnValueOnce(new Promise(() => undefined));
    const writing = stream.write(Buffer.alloc(2));
    await expect.poll(() => engine.streams[0]?.write.mock.calls.length).toBe(1);
    engine.slow = new Promise(() => undefined);
    const opening = open(client);
    const gone = { code: 'engine_unavailable', retryable: true, message: expect.stringContaining('gone') };
    const refused = expect(opening).rejects.toMatchObject(gone);
    await host?.close();
    await refused;
    await writing;
    const results: EngineResult[] = [];
    await expect(collect(stream, results)).rejects.toMatchObject(gone);
    expect(results).toHaveLength(1);
    await expect(open(client)).rejects.toMatchObject(gone);
    await stream.write(Buffer.alloc(2));
    stream.abort();
    await expect.poll(() => engine.streams[0]?.abort.mock.calls.length).toBe(1);
    expect(engine.close).not.toHaveBeenCalled();
  });

  it('cuts a client that speaks something else, and serves the others', async () => {
    const engine = new IdleEngine();
    const client = await (await share(engine))();
    for (const garbage of ['GET / HTTP/1.1\r\n\r\n', '\0\0\0\0', '\x01\0\0\0\x09', '\x02\0\0\0\0\x09']) {
      const socket = await rawClient();
      const closed = once(socket, 'close');
      socket.resume();
      socket.write(garbage, 'latin1');
      await closed;
    }
    await (await open(client)).write(Buffer.alloc(2));
  });

  it('says who cannot be reached, and where nothing can be hosted', async () => {
    await expect(connectEngine(place.path)).rejects.toMatchObject({
      code: 'engine_unavailable',
      message: expect.stringContaining(place.path),
    });
    await expect(serveEngine(new IdleEngine(), `${place.path}${'x'.repeat(200)}`)).rejects.toMatchObject({
      code: 'engine_unavailable',
      retryable: false,
      message: expect.stringContaining('TMPDIR'),
    });
  });

  it.skipIf(process.platform === 'win32')('can be reached by its own user only, and leaves no file', async () => {
    await share(new IdleEngine());
    expect(statSync(dirname(place.path)).mode & 0o777).toBe(0o700);
    await host?.close();
    await host?.close();
    await place.remove();
    await place.remove();
    expect(existsSync(dirname(place.path))).toBe(false);
  });
});

/** A client that says what it wants and reads what it wants. */
async function rawClient(): Promise<Socket> {
  const socket = connect(place.path);
  sockets.push(socket);
  socket.on('error', () => undefined);
  await once(socket, 'data');
  return socket;
}

/** The value once many turns of the event loop have not changed it. */
async function settled(value: () => number): Promise<number> {
  for (let unchanged = 0, last = value(); ; last = value()) {
    await setImmediate();
    unchanged = value() === last ? unchanged + 1 : 0;
    if (unchanged > 200) return last;
  }
}
