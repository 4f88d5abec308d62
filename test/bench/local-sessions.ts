/**
 * How fast results come when several people speak at once: sessions of the bundled speech, in real time, against a
 * gateway with the local engine in a process of its own. Prints a table and judges nothing.
 *
 *     node test/bench/local-sessions.ts [sessions=8] [seconds=60]
 *
 * Settings of the gateway are taken from the environment: GATEWAY_LOCAL_SESSIONS_PER_PROCESS=20 measures beyond what
 * it would admit.
 */
import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import { io, type Socket } from 'socket.io-client';
import { CHUNK_BYTES } from '../../src/protocol/audio.ts';
import type {
  ClientToServerEvents,
  ErrorEvent,
  ResultEvent,
  ServerToClientEvents,
  StartedEvent,
} from '../../src/protocol/events.ts';
import { readSpeechSample } from '../../src/speech-sample.ts';
import { childrenOf, killAll, serveGateway } from '../support/process.ts';
import { quantile } from '../support/quantile.ts';

const CHUNK_MS = 100;
/** For the session to open, and again for its last finals; a gateway that is slower is reported, not waited for. */
const PATIENCE_MS = 30_000;
/** `/proc` counts CPU time in ticks of this length on every Linux that Node runs on. */
const TICK_SECONDS = 0.01;

type BenchSocket = Socket<ServerToClientEvents, ClientToServerEvents>;

/** What one session saw; times in milliseconds. */
interface Measured {
  readonly firstPartials: number[];
  readonly finals: number[];
  /** Utterances whose final came without a partial before it. */
  withoutPartial: number;
  readonly errors: string[];
  /** False when the session was refused. */
  ran: boolean;
  /** From the last chunk sent to `transcription_stopped`; undefined when it never came. */
  lag?: number;
  /** How far the sender itself fell behind its deadlines, at worst: more than a few means a busy machine. */
  senderLate: number;
}

/** Speaks `seconds` of `speech` from `offset` bytes on, and measures what comes back. */
async function speak(socket: BenchSocket, speech: Buffer, offset: number, seconds: number): Promise<Measured> {
  const measured: Measured = {
    firstPartials: [],
    finals: [],
    withoutPartial: 0,
    errors: [],
    ran: false,
    senderLate: 0,
  };
  const sentAt: number[] = [];
  const partialAt = new Map<string, number>();
  const stopped = Promise.withResolvers<number>();

  /** When the sample at this position was sent, with its chunk. */
  const sent = (ms: number) => sentAt[Math.min(Math.floor(ms / CHUNK_MS), sentAt.length - 1)];
  socket.on('transcription_result', (result: ResultEvent) => {
    const now = performance.now();
    const id = result.result_id ?? '';
    if (result.is_partial) {
      if (result.text !== '' && !partialAt.has(id)) partialAt.set(id, now);
      return;
    }
    const words = result.items?.filter((item) => item.type === 'word') ?? [];
    const onset = sent(words[0]?.start_ms ?? Number.NaN);
    // The end is exclusive: the last sample of the word is just before it.
    const lastWord = sent((words.at(-1)?.end_ms ?? Number.NaN) - 1);
    if (onset === undefined || lastWord === undefined) return;
    const partial = partialAt.get(id);
    if (partial === undefined) measured.withoutPartial++;
    else measured.firstPartials.push(partial - onset);
    measured.finals.push(now - lastWord);
  });
  socket.on('error', (error: ErrorEvent) => void measured.errors.push(error.code ?? 'unknown'));
  socket.on('transcription_stopped', () => stopped.resolve(performance.now()));

  if (!(await start(socket))) {
    if (measured.errors.length === 0) measured.errors.push('not started');
    return measured;
  }
  measured.ran = true;
  // Twice the speech, so that a chunk across its end is one slice.
  const looped = Buffer.concat([speech, speech]);
  const begin = performance.now();
  for (let chunk = 0; chunk < (seconds * 1000) / CHUNK_MS; chunk++) {
    const deadline = begin + (chunk + 1) * CHUNK_MS;
    await delay(Math.max(0, deadline - performance.now()));
    const from = (offset + chunk * CHUNK_BYTES) % speech.length;
    const now = performance.now();
    sentAt.push(now);
    measured.senderLate = Math.max(measured.senderLate, now - deadline);
    socket.emit('audio_chunk', { chunk: looped.subarray(from, from + CHUNK_BYTES) });
  }
  socket.emit('stop_transcription', {});
  const end = await Promise.race([stopped.promise, delay(PATIENCE_MS, undefined, { ref: false })]);
  const last = sentAt.at(-1);
  if (end !== undefined && last !== undefined) measured.lag = end - last;
  return measured;
}

