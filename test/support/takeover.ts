/** Coded audio through a cluster whose gateways are killed: what the client has at the end, block by block. */
import { setTimeout as delay } from 'node:timers/promises';
import { createTranscription, type Entry, type Transcription } from '../../src/client/index.ts';
import { startEmulator } from '../../src/emulator/emulator.ts';
import { seededRandom } from '../../src/emulator/random.ts';
import { audioChunks, codedAudio, type PlacedBlock } from './coded-audio.ts';
import { Pods } from './pods.ts';
import { toEmulator } from './process.ts';
import { type BlockAccount, reconcile } from './reconcile.ts';
import type { RedisServer } from './redis.ts';

export interface TakeoverOptions {
  readonly redis: RedisServer;
  readonly pods: number;
  /** Of each gateway; one by default. A strike may then end workers, and a single pod is enough. */
  readonly workers?: number;
  /** How many times the owner is killed (or its connection cut) in mid-session. */
  readonly kills: number;
  /** Chances by which gateways kill themselves at named places; see `src/failpoints.ts`. */
  readonly failpoints?: string;
  /** Goes on until so many gateways have ended, by the test or by a failpoint; 0 by default. */
  readonly deaths?: number;
  readonly sessions: number;
  readonly seed: number;
  /** What happens to the owner; killed by default. */
  readonly strike?: Strike;
}

/** Resolves when it is over. */
export type Strike = (pods: Pods, owner: number) => Promise<void>;

export interface TakeoverReport {
  readonly accounts: readonly BlockAccount[];
  /** Clients whose times ran backwards, or whose entries overlap. */
  readonly disorders: readonly string[];
  readonly gaps: number;
  /** Gateways that ended, by the test or by a failpoint. */
  readonly deaths: number;
  /** From each strike to the next live result of the client whose owner it was, in milliseconds. */
  readonly pausesMs: readonly number[];
  /** Sessions that the clients needed in all. */
  readonly sessions: number;
}

/** Fast finals, so that a takeover is seen and not the engine's own slowness. */
const LATENCY = { partialMs: 60, finalMs: { min: 60, max: 400 } };
const CHUNK_BYTES = 3_200;
const CHUNK_MS = 100;

/** Runs clients against a cluster under strikes until the strikes are used up, and accounts for every block. */
export async function takeover(options: TakeoverOptions): Promise<TakeoverReport> {
  const random = seededRandom(options.seed);
  const emulator = await startEmulator({
    recogniser: { kind: 'coded', latency: LATENCY },
    limits: { concurrentStreams: 1_000, startsPerSecond: 1_000 },
  });
  let deaths = 0;
  const pods = await Pods.start({
    count: options.pods,
    redis: options.redis,
    onDeath: () => deaths++,
    env: {
      ...toEmulator(emulator.url),
      LOG_LEVEL: 'info',
      ...(options.workers !== undefined && { GATEWAY_WORKERS: String(options.workers) }),
      ...(options.failpoints !== undefined && { GATEWAY_FAILPOINTS: options.failpoints }),
    },
  });
  let striking = true;
  try {
    const speakers = Array.from({ length: options.sessions }, (_, n) => new Speaker(pods.url, options.seed + n));
    const speaking = speakers.map((speaker) => speaker.run(() => striking));
    const pausesMs: number[] = [];
    await Promise.all(speakers.map((speaker) => speaker.heard()));
    for (let n = 0; n < options.kills; n++) {
      await delay(300 + random() * 1_200);
      const { busy } = pods;
      const owner = busy[Math.floor(random() * busy.length)];
      // Never the last one, so that what is measured is a takeover and not the start of a process.
      if (owner === undefined || (pods.alive < 2 && options.workers === undefined)) {
        n--;
        continue;
      }
      const begin = performance.now();
      const strike = (options.strike ?? (async (cluster, index) => cluster.kill(index)))(pods, owner);
      await Promise.all(speakers.map((speaker) => speaker.heard()));
      pausesMs.push(performance.now() - begin);
      await strike;
    }
    while (deaths < (options.deaths ?? 0)) await delay(50);
    striking = false;
    await Promise.all(speaking);
    return {
      accounts: speakers.map((speaker) => speaker.account()),
      disorders: speakers.flatMap((speaker) => speaker.disorders),
      gaps: speakers.reduce((sum, { gaps }) => sum + gaps, 0),
      deaths,
      pausesMs,
      sessions: speakers.reduce((sum, speaker) => sum + speaker.sessions, 0),
    };
  } finally {
    striking = false;
    await pods.close();
    await emulator.close();
  }
}

