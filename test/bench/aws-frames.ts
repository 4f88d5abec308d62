/**
 * What a stream to Amazon Transcribe costs by three paths: the stock SDK, the SDK with our frame path, and bare
 * node:http2 with one HMAC chain, which is the floor. Prints a table and judges nothing.
 *
 *     node test/bench/aws-frames.ts [streams=100] [seconds=3] [rounds=3]
 *
 * Each path runs in a process of its own, the paths take turns in every round, and a server in another process answers
 * with frames only: it verifies nothing, so that it is not what is measured. A fourth process makes the same audio by
 * the same timers and sends nothing; its cost is taken off the others'. The network is the loopback, without TLS.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { createHmac, createSecretKey, hash } from 'node:crypto';
import { once } from 'node:events';
import { type ClientHttp2Session, connect, createServer, type ServerHttp2Stream } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { availableParallelism } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import { crc32 } from 'node:zlib';
import {
  type AudioStream,
  StartStreamTranscriptionCommand,
  TranscribeStreamingClient,
} from '@aws-sdk/client-transcribe-streaming';
import { fastFramePath } from '../../src/engines/aws/frames/frame-path.ts';
import { quantile } from '../support/quantile.ts';

const CHUNK_BYTES = 3200;
const CHUNK_MS = 100;
/** A result for every so many chunks: 3.3 a second. */
const CHUNKS_PER_RESULT = 3;
/** Words of a result: a sentence. */
const RESULT_ITEMS = 8;
/** Before it is measured, a path runs for so long: connections, and code that is compiled by then. */
const WARM_UP_MS = 2000;
const PATIENCE_MS = 30_000;

const PATHS = ['harness', 'stock', 'hooks', 'bare'] as const;
type Path = (typeof PATHS)[number];

interface Job {
  readonly path: Path;
  readonly port: number;
  readonly streams: number;
  readonly seconds: number;
}

interface Measured {
  /** CPU of the process in microseconds, for all streams, while it was measured. */
  readonly cpuUs: number;
  /** Growth from before the streams in bytes: of the resident set, and of what is alive after a collection. */
  readonly residentBytes: number;
  readonly liveBytes: number;
  /** From a chunk's making to its result, in milliseconds. */
  readonly latencies: readonly number[];
  readonly chunks: number;
  readonly errors: number;
}

/** A message without checks: used for both sides of the wire. */
function message(headers: readonly (readonly [string, string])[], body: Buffer): Buffer {
  const head = Buffer.concat(
    headers.map(([name, value]) =>
      Buffer.concat([
        Buffer.from([name.length, ...Buffer.from(name), 7, value.length >> 8, value.length & 0xff]),
        Buffer.from(value),
      ]),
    ),
  );
  return seal(Buffer.concat([Buffer.alloc(12), head, body, Buffer.alloc(4)]), head.length);
}

function seal(out: Buffer, headerBytes: number): Buffer {
  out.writeUInt32BE(out.length, 0);
  out.writeUInt32BE(headerBytes, 4);
  out.writeUInt32BE(crc32(out.subarray(0, 8)), 8);
  out.writeUInt32BE(crc32(out.subarray(0, -4)), out.length - 4);
  return out;
}

// ---------------------------------------------------------------------------------------------------- the server

/** Where the audio begins in a frame of audio, and how long a frame without an inner message is. */
const AUDIO_AT = 179;
const END_FRAME_BYTES = 83;

function resultFrame(id: string): Buffer {
  const items = Array.from({ length: RESULT_ITEMS }, (_, index) => ({
    StartTime: index / 4,
    EndTime: (index + 1) / 4,
    Type: 'pronunciation',
    Content: 'transcription',
    VocabularyFilterMatch: false,
    Confidence: 0.987,
    Stable: true,
  }));
  const Transcript = items.map((item) => item.Content).join(' ');
  const result = {
    ResultId: id,
    StartTime: 0,
    EndTime: 2,
    IsPartial: true,
    Alternatives: [{ Transcript, Items: items }],
  };
  const headers = [
    [':event-type', 'TranscriptEvent'],
    [':content-type', 'application/json'],
    [':message-type', 'event'],
  ] as const;
  return message(headers, Buffer.from(JSON.stringify({ Transcript: { Results: id === '' ? [] : [result] } })));
}

