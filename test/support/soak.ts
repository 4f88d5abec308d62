import { pino } from 'pino';
import { io } from 'socket.io-client';
import { startEmulator } from '../../src/emulator/emulator.ts';
import { AwsEngine } from '../../src/engines/aws/aws-engine.ts';
import type { FramePath } from '../../src/engines/aws/client.ts';
import { SAMPLE_RATE } from '../../src/protocol/audio.ts';
import { type CodedSocket, CodedSpeaker, type SpeakerRecord } from './coded-speaker.ts';
import { startGateway, type TestGateway } from './gateway.ts';
import { type BlockAccount, formatAccount, isClean, reconcile } from './reconcile.ts';
import { injectFaults } from './soak-faults.ts';

/** Far below the 4 h, 15 s and 10 s of a real gateway, so that every stream meets them. The age is the least allowed. */
const MAX_STREAM_MS = 10_000;
const SILENCE_MS = 5_000;
const ENVIRONMENT = {
  GATEWAY_PARK_AFTER_MS: '2000',
  GATEWAY_STALL_TIMEOUT_MS: '4000',
  GATEWAY_SILENCE_TRIMMING_TENANTS: '*',
};
const TIMEOUTS = { startMs: 3_000, stallMs: 4_000, drainMs: 4_000 };
/**
 * 100, 20, 60, 90 and 250 ms, and one that is no whole number of milliseconds: most cut blocks in two. Who sends that one
 * makes no pauses: a pause in mid-utterance ends a stream there, and the wire says to the millisecond where.
 */
const CHUNK_SAMPLES = [1_600, 320, 960, 1_440, 4_000, 1_111];

const SAMPLES_A_MS = SAMPLE_RATE / 1_000;
/** Clients have numbers of their own, so that words which reach the wrong one are found out. */
const BLOCKS_A_CLIENT = 1_000_000;

export interface SoakOptions {
  readonly sessions: number;
  readonly seconds: number;
  readonly seed: number;
  readonly framePath?: FramePath;
  /** Probability of each fault for each new stream. */
  readonly faultRate?: number;
}

export interface SoakReport {
  /** One for each client, over all sessions that it had. */
  readonly clients: readonly { readonly account: BlockAccount; readonly record: SpeakerRecord }[];
  /** Of all clients together. */
  readonly total: BlockAccount;
  readonly clean: boolean;
  /** Faults that struck, by kind. */
  readonly faults: Readonly<Record<string, number>>;
  /** Engine streams that are over, by how they ended. */
  readonly streamEnds: Readonly<Record<string, number>>;
  /** Streams and sessions that were still open after all clients had left. */
  readonly leftOpen: number;
}

/**
 * Clients speak coded audio in real time through a whole gateway to Amazon Transcribe's emulator, while faults of every
 * kind strike it. Credentials `test` and `test` must be in the environment.
 */