/** One client that speaks coded audio in real time, and what it was told. */
class Speaker {
  readonly #transcription: Transcription;
  readonly #seed: number;
  readonly #entries: Entry[] = [];
  readonly #blocks: PlacedBlock[] = [];
  readonly disorders: string[] = [];
  #heard = Promise.withResolvers<void>();
  #spoken = 0;
  sessions = 0;

  constructor(url: string, seed: number) {
    this.#seed = seed;
    this.#transcription = createTranscription({ url, exclusive: true, unresponsiveMs: 3_000 });
    this.#transcription.on('partial', () => this.#live());
    this.#transcription.on('final', (final) => {
      this.#note(final, final.startSample, final.endSample);
      if (!final.replayed) this.#live();
    });
    this.#transcription.on('gap', (gap) => this.#note(gap, gap.fromSample, gap.toSample));
    this.#transcription.on('error', (error) => this.disorders.push(`error ${error.code}: ${error.message}`));
  }

  get gaps(): number {
    return this.#entries.filter(({ kind }) => kind === 'gap').length;
  }

  /** Resolves with the next result that is not a replay. */
  async heard(): Promise<void> {
    this.#heard = Promise.withResolvers();
    await this.#heard.promise;
  }

  /** Speaks for as long as it may, and then to the end of the utterance. */
  async run(goesOn: () => boolean): Promise<void> {
    await this.#transcription.start();
    const begin = performance.now();
    let sent = 0;
    for (let utterance = 0; goesOn(); utterance++) {
      const audio = codedAudio({
        utterances: 1,
        blocks: { min: 5, max: 60 },
        silentBlocks: { min: 5, max: 20 },
        firstBlock: this.#blocks.length + 1,
        seed: this.#seed * 10_007 + utterance,
      });
      for (const block of audio.blocks) {
        this.#blocks.push({
          number: block.number,
          startSample: this.#spoken + block.startSample,
          endSample: this.#spoken + block.endSample,
        });
      }
      this.#spoken += audio.pcm.length / 2;
      for (const chunk of audioChunks(audio.pcm, CHUNK_BYTES)) {
        this.#transcription.send(chunk);
        sent += (chunk.length / CHUNK_BYTES) * CHUNK_MS;
        await delay(Math.max(0, begin + sent - performance.now()));
      }
    }
    const summary = await this.#transcription.stop();
    this.sessions = summary.sessions;
  }

  account(): BlockAccount {
    return reconcile({
      expected: this.#blocks,
      finals: this.#entries.flatMap((entry) => (entry.kind === 'final' ? [entry.text] : [])),
      gaps: this.#entries.flatMap((entry) => (entry.kind === 'gap' ? [entry] : [])),
    });
  }

  #live(): void {
    this.#heard.resolve();
  }

  #note(entry: Entry, startSample: number, endSample: number): void {
    const before = this.#entries.at(-1);
    const end = before === undefined ? 0 : before.kind === 'final' ? before.endSample : before.toSample;
    if (startSample < end) this.disorders.push(`entry ${entry.seq} begins at ${startSample}, before ${end}`);
    if (endSample < startSample) this.disorders.push(`entry ${entry.seq} ends before it begins`);
    if (entry.seq !== (before?.seq ?? 0) + 1) this.disorders.push(`entry ${entry.seq} after ${before?.seq ?? 0}`);
    if (entry.kind === 'final') this.#checkPlaces(entry);
    this.#entries.push(entry);
  }

  /** A final covers exactly the blocks that it names. */
  #checkPlaces({ endSample, startSample, text }: Extract<Entry, { kind: 'final' }>): void {
    const numbers = text.split(' ').map((word) => Number(word.slice(1)));
    const first = this.#blocks.find(({ number }) => number === numbers[0]);
    const last = this.#blocks.find(({ number }) => number === numbers.at(-1));
    // Times come in milliseconds over the wire of the speech service.
    const isNear = (a: number | undefined, b: number) => a !== undefined && Math.abs(a - b) <= 16;
    if (isNear(first?.startSample, startSample) && isNear(last?.endSample, endSample)) return;
    this.disorders.push(`final of blocks ${numbers[0]} to ${numbers.at(-1)} at ${startSample} to ${endSample}`);
  }
}
