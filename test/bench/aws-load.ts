/**
 * Many sessions at once with the engine aws: clients speak coded audio in real time to a gateway in a process of its
 * own, which transcribes by the emulator in another. Prints the gateway's memory, its CPU time and the latency that is
 * added to the emulator's own; ends with 1 when memory is not flat or a block was lost.
 *
 *     node test/bench/aws-load.ts [--sessions 200] [--seconds 60] [--frames fast]
 *
 * Clients, gateway and emulator share the machine: where its cores are not enough, the lateness of the senders says so.
 */
import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { io } from 'socket.io-client';
import { BYTES_PER_SAMPLE, CHUNK_BYTES, SAMPLE_RATE } from '../../src/protocol/audio.ts';
import type { ErrorEvent, ResultEvent } from '../../src/protocol/events.ts';
import { type CodedAudio, codedAudio } from '../support/coded-audio.ts';
import type { CodedSocket } from '../support/coded-speaker.ts';
import { cli, killAll, serveGateway, toEmulator } from '../support/process.ts';
import { cpuSecondsOf, residentBytesOf, slopeOf } from '../support/process-usage.ts';
import { quantile } from '../support/quantile.ts';
import { isClean, reconcile } from '../support/reconcile.ts';
import { delayUntil, waitUntil } from '../support/timing.ts';
import { TranscriptCheck } from '../support/transcript-check.ts';

const CHUNK_SAMPLES = CHUNK_BYTES / BYTES_PER_SAMPLE;
const CHUNK_MS = (CHUNK_SAMPLES * 1000) / SAMPLE_RATE;
/** Of partials and finals alike, so that no final holds back the partials behind it. */
const EMULATOR_LATENCY_MS = 300;
/** The coded recogniser ends an utterance with this silence. */
const CUT_SAMPLES = 960;
/** Sessions do not begin all at once. */
const RAMP_MS = 5_000;
const SAMPLE_EVERY_MS = 1_000;
const PRINT_EVERY = 5;
/** The gateway collects its garbage on demand, so that growth of what is alive can be told from what merely lies about. */
const COLLECT_EVERY = 10;
const COLLECT_SIGNAL = 'SIGUSR2';
const COLLECT_ON_SIGNAL = `--expose-gc --import=data:text/javascript,process.on('${COLLECT_SIGNAL}',()=>gc())`;
/** Memory is judged by its slope over this last part of the run. */
const JUDGED_SECONDS = 40;
/** Growth in a minute that audio on its way explains, as a share of the resident memory. */
const FLAT_WITHIN = 0.1;
const PATIENCE_MS = 30_000;

const { values } = parseArgs({
  options: {
    sessions: { type: 'string', default: '200' },
    seconds: { type: 'string', default: '60' },
    frames: { type: 'string', default: 'fast' },
  },
});

function wholeNumber(name: 'sessions' | 'seconds', max: number): number {
  const value = Number(values[name]);
  if (Number.isInteger(value) && value >= 1 && value <= max) return value;
  throw new Error(`--${name} must be a whole number from 1 to ${max}; got ${values[name]}`);
}

interface Spoken {
  readonly clean: boolean;
  readonly problems: readonly string[];
  readonly partials: readonly number[];
  readonly finals: readonly number[];
  /** How far the sender fell behind its deadlines, at worst. */
  readonly late: number;
}