/** Answers with the number that the audio carries in its first eight bytes. */
function answer(stream: ServerHttp2Stream): void {
  let rest: Buffer = Buffer.alloc(0);
  let count = 0;
  stream.on('error', () => undefined);
  stream.respond({
    ':status': 200,
    'content-type': 'application/vnd.amazon.eventstream',
    'x-amzn-request-id': 'bench',
  });
  stream.on('data', (chunk: Buffer) => {
    rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    while (rest.length >= 4 && rest.length >= rest.readUInt32BE(0)) {
      const bytes = rest.readUInt32BE(0);
      if (bytes === END_FRAME_BYTES) stream.end();
      else if (count % CHUNKS_PER_RESULT === 0) {
        stream.write(resultFrame(count === 0 ? '' : `${rest.readDoubleBE(AUDIO_AT)}`));
      }
      count += 1;
      rest = rest.subarray(bytes);
    }
  });
}

function serve(): void {
  const server = createServer();
  server.on('stream', answer);
  server.listen(0, '127.0.0.1', () => process.send?.((server.address() as AddressInfo).port));
}

// --------------------------------------------------------------------------------------------------- the streams

/** Audio in real time, as the engine gives it: chunks are pushed, and wait for who pulls. */
class Microphone implements AsyncIterable<AudioStream>, AsyncIterator<AudioStream> {
  readonly #waiting: Buffer[] = [];
  #timer: NodeJS.Timeout | undefined;
  #ended = false;
  #pull: PromiseWithResolvers<IteratorResult<AudioStream>> | undefined;
  made = 0;