export async function soak(options: SoakOptions): Promise<SoakReport> {
  const { faultRate = 0.015, framePath = 'fast', seconds, seed, sessions } = options;
  const emulator = await startEmulator({
    recogniser: { kind: 'coded' },
    seed,
    limits: {
      maxAgeMs: MAX_STREAM_MS,
      silenceMs: SILENCE_MS,
      // Enough for all, and not for all at once: after an outage some are refused.
      concurrentStreams: sessions + 2,
      startsPerSecond: Math.max(5, Math.ceil(sessions / 2)),
    },
  });
  const engine = new AwsEngine({
    pool: [{ name: 'emulator', region: 'us-east-1', endpoint: emulator.url, priority: 1, weight: 1 }],
    maxStreamMs: MAX_STREAM_MS,
    framePath,
    timeouts: TIMEOUTS,
    log: pino({ level: 'silent' }),
  });
  const gateway = await startGateway(engine, ENVIRONMENT);
  const stopFaults = injectFaults(emulator, { seed, rate: faultRate, nextEveryMs: 1_000, outageEveryMs: 17_000 });
  const sockets: CodedSocket[] = [];
  try {
    const until = performance.now() + seconds * 1000;
    const records = await Promise.all(
      Array.from({ length: sessions }, (_, index) => {
        const socket: CodedSocket = io(gateway.url, {
          auth: { protocol: 2 },
          transports: ['websocket'],
          forceNew: true,
          reconnection: false,
        });
        sockets.push(socket);
        const chunkSamples = CHUNK_SAMPLES[index % CHUNK_SAMPLES.length] ?? 1_600;
        const speaker = new CodedSpeaker({
          socket,
          seed: seed * 1_000 + index,
          firstBlock: index * BLOCKS_A_CLIENT + 1,
          chunkSamples,
          pauses: index % 4 !== 3 && chunkSamples % SAMPLES_A_MS === 0,
          trims: index % 3 === 1,
        });
        return speaker.speak(until);
      }),
    );
    stopFaults();
    const clients = records.map((record) => ({ account: reconcile(record), record }));
    const total = sum(clients.map(({ account }) => account));
    return {
      clients,
      total,
      clean: clients.every(({ account, record }) => isClean(account) && record.problems.length === 0),
      faults: emulator.usage().faults,
      streamEnds: await streamEnds(gateway),
      leftOpen: engine.openStreams + (await gateway.metric('transcribe_gateway_sessions')),
    };
  } finally {
    stopFaults();
    for (const socket of sockets) socket.disconnect();
    await gateway.close();
    await emulator.close();
  }
}

/** The report for a log: every client's account in a line, those that are not clean in full. */
export function formatSoak(report: SoakReport): string {
  const { clients, faults, leftOpen, streamEnds: ends, total } = report;
  const counts = (of: Readonly<Record<string, number>>) =>
    Object.entries(of)
      .map(([name, count]) => `${name} ${count}`)
      .join(', ');
  const errors = clients.flatMap(({ record }) => record.errors);
  const lines = clients.flatMap(({ account, record }, index) => {
    const clean = isClean(account) && record.problems.length === 0;
    const line = `client ${index}: ${account.sent} blocks sent, ${account.heard} heard, ${account.coveredByGap.length} in ${record.gaps.length} gaps, ${record.sessions} sessions: ${clean ? 'clean' : 'NOT CLEAN'}`;
    return clean ? [line] : [line, formatAccount(account), ...record.problems.map((problem) => `  ${problem}`)];
  });
  return [
    ...lines,
    `all ${clients.length} clients, ${formatAccount(total)}`,
    `faults: ${counts(faults)}`,
    `streams ended: ${counts(ends)}`,
    `sessions ended or refused: ${counts(tally(errors)) || 'none'}`,
    `chunks refused: ${clients.reduce((refused, { record }) => refused + record.refusedChunks, 0)}`,
    `longest wait for an acknowledgement: ${(Math.max(...clients.map(({ record }) => record.longestAnswerMs)) / 1000).toFixed(1)} s`,
    `left open: ${leftOpen}`,
  ].join('\n');
}

function tally(names: readonly string[]): Record<string, number> {
  return Object.fromEntries([...Map.groupBy(names, (name) => name)].map(([name, all]) => [name, all.length]));
}

function sum(accounts: readonly BlockAccount[]): BlockAccount {
  const count = (of: (account: BlockAccount) => number) => accounts.reduce((total, account) => total + of(account), 0);
  const list = (of: (account: BlockAccount) => readonly number[]) => accounts.flatMap((account) => of(account));
  return {
    sent: count((account) => account.sent),
    heard: count((account) => account.heard),
    coveredByGap: list((account) => account.coveredByGap),
    lost: list((account) => account.lost),
    doubled: list((account) => account.doubled),
    reordered: list((account) => account.reordered),
    invented: list((account) => account.invented),
    foreignWords: count((account) => account.foreignWords),
  };
}

async function streamEnds(gateway: TestGateway): Promise<Record<string, number>> {
  const ends: Record<string, number> = {};
  for (const how of ['stopped', 'parked', 'retired', 'broken', 'stalled']) {
    ends[how] = await gateway.metric(`transcribe_gateway_engine_stream_ends_total{engine="aws",how="${how}"}`);
  }
  return ends;
}