/** Speaks all of the audio in real time. */
async function speak(url: string, speech: CodedAudio): Promise<Spoken> {
  const socket: CodedSocket = io(url, {
    auth: { protocol: 2 },
    transports: ['websocket'],
    forceNew: true,
    reconnection: false,
  });
  const places = new Map(speech.blocks.map((block) => [block.number, block]));
  const check = new TranscriptCheck((number) => places.get(number));
  const [partials, finals]: [number[], number[]] = [[], []];
  const problems: string[] = [];
  const sentAt: number[] = [];
  const stopped = Promise.withResolvers<void>();
  socket.on('transcription_result', (result: ResultEvent) => {
    check.result(result);
    const heardBy = (result.end_sample ?? 0) + (result.is_partial ? 0 : CUT_SAMPLES);
    const sent = sentAt[Math.ceil(heardBy / CHUNK_SAMPLES) - 1];
    // The last final comes by the stop, and not by the silence behind it.
    if (sent === undefined) return;
    (result.is_partial ? partials : finals).push(performance.now() - sent - EMULATOR_LATENCY_MS);
  });
  socket.on('transcription_gap', check.gap);
  socket.on('transcription_stopped', () => stopped.resolve());
  socket.on('error', (error: ErrorEvent) => void problems.push(`error ${error.code}`));
  socket.on('connect_error', (error) => void problems.push(`not connected: ${error.message}`));
  socket.on('disconnect', () => stopped.resolve());
  let late = 0;
  try {
    await socket.timeout(PATIENCE_MS).emitWithAck('start_transcription', { language_code: 'en-US' });
    const begin = performance.now();
    for (let from = 0; from < speech.pcm.length; from += CHUNK_BYTES) {
      const deadline = begin + (sentAt.length + 1) * CHUNK_MS;
      await delayUntil(deadline);
      sentAt.push(performance.now());
      late = Math.max(late, performance.now() - deadline);
      socket.emit('audio_chunk', { chunk: speech.pcm.subarray(from, from + CHUNK_BYTES) });
    }
    socket.emit('stop_transcription', {});
    await waitUntil(performance.now() + PATIENCE_MS, stopped.promise);
  } catch (error) {
    problems.push(String(error));
  } finally {
    socket.removeAllListeners('disconnect');
    socket.disconnect();
  }
  const account = reconcile({ expected: speech.blocks, finals: check.finals, gaps: check.gaps });
  problems.push(...check.problems);
  return { clean: isClean(account) && account.heard === account.sent, problems, partials, finals, late };
}

/** A second and a half of speech and half a second of silence, on average, up to the length. */
function speechOf(seconds: number): CodedAudio {
  const { blocks, pcm, utterances } = codedAudio({
    utterances: seconds,
    blocks: { min: 30, max: 120 },
    silentBlocks: { min: 5, max: 45 },
  });
  const samples = seconds * SAMPLE_RATE;
  const within = blocks.filter((block) => block.endSample <= samples);
  const end = (within.at(-1)?.endSample ?? 0) * BYTES_PER_SAMPLE;
  // Cut behind a whole block, so that no half of one is among what is judged.
  return { blocks: within, utterances, pcm: Buffer.concat([pcm.subarray(0, end), Buffer.alloc(samples * 2 - end)]) };
}

interface Sample {
  /** Seconds since the last session began. */
  readonly at: number;
  readonly cpuSeconds: number;
  readonly residentBytes: number;
  readonly heapBytes: number;
  readonly externalBytes: number;
  /** Taken right after a collection. */
  readonly collected: boolean;
}

/** Looks at the gateway's process once a second until it is stopped. */
function watch(pid: number, adminUrl: string): { readonly samples: readonly Sample[]; readonly stop: () => void } {
  const samples: Sample[] = [];
  const begin = performance.now();
  const look = async () => {
    const text = await (await fetch(`${adminUrl}/metrics`)).text();
    const value = (name: string) => Number(text.match(new RegExp(`^${name} (\\S+)$`, 'm'))?.[1] ?? Number.NaN);
    const count = samples.push({
      collected: samples.length % COLLECT_EVERY === 0,
      at: (performance.now() - begin) / 1000,
      cpuSeconds: cpuSecondsOf(pid),
      residentBytes: residentBytesOf(pid),
      heapBytes: value('nodejs_heap_size_used_bytes'),
      externalBytes: value('nodejs_external_memory_bytes'),
    });
    if (count % COLLECT_EVERY === 0) process.kill(pid, COLLECT_SIGNAL);
    const last = samples.at(-1);
    if (last === undefined || count % PRINT_EVERY !== 1) return;
    const mb = (bytes: number) => (bytes / 1e6).toFixed(1).padStart(7);
    print(
      `${last.at.toFixed(0).padStart(4)} s  resident ${mb(last.residentBytes)} MB  heap ${mb(last.heapBytes)} MB  external ${mb(last.externalBytes)} MB`,
    );
  };
  const timer = setInterval(() => void look().catch((error: unknown) => print(String(error))), SAMPLE_EVERY_MS);
  return { samples, stop: () => clearInterval(timer) };
}

function row(name: string, numbers: readonly number[]): string {
  const at = (share: number) => {
    const number = quantile(numbers, share);
    return (number === undefined ? '–' : number.toFixed(0)).padStart(8);
  };
  return `${name.padEnd(44)}${String(numbers.length).padStart(8)}${at(0.5)}${at(0.95)}${at(1)}`;
}

