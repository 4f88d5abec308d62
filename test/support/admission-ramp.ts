/** More sessions than the quota has streams, of several tenants, on gateways that share it: who is served, and when. */
import { setTimeout as delay } from 'node:timers/promises';
import { createTranscription, type Entry } from '../../src/client/index.ts';
import { type Emulator, startEmulator } from '../../src/emulator/emulator.ts';
import { audioChunks, codedAudio } from './coded-audio.ts';
import { Pods } from './pods.ts';
import { toEmulator } from './process.ts';
import { type BlockAccount, reconcile } from './reconcile.ts';
import type { RedisServer } from './redis.ts';
import { JWT_AUTH, signToken } from './tokens.ts';

export interface RampOptions {
  readonly redis: RedisServer;
  readonly pods: number;
  /** What the emulator grants, and what the gateways are told. */
  readonly streams: number;
  readonly startsPerSecond: number;
  /** Of each tenant, by its name. They come in this order. */
  readonly sessions: Readonly<Record<string, number>>;
  /** Milliseconds over which they come. */
  readonly rampMs: number;
  /** Utterances that each says, of a second and a half in the mean. */
  readonly utterances: number;
  readonly env?: Readonly<Record<string, string>>;
  /** Something that happens while they speak. */
  readonly strike?: (pods: Pods, emulator: Emulator) => Promise<void>;
}

interface SpeakerReport {
  readonly tenant: string;
  /** From the wish to speak to the first stream, in milliseconds; undefined if it never got one. */
  readonly waitedMs: number | undefined;
  /** The places in the line that it heard of. */
  readonly positions: readonly number[];
  readonly account: BlockAccount;
  /** Codes of what it had to try again after, or ended with. */
  readonly errors: readonly string[];
}

export interface RampReport {
  /** In the order in which they came. */
  readonly speakers: readonly SpeakerReport[];
  /** Tenants in the order in which their sessions were served. */
  readonly served: readonly string[];
  /** What the service refused, by exception. */
  readonly refusals: Readonly<Record<string, number>>;
  /** The most streams at a time. */
  readonly mostStreams: number;
  /** Milliseconds from the first to the last stream of a session. */
  readonly tookMs: number;
}

/** Fast finals, so that sessions are as long as what they say. */
const LATENCY = { partialMs: 60, finalMs: { min: 60, max: 300 } };
const CHUNK_MS = 100;
const CHUNK_BYTES = 3_200;

export async function admissionRamp(options: RampOptions): Promise<RampReport> {
  const { pods: count, rampMs, redis, startsPerSecond, streams } = options;
  const emulator = await startEmulator({
    recogniser: { kind: 'coded', latency: LATENCY },
    limits: { concurrentStreams: streams, startsPerSecond },
  });
  const pods = await Pods.start({
    count,
    redis,
    env: {
      ...toEmulator(emulator.url),
      ...JWT_AUTH,
      GATEWAY_AWS_STREAMS: String(streams),
      GATEWAY_AWS_STARTS_PER_SECOND: String(startsPerSecond),
      GATEWAY_QUEUE_TIMEOUT_MS: '120000',
      GATEWAY_LEASE_MS: '5000',
      ...options.env,
    },
  });
  let mostStreams = 0;
  const watch = setInterval(() => {
    mostStreams = Math.max(mostStreams, emulator.usage().activeStreams);
  }, 20);
  try {
    const tenants = Object.entries(options.sessions).flatMap(([tenant, sessions]) =>
      Array<string>(sessions).fill(tenant),
    );
    const served: string[] = [];
    const begin = performance.now();
    const speaking = tenants.map(async (tenant, index) => {
      await delay((index * rampMs) / tenants.length);
      const token = await signToken({ sub: `user-${index}`, tenant });
      return speak({ url: pods.url, token, tenant, seed: index + 1, utterances: options.utterances }, () =>
        served.push(tenant),
      );
    });
    await options.strike?.(pods, emulator);
    const speakers = await Promise.all(speaking);
    const { refusals } = emulator.usage();
    return { speakers, served, refusals, mostStreams, tookMs: performance.now() - begin };
  } finally {
    clearInterval(watch);
    await pods.close();
    await emulator.close();
  }
}

interface SpeakerOptions {
  readonly url: string;
  readonly token: string;
  readonly tenant: string;
  readonly seed: number;
  readonly utterances: number;
}

/** Speaks from the first moment on, whether or not somebody listens yet. */
async function speak({ seed, tenant, token, url, utterances }: SpeakerOptions, onServed: () => void) {
  const client = createTranscription({ url, token, exclusive: true, unresponsiveMs: 5_000 });
  const begin = performance.now();
  const entries: Entry[] = [];
  const positions: number[] = [];
  const errors: string[] = [];
  let waitedMs: number | undefined;
  client.on('final', (entry) => entries.push(entry));
  client.on('gap', (entry) => entries.push(entry));
  client.on('queued', ({ position }) => positions.push(position));
  client.on('retry', ({ error }) => errors.push(error.code));
  client.on('error', (error) => errors.push(error.code));
  const started = client.start().then(
    () => {
      waitedMs = performance.now() - begin;
      onServed();
    },
    // It is among the errors.
    () => undefined,
  );
  const audio = codedAudio({ utterances, blocks: { min: 20, max: 90 }, silentBlocks: { min: 10, max: 30 }, seed });
  let sentMs = 0;
  for (const chunk of audioChunks(audio.pcm, CHUNK_BYTES)) {
    client.send(chunk);
    sentMs += CHUNK_MS;
    await delay(Math.max(0, begin + sentMs - performance.now()));
  }
  await started;
  await client.stop().catch(() => undefined);
  const account = reconcile({
    expected: audio.blocks,
    finals: entries.flatMap((entry) => (entry.kind === 'final' ? [entry.text] : [])),
    gaps: entries.flatMap((entry) => (entry.kind === 'gap' ? [entry] : [])),
  });
  return { tenant, waitedMs, positions, account, errors } satisfies SpeakerReport;
}
