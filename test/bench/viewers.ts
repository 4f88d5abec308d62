/**
 * How quickly the viewers of one session hear what its speaker hears: two gateways in processes of their own that share
 * one Redis, half of the viewers on each, and those in two processes more. Prints latencies and judges only that nobody
 * missed a final or got one twice.
 *
 *     node test/bench/viewers.ts [viewers=1000] [seconds=30]
 *
 * All of it shares the cores of this machine, and the clients cost more of them than the gateways do.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { performance } from 'node:perf_hooks';
import { io, type Socket } from 'socket.io-client';
import { killAll, serveGateway } from '../support/process.ts';
import { cpuSecondsOf } from '../support/process-usage.ts';
import { quantile } from '../support/quantile.ts';
import { RedisServer } from '../support/redis.ts';
import { delayUntil } from '../support/timing.ts';

/** Half a second: the scripted engine says a partial after one, a final after two. */
const CHUNK = Buffer.alloc(16_000);
const CHUNK_MS = 500;
const CONNECTING_AT_ONCE = 20;

interface Orders {
  readonly url: string;
  readonly viewers: number;
  readonly watch: { readonly session_id: unknown; readonly watch_token: unknown };
}

interface Heard {
  /** When, by what was heard: `f3` is the final with the number 3, `p3` the partial after it. */
  readonly times: readonly (readonly [string, number])[];
  readonly disorders: number;
}

interface Result {
  readonly is_partial: boolean;
  readonly seq?: number;
  readonly after_seq?: number;
}

const now = () => performance.timeOrigin + performance.now();
const keyOf = ({ after_seq, is_partial, seq }: Result) => (is_partial ? `p${after_seq}` : `f${seq}`);

async function open(url: string): Promise<Socket> {
  const socket = io(url, { forceNew: true, transports: ['websocket'], auth: { protocol: 2 }, reconnection: false });
  await new Promise((resolve) => socket.once('connected', resolve));
  return socket;
}

/** The process of half of the viewers. */
async function watchers(): Promise<void> {
  const [{ url, viewers, watch }] = (await once(process, 'message')) as [Orders];
  const times: [string, number][] = [];
  let disorders = 0;
  let left = viewers;
  const one = async () => {
    const socket = await open(url);
    let last = 0;
    socket.on('transcription_result', (result: Result) => {
      times.push([keyOf(result), now()]);
      if (result.is_partial) return;
      if (result.seq !== last + 1) disorders++;
      last = result.seq ?? 0;
    });
    socket.on('transcription_stopped', ({ last_seq }: { last_seq: number }) => {
      if (last_seq !== last) disorders++;
      if (--left === 0) process.send?.({ times, disorders } satisfies Heard);
    });
    await socket.emitWithAck('watch_transcription', { ...watch, after_seq: 0 });
  };
  for (let begun = 0; begun < viewers; begun += CONNECTING_AT_ONCE) {
    await Promise.all(Array.from({ length: Math.min(CONNECTING_AT_ONCE, viewers - begun) }, one));
  }
  process.send?.('ready');
}

function row(what: string, values: readonly number[]): void {
  const at = (share: number) => (quantile(values, share) ?? 0).toFixed(1);
  console.log(`${what.padEnd(44)} ${String(values.length).padStart(7)} ${at(0.5)} / ${at(0.95)} / ${at(1)} ms`);
}

async function bench(count: number, seconds: number): Promise<number> {
  const redis = await RedisServer.start();
  const env = { GATEWAY_ENGINE: 'scripted', REDIS_URL: redis.url, LOG_LEVEL: 'info' };
  const gateways = await Promise.all([serveGateway(env), serveGateway(env)]);
  const [{ url }] = gateways;
  const speaker = await open(url);
  const sent = new Map<string, number>();
  const spoken = new Map<string, number>();
  speaker.on('transcription_result', (result: Result) => spoken.set(keyOf(result), now()));
  const started = new Promise<Orders['watch']>((resolve) => speaker.once('transcription_started', resolve));
  speaker.emit('start_transcription', { acks: true });
  const { session_id, watch_token } = await started;

  const crowds: ChildProcess[] = gateways.map((gateway) => {
    const crowd = fork(new URL(import.meta.url), ['watch']);
    crowd.send({ url: gateway.url, viewers: count / 2, watch: { session_id, watch_token } } satisfies Orders);
    return crowd;
  });
  await Promise.all(crowds.map((crowd) => once(crowd, 'message')));
  console.log(`${count} viewers of one session on two gateways, ${seconds} s`);

  const pids = gateways.map(({ child }) => child.pid ?? 0);
  const before = pids.map((pid) => cpuSecondsOf(pid));
  const reports = Promise.all(crowds.map((crowd) => once(crowd, 'message')));
  const begin = performance.now();
  for (let n = 1; n <= 2 * seconds; n++) {
    await delayUntil(begin + n * CHUNK_MS);
    sent.set(n % 2 === 1 ? `p${(n - 1) / 2}` : `f${n / 2}`, now());
    speaker.emit('audio_chunk', { chunk: CHUNK, seq: n });
  }
  const cpu = pids.map((pid, at) => cpuSecondsOf(pid) - (before[at] ?? 0));
  speaker.emit('stop_transcription', {});
  const heard = (await reports).map(([report]) => report as Heard);

  console.log(`${''.padEnd(44)} samples p50 / p95 / max`);
  const since = (from: ReadonlyMap<string, number>, times: Heard['times'], kind: string) =>
    times.flatMap(([key, time]) => {
      const begun = from.get(key);
      return key.startsWith(kind) && begun !== undefined ? [time - begun] : [];
    });
  row('chunk sent → the speaker has the final', since(sent, [...spoken], 'f'));
  for (const [at, where] of ["the owner's gateway", 'the other gateway'].entries()) {
    const times = heard[at]?.times ?? [];
    row(`chunk sent → viewers of ${where}, finals`, since(sent, times, 'f'));
    row(`speaker → viewers of ${where}, finals`, since(spoken, times, 'f'));
    row(`speaker → viewers of ${where}, partials`, since(spoken, times, 'p'));
  }
  const [owner = 0, other = 0] = cpu.map((used) => (used / seconds) * 100);
  console.log(`CPU of the gateways: owner ${owner.toFixed(1)}%, other ${other.toFixed(1)}% of a core`);
  const disorders = heard.reduce((sum, one) => sum + one.disorders, 0);
  const finals = heard.flatMap(({ times }) => times).filter(([key]) => key.startsWith('f')).length;
  console.log(`finals received ${finals} of ${count * seconds}, missed or doubled ${disorders}`);

  speaker.disconnect();
  for (const crowd of crowds) crowd.kill();
  killAll();
  await redis.stop();
  return disorders === 0 && finals === count * seconds ? 0 : 1;
}

if (process.argv[2] === 'watch') await watchers();
else {
  const [count = 1_000, seconds = 30] = process.argv.slice(2).map(Number);
  process.exitCode = await bench(count, seconds);
}