/** @returns whether memory is flat */
function printMemory(samples: readonly Sample[], sessions: number): boolean {
  const end = samples.at(-1)?.at ?? 0;
  const judged = samples.filter(({ at }) => at >= end - JUDGED_SECONDS);
  const [first, last] = [judged[0], judged.at(-1)];
  if (first === undefined || last === undefined || first === last) return false;
  const perMinute = (of: (sample: Sample) => number, among = judged) =>
    slopeOf(among.map((sample) => ({ x: sample.at / 60, y: of(sample) })));
  const live = perMinute(
    (sample) => sample.heapBytes + sample.externalBytes,
    judged.filter(({ collected }) => collected),
  );
  const isFlat = live <= FLAT_WITHIN * last.residentBytes;
  const share = (last.cpuSeconds - first.cpuSeconds) / (last.at - first.at);
  const mb = (bytes: number) => `${(bytes / 1e6).toFixed(1)} MB`;
  print(
    `memory over the last ${(last.at - first.at).toFixed(0)} s, growth in a minute: alive ${mb(live)}, resident ${mb(perMinute((sample) => sample.residentBytes))}: ${isFlat ? 'flat' : 'NOT FLAT'}`,
    `CPU of the gateway: ${(share * 100).toFixed(0)}% of a core, ${((share * 1000) / sessions).toFixed(2)} ms for a second of one session's audio`,
  );
  return isFlat;
}

function print(...lines: readonly string[]): void {
  process.stdout.write(`${lines.join('\n')}\n`);
}

const sessions = wholeNumber('sessions', 5_000);
const seconds = wholeNumber('seconds', 3_600);
process.once('exit', killAll);

const emulator = cli(
  [
    ...['emulator', '--recogniser', 'coded', '--concurrent-streams', '10000', '--starts-per-second', '10000'],
    ...['--partial-latency-ms', `${EMULATOR_LATENCY_MS}`, '--final-latency-ms', `${EMULATOR_LATENCY_MS}`],
  ],
  { env: { LOG_LEVEL: 'warn' } },
);
const [, endpoint = ''] = await emulator.saw(/listens on (http:\S+),/);
const gateway = await serveGateway({
  NODE_ENV: 'production',
  GATEWAY_AUTH_NONE_IN_PRODUCTION: 'yes',
  NODE_OPTIONS: COLLECT_ON_SIGNAL,
  ...toEmulator(endpoint),
  GATEWAY_AWS_FRAME_PATH: values.frames ?? 'fast',
});
print(`${sessions} sessions for ${seconds} s, ${values.frames} frames, ${availableParallelism()} cores`);
const speech = speechOf(seconds);
const [gatewayPid, emulatorPid] = [gateway.child.pid ?? 0, emulator.child.pid ?? 0];
const begin = performance.now();
const running = Array.from({ length: sessions }, async (_, index) => {
  await delayUntil(begin + (index * RAMP_MS) / sessions);
  return speak(gateway.url, speech);
});
await delayUntil(begin + RAMP_MS);
const watching = watch(gatewayPid, gateway.adminUrl);
// The first sessions to begin are the first to stop: what is measured ends before them.
await delayUntil(begin + seconds * 1000);
watching.stop();
const emulatorCpu = cpuSecondsOf(emulatorPid);
const spoken = await Promise.all(running);

const isFlat = printMemory(watching.samples, sessions);
print(
  `CPU of the emulator: ${emulatorCpu.toFixed(1)} s, of the clients: ${(process.cpuUsage().user / 1e6).toFixed(1)} s`,
  `${'milliseconds beyond the emulator’s own'.padEnd(44)}${'n'.padStart(8)}${'p50'.padStart(8)}${'p95'.padStart(8)}${'max'.padStart(8)}`,
  row(
    'partial after its last sample was sent',
    spoken.flatMap(({ partials }) => partials),
  ),
  row(
    'final after the silence that ends it was sent',
    spoken.flatMap(({ finals }) => finals),
  ),
  row(
    'worst lateness of the sender itself',
    spoken.map(({ late }) => late),
  ),
);
const unclean = spoken.filter(({ clean, problems }) => !clean || problems.length > 0);
for (const { problems } of unclean.slice(-5))
  print(`not clean: ${problems.slice(0, 5).join('; ') || 'blocks missing'}`);
print(`sessions without a missing or doubled block: ${sessions - unclean.length} of ${sessions}`);
for (const process of [gateway, emulator]) process.child.kill('SIGTERM');
await waitUntil(performance.now() + PATIENCE_MS, Promise.all([gateway.exited, emulator.exited]));
process.exit(isFlat && unclean.length === 0 ? 0 : 1);