/** False when the session was refused or nothing came in time. */
function start(socket: BenchSocket): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  socket.once('transcription_started', (_: StartedEvent) => resolve(true));
  socket.once('error', () => resolve(false));
  socket.emit('start_transcription', { language_code: 'en-US' });
  return Promise.race([promise, delay(PATIENCE_MS, false, { ref: false })]);
}

/** CPU seconds of a process and its descendants so far; undefined where there is no `/proc`. */
function cpuSeconds(pid: number): number | undefined {
  try {
    // The name, in parentheses, may hold spaces; user and system time are the 12th and 13th field after it.
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)?.split(' ') ?? [];
    const own = (Number(fields[11]) + Number(fields[12])) * TICK_SECONDS;
    const children = childrenOf(pid).filter((child) => child > 0);
    return children.reduce((sum, child) => sum + (cpuSeconds(child) ?? 0), own);
  } catch {
    return undefined;
  }
}

function row(name: string, values: readonly number[]): string {
  const at = (share: number) => {
    const value = quantile(values, share);
    return (value === undefined ? '–' : value.toFixed(0)).padStart(8);
  };
  return `${name.padEnd(44)}${String(values.length).padStart(6)}${at(0.5)}${at(0.95)}${at(1)}`;
}

function print(all: readonly Measured[], seconds: number, cpu: number | undefined): void {
  const spoke = all.filter((one) => one.ran);
  const lags = all.flatMap((one) => one.lag ?? []);
  const errors = Map.groupBy(
    all.flatMap((one) => one.errors),
    (code) => code,
  );
  const lines = [
    `${all.length} sessions asked, ${spoke.length} ran for ${seconds} s, ${lags.length} stopped in order`,
    `${'milliseconds'.padEnd(44)}${'n'.padStart(6)}${'p50'.padStart(8)}${'p95'.padStart(8)}${'max'.padStart(8)}`,
    row(
      'first partial after the onset of speech',
      all.flatMap((one) => one.firstPartials),
    ),
    row(
      'final after the end of the last word',
      all.flatMap((one) => one.finals),
    ),
    row('lag: last chunk to transcription_stopped', lags),
    row(
      'worst lateness of the sender itself',
      spoke.map((one) => one.senderLate),
    ),
    `utterances without a partial: ${all.reduce((sum, one) => sum + one.withoutPartial, 0)}`,
    `errors: ${[...errors].map(([code, list]) => `${code} × ${list.length}`).join(', ') || 'none'}`,
  ];
  if (cpu !== undefined) {
    const perSession = spoke.length === 0 ? 0 : cpu / (spoke.length * seconds);
    lines.push(`CPU of the gateway's processes: ${cpu.toFixed(1)} s, ${perSession.toFixed(3)} a second of speech`);
  }
  process.stdout.write(`${lines.join('\n')}\n`);
}

/** An argument that is a whole number from 1 to `max`. */
function argument(text: string | undefined, fallback: number, max: number): number {
  const value = text === undefined ? fallback : Number(text);
  if (Number.isInteger(value) && value >= 1 && value <= max) return value;
  throw new Error(`usage: local-sessions.ts [sessions, 1 to 1000] [seconds, 1 to 3600]; got ${text}`);
}

const sessions = argument(process.argv[2], 8, 1000);
const seconds = argument(process.argv[3], 60, 3600);
const settings = Object.entries(process.env).filter(([name]) => name.startsWith('GATEWAY_'));
process.once('exit', killAll);

const speech = await readSpeechSample();
const served = await serveGateway(Object.fromEntries(settings.map(([name, value]) => [name, value ?? ''])));
const sockets: BenchSocket[] = [];
try {
  const pid = served.child.pid ?? 0;
  const capacity = served.stdout().match(/"capacity":(\d+)/)?.[1] ?? 'unknown';
  process.stdout.write(`local engine on ${availableParallelism()} cores, sessions admitted: ${capacity}\n`);
  const before = cpuSeconds(pid);
  const all = await Promise.all(
    Array.from({ length: sessions }, async (_, index) => {
      const socket: BenchSocket = io(served.url, {
        auth: { protocol: 2 },
        transports: ['websocket'],
        forceNew: true,
        reconnection: false,
      });
      sockets.push(socket);
      // People do not speak in step: neither the words nor the chunks of the sessions fall together.
      await delay((index * CHUNK_MS) / sessions);
      const offset = Math.floor((index * speech.length) / sessions / 2) * 2;
      return speak(socket, speech, offset, seconds);
    }),
  );
  const after = cpuSeconds(pid);
  print(all, seconds, before === undefined || after === undefined ? undefined : after - before);
} finally {
  for (const socket of sockets) socket.disconnect();
  served.child.kill('SIGTERM');
  // A drain with nothing to drain is quick; what is left after this is killed as the script exits.
  await Promise.race([served.exited, delay(PATIENCE_MS, undefined, { ref: false })]);
}