  /** @param take where chunks go; undefined: they wait for `next` */
  start(take?: (chunk: Buffer) => void): void {
    this.#timer = setInterval(() => {
      const chunk = Buffer.alloc(CHUNK_BYTES, 1);
      chunk.writeDoubleBE(performance.now(), 0);
      this.made += 1;
      if (take !== undefined) take(chunk);
      else if (this.#pull === undefined) this.#waiting.push(chunk);
      else this.#pull.resolve({ done: false, value: { AudioEvent: { AudioChunk: chunk } } });
      this.#pull = undefined;
    }, CHUNK_MS);
  }

  end(): void {
    clearInterval(this.#timer);
    this.#ended = true;
    this.#pull?.resolve({ done: true, value: undefined });
  }

  async next(): Promise<IteratorResult<AudioStream>> {
    const chunk = this.#waiting.shift();
    if (chunk !== undefined) return { done: false, value: { AudioEvent: { AudioChunk: chunk } } };
    if (this.#ended) return { done: true, value: undefined };
    this.#pull = Promise.withResolvers();
    return this.#pull.promise;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}

/** Runs until the microphone has ended and all is said; `onResult` takes the id of a result. */
type Run = (microphone: Microphone, onResult: (id: string) => void) => Promise<void>;

function sdkRun(port: number, hooks: object): Run {
  const client = new TranscribeStreamingClient({
    region: 'us-east-1',
    endpoint: `http://127.0.0.1:${port}`,
    credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
    logger: { trace() {}, debug() {}, info() {}, warn() {}, error() {} },
    disableClockSkewCorrection: true,
    ...hooks,
  });
  return async (microphone, onResult) => {
    microphone.start();
    const { TranscriptResultStream } = await client.send(
      new StartStreamTranscriptionCommand({
        LanguageCode: 'en-US',
        MediaEncoding: 'pcm',
        MediaSampleRateHertz: 16_000,
        AudioStream: microphone,
      }),
    );
    for await (const event of TranscriptResultStream ?? []) {
      for (const result of event.TranscriptEvent?.Transcript?.Results ?? []) onResult(result.ResultId ?? '');
    }
  };
}

/** The least that the wire asks for: the outer and inner message in one buffer, and a chain of signatures. */
function bareFrames(): (audio: Buffer) => Buffer {
  const scope = '20260101/us-east-1/transcribe/aws4_request';
  // Not bytes, of which Node would make such an object for each HMAC.
  const key = createSecretKey(Buffer.alloc(32, 1));
  const dateHeader = Buffer.concat([Buffer.from([5]), Buffer.from(':date'), Buffer.from([8]), Buffer.alloc(8)]);
  const signatureName = Buffer.concat([Buffer.from([16]), Buffer.from(':chunk-signature'), Buffer.from([6, 0, 32])]);
  const inner = [
    [':event-type', 'AudioEvent'],
    [':message-type', 'event'],
    [':content-type', 'application/octet-stream'],
  ] as const;
  const innerHead = message(inner, Buffer.alloc(0)).subarray(0, -4);
  let previous = hash('sha256', 'seed');
  return (audio) => {
    const innerBytes = audio.length === 0 ? 0 : innerHead.length + audio.length + 4;
    const out = Buffer.allocUnsafe(79 + innerBytes + 4);
    dateHeader.writeBigInt64BE(BigInt(Date.now()), 7);
    out.set(dateHeader, 12);
    out.set(signatureName, 27);
    const body = out.subarray(79, 79 + innerBytes);
    if (audio.length > 0) {
      body.set(innerHead, 0);
      body.set(audio, innerHead.length);
      seal(body, innerHead.length - 12);
    }
    const lines = ['AWS4-HMAC-SHA256-PAYLOAD', '20260101T000000Z', scope, previous, hash('sha256', dateHeader)];
    previous = createHmac('sha256', key)
      .update(`${lines.join('\n')}\n${hash('sha256', body)}`)
      .digest('hex');
    out.write(previous, 47, 'hex');
    return seal(out, 67);
  };
}

function bareRun(port: number): Run {
  return async (microphone, onResult) => {
    const session: ClientHttp2Session = connect(`http://127.0.0.1:${port}`);
    const stream = session.request({ ':method': 'POST', ':path': '/stream-transcription' }, { endStream: false });
    const frame = bareFrames();
    let rest: Buffer = Buffer.alloc(0);
    stream.on('data', (chunk: Buffer) => {
      rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
      while (rest.length >= 4 && rest.length >= rest.readUInt32BE(0)) {
        const end = rest.readUInt32BE(0);
        const body = rest.subarray(12 + rest.readUInt32BE(4), end - 4);
        if (crc32(rest.subarray(0, end - 4)) !== rest.readUInt32BE(end - 4)) throw new Error('bad checksum');
        for (const result of JSON.parse(body.toString()).Transcript.Results) onResult(result.ResultId);
        rest = rest.subarray(end);
      }
    });
    // Stopping is asked of the microphone, as on the other paths.
    const end = microphone.end.bind(microphone);
    microphone.end = () => {
      end();
      stream.end(frame(Buffer.alloc(0)));
    };
    microphone.start((chunk) => stream.write(frame(chunk)));
    await once(stream, 'close');
    session.close();
  };
}

/** Makes audio, and nothing of it. */
const harnessRun: Run = async (microphone) => {
  microphone.start(() => undefined);
};

function runOf({ path, port }: Job): Run {
  switch (path) {
    case 'harness':
      return harnessRun;
    case 'stock':
      return sdkRun(port, {});
    case 'hooks':
      return sdkRun(port, fastFramePath());
    case 'bare':
      return bareRun(port);
  }
}

/** Buffers are freed some time after the collection that found them dead: hence two, and a wait. */
async function memory(): Promise<{ resident: number; live: number }> {
  globalThis.gc?.();
  await delay(50);
  globalThis.gc?.();
  const { rss, heapUsed, external } = process.memoryUsage();
  return { resident: rss, live: heapUsed + external };
}

async function measure(job: Job): Promise<Measured> {
  const run = runOf(job);
  let latencies: number[] = [];
  let errors = 0;
  const onResult = (id: string) => void latencies.push(performance.now() - Number(id));
  const before = await memory();
  const microphones: Microphone[] = [];
  const runs: Promise<void>[] = [];
  for (let index = 0; index < job.streams; index += 1) {
    const microphone = new Microphone();
    microphones.push(microphone);
    const failed = () => {
      errors += 1;
    };
    runs.push(run(microphone, onResult).catch(failed));
    // People do not speak in step.
    await delay((CHUNK_MS * 5) / job.streams);
  }
  await delay(WARM_UP_MS);
  latencies = [];
  const made = () => microphones.reduce((sum, microphone) => sum + microphone.made, 0);
  const chunksBefore = made();
  const start = process.cpuUsage();
  await delay(job.seconds * 1000);
  const { user, system } = process.cpuUsage(start);
  const chunks = made() - chunksBefore;
  const measured = latencies;
  const after = await memory();
  for (const microphone of microphones) microphone.end();
  const ended = await Promise.race([Promise.all(runs), delay(PATIENCE_MS, undefined, { ref: false })]);
  if (ended === undefined) errors += 1;
  return {
    cpuUs: user + system,
    residentBytes: after.resident - before.resident,
    liveBytes: after.live - before.live,
    latencies: measured,
    chunks,
    errors,
  };
}

// ------------------------------------------------------------------------------------------------------ the table

const children: ChildProcess[] = [];

function child(...args: string[]): ChildProcess {
  const forked = fork(import.meta.filename, args, { execArgv: ['--expose-gc'] });
  children.push(forked);
  return forked;
}

async function measureInChild(job: Job): Promise<Measured> {
  const client = child('client', JSON.stringify(job));
  const message = await Promise.race([
    once(client, 'message'),
    once(client, 'exit').then(() => {
      throw new Error(`the process of path ${job.path} died`);
    }),
  ]);
  return message[0];
}

function median(values: readonly number[]): number {
  return quantile(values, 0.5) ?? Number.NaN;
}

interface Row {
  /** Milliseconds of CPU for a second of audio. */
  readonly cpu: number;
  /** Of memory for a stream. */
  readonly residentKb: number;
  readonly liveKb: number;
  readonly p50: number;
  readonly p95: number;
}

function rowOf(all: readonly Measured[], streams: number): Row {
  const latencies = all.flatMap((one) => one.latencies);
  return {
    cpu: median(all.map((one) => one.cpuUs / 1000 / ((one.chunks * CHUNK_MS) / 1000))),
    residentKb: median(all.map((one) => one.residentBytes / 1024 / streams)),
    liveKb: median(all.map((one) => one.liveBytes / 1024 / streams)),
    p50: median(latencies),
    p95: quantile(latencies, 0.95) ?? Number.NaN,
  };
}

function print(results: ReadonlyMap<Path, readonly Measured[]>, streams: number): void {
  const rows = new Map(PATHS.map((path) => [path, rowOf(results.get(path) ?? [], streams)]));
  const base = rows.get('harness');
  const stock = rows.get('stock');
  const floor = rows.get('bare');
  if (base === undefined || stock === undefined || floor === undefined) return;
  const columns = [
    'CPU ms/s',
    'net',
    'of stock',
    'RSS net KB',
    'live net KB',
    'p50 ms',
    'p95 ms',
    'added p50',
    'errors',
  ];
  const line = (name: string, cells: readonly string[]) =>
    name.padEnd(10) + cells.map((cell) => cell.padStart(12)).join('');
  process.stdout.write(`${line('path', columns)}\n`);
  for (const [path, row] of rows) {
    const net = row.cpu - base.cpu;
    const errors = (results.get(path) ?? []).reduce((sum, one) => sum + one.errors, 0);
    const ofHarness = [`(${row.residentKb.toFixed(0)})`, `(${row.liveKb.toFixed(0)})`];
    const cells =
      path === 'harness'
        ? [row.cpu.toFixed(2), '', '', ...ofHarness, '', '', '']
        : [
            row.cpu.toFixed(2),
            net.toFixed(2),
            (net / (stock.cpu - base.cpu)).toFixed(2),
            (row.residentKb - base.residentKb).toFixed(0),
            (row.liveKb - base.liveKb).toFixed(0),
            row.p50.toFixed(2),
            row.p95.toFixed(2),
            (row.p50 - floor.p50).toFixed(2),
          ];
    process.stdout.write(`${line(path, [...cells, `${errors}`])}\n`);
  }
}

/** An argument that is a whole number from 1 to `max`. */
function argument(text: string | undefined, fallback: number, max: number): number {
  const value = text === undefined ? fallback : Number(text);
  if (Number.isInteger(value) && value >= 1 && value <= max) return value;
  throw new Error(`usage: aws-frames.ts [streams, 1 to 2000] [seconds, 1 to 600] [rounds, 1 to 100]; got ${text}`);
}

async function main(): Promise<void> {
  const streams = argument(process.argv[2], 100, 2000);
  const seconds = argument(process.argv[3], 3, 600);
  const rounds = argument(process.argv[4], 3, 100);
  process.once('exit', () => {
    for (const one of children) one.kill('SIGKILL');
  });
  const [port] = (await once(child('server'), 'message')) as [number];
  process.stdout.write(
    `${streams} streams, ${CHUNK_BYTES} bytes every ${CHUNK_MS} ms, a result every ${CHUNKS_PER_RESULT} chunks, ` +
      `${rounds} rounds of ${seconds} s a path, cleartext, Node ${process.version}, ${availableParallelism()} cores\n`,
  );
  const results = new Map<Path, Measured[]>(PATHS.map((path) => [path, []]));
  for (let round = 0; round < rounds; round += 1) {
    for (const path of PATHS) results.get(path)?.push(await measureInChild({ path, port, streams, seconds }));
  }
  print(results, streams);
  process.exit();
}

const [, , role, job] = process.argv;
if (role === 'server') serve();
else if (role === 'client') {
  const measured = await measure(JSON.parse(job ?? '') as Job);
  process.send?.(measured, () => process.exit());
} else await main();
