import { availableParallelism } from 'node:os';
import type { Logger } from 'pino';
import { GatewayError } from '../../errors.ts';
import { SAMPLE_RATE } from '../../protocol/audio.ts';
import type { Engine, EngineCapabilities, EngineStream, EngineStreamOptions } from '../engine.ts';
import { assertSupported } from '../supported.ts';
import { findInstallation } from './installation.ts';
import { KeptPlaces } from './kept-places.ts';
import type { LocalStream } from './local-stream.ts';
import { RecogniserPool } from './recogniser-pool.ts';

/**
 * Share of the measured decoding speed that is sold. The rest pays for the gateway itself (a few percent), for speech
 * harder than the calibration's and for the bursts in which libvosk decodes, half a second of audio at a time.
 */
const UTILISATION = 0.75;
/** Without a measurement: what two cores carried in ours, with margin. */
const DEFAULT_SESSIONS_PER_PROCESS = 6;
/**
 * New sessions are refused while any audio is older than this. A stream holds one second in flight at most, so audio
 * that is real-time and decoded fast enough never gets here, and a saturated stream gets here exactly when a second of
 * its audio takes more than a second.
 */
const SHEDDING_LAG_MS = 1_000;
/** Suggested to those refused; sessions end, and lag recovers, at about this pace. */
const RETRY_AFTER_MS = 1_000;
/** More threads in one process than this gain nothing that another process would not give. */
const MAX_THREADS = 32;
const DEFAULT_HANG_TIMEOUT_MS = 20_000;
/**
 * From the first sample of a word to its partial: 0.7 s in the median, 0.8 s at most alone; with eight sessions on two
 * cores 1.2 s at the 95th percentile and 1.5 s at most (`npm run bench:local`). The margin is for a busy machine.
 */
const SETTLE_MS = 2_000;

/** What the app may want to show of the pool. Called synchronously; must not throw. */
export interface LocalEngineObserver {
  poolChanged(pool: LocalPoolState): void;
  /** A recogniser process ended that was not asked to. */
  recogniserExited(): void;
  /** Audio was decoded `lagMs` milliseconds after it was written. */
  audioProcessed(lagMs: number): void;
}

export interface LocalPoolState {
  readonly liveProcesses: number;
  /** Sessions that the live processes carry together. */
  readonly capacity: number;
  /** Streams that are open or opening, also those that were given up while a process still has to open them. */
  readonly openStreams: number;
}

export interface LocalEngineOptions {
  /** A Vosk model directory, used as it is; the bundled English model by default. */
  readonly modelPath?: string | undefined;
  /** A libvosk; the one of the npm package by default. */
  readonly libraryPath?: string | undefined;
  /** BCP 47 tag of the model's language. */
  readonly languageCode: string;
  /** Recogniser processes; by default one fewer than cores, at least one. */
  readonly processes?: number | undefined;
  /** Sessions admitted per process; measured by default. */
  readonly sessionsPerProcess?: number | undefined;
  /** A few seconds of speech, PCM 16 bit at 16 kHz, to measure the capacity on. */
  readonly calibrationAudio?: Buffer | undefined;
  /** A process that owes an answer for this long, in milliseconds, is killed; 20 s by default. */
  readonly hangTimeoutMs?: number | undefined;
  readonly log: Logger;
  readonly observer?: LocalEngineObserver | undefined;
}

/** The offline engine: libvosk in a pool of processes of its own. */
export class LocalEngine implements Engine {
  readonly capabilities: EngineCapabilities;
  readonly #pool: RecogniserPool;
  readonly #keptPlaces: KeptPlaces;
  readonly #processes: number;
  /** Sessions that all processes carry together when all live. */
  readonly #fullCapacity: number;
  readonly #observer: LocalEngineObserver | undefined;
  #closed: Promise<void> | undefined;

  private constructor(options: LocalEngineOptions, processes: number, pool: RecogniserPool, keptPlaces: KeptPlaces) {
    this.capabilities = {
      name: 'local',
      languages: [options.languageCode],
      sampleRates: [SAMPLE_RATE],
      features: [],
      settleMs: SETTLE_MS,
      realTime: false,
      maxStreamMs: undefined,
    };
    this.#pool = pool;
    this.#keptPlaces = keptPlaces;
    this.#processes = processes;
    this.#fullCapacity = fullCapacity(options, processes, pool.cpuPerAudioSecond);
    this.#observer = options.observer;
  }

  /**
   * Starts the processes, loads the model into each and measures the capacity: about 2 s.
   * @throws GatewayError `engine_unavailable` with the reason for the operator
   */
  static async start(options: LocalEngineOptions): Promise<LocalEngine> {
    const installation = findInstallation({
      libraryPath: options.libraryPath,
      modelPath: options.modelPath,
      platform: process.platform,
      arch: process.arch,
    });
    const cores = availableParallelism();
    // One core is left to the gateway where there are several.
    const processes = options.processes ?? Math.max(1, cores - 1);
    const keptPlaces = new KeptPlaces();
    let reportPool = () => {};
    const pool = await RecogniserPool.start({
      processes,
      process: {
        installation,
        sampleRate: SAMPLE_RATE,
        // One process on two cores still uses both.
        threads: Math.min(MAX_THREADS, Math.ceil(cores / processes)),
        calibrationAudio: options.sessionsPerProcess === undefined ? options.calibrationAudio : undefined,
        hangTimeoutMs: options.hangTimeoutMs ?? DEFAULT_HANG_TIMEOUT_MS,
      },
      log: options.log,
      listener: {
        streamsChanged: () => reportPool(),
        sessionBroken: () => keptPlaces.keep(),
        processed: (lagMs) => options.observer?.audioProcessed(lagMs),
        processReady: () => reportPool(),
        processExited: () => {
          options.observer?.recogniserExited();
          reportPool();
        },
      },
    });
    const engine = new LocalEngine(options, processes, pool, keptPlaces);
    reportPool = () => engine.#reportPool();
    options.log.info(
      { processes, capacity: engine.state.capacity, cpu_per_session: pool.cpuPerAudioSecond },
      'local engine ready',
    );
    reportPool();
    return engine;
  }

  get state(): LocalPoolState {
    const { liveProcesses, openStreams } = this.#pool;
    const share = Math.floor((this.#fullCapacity * liveProcesses) / this.#processes);
    return { liveProcesses, capacity: liveProcesses === 0 ? 0 : Math.max(1, share), openStreams };
  }

  /** Process ids of the live recognisers. */
  get recogniserPids(): readonly number[] {
    return this.#pool.pids;
  }

  async open(options: EngineStreamOptions, signal: AbortSignal): Promise<EngineStream> {
    signal.throwIfAborted();
    assertSupported(this.capabilities, options);
    if (this.#closed !== undefined) throw new GatewayError('engine_unavailable', 'The local engine is closed.');
    if (options.continuation) return this.#continue(signal);
    const reason = this.#refusal;
    if (reason !== undefined) throw refusal(reason);
    const recogniser = this.#pool.leastLoaded();
    if (recogniser === undefined) throw refusal('No recogniser process is running; one is being started.');
    return whenOpened(recogniser.open(), signal);
  }

  async #continue(signal: AbortSignal): Promise<EngineStream> {
    const stream = await whenOpened((await this.#pool.whenLive(signal)).open(), signal);
    // Not before: a session that gives this open up, because it takes too long, tries again and needs its place still.
    this.#keptPlaces.takeBack();
    return stream;
  }

  close(): Promise<void> {
    this.#closed ??= this.#pool.close().finally(() => this.#reportPool());
    return this.#closed;
  }

  get isFull(): boolean {
    return this.#refusal !== undefined;
  }

  /** Why no stream but a continuation would be opened now. */
  get #refusal(): string | undefined {
    const { capacity, openStreams, liveProcesses } = this.state;
    const { count: kept } = this.#keptPlaces;
    if (liveProcesses > 0 && openStreams + kept >= capacity) {
      return `All ${capacity} places of the local engine are taken (${openStreams} streams are open, ${kept} recover).`;
    }
    const lagMs = Math.round(this.#pool.lagMs);
    if (lagMs <= SHEDDING_LAG_MS) return undefined;
    return `The local engine is ${lagMs} ms behind with ${openStreams} streams; it admits new ones below ${SHEDDING_LAG_MS} ms.`;
  }

  #reportPool(): void {
    this.#observer?.poolChanged(this.state);
  }
}

/** A stream that breaks while it opens is returned all the same: its results tell. */
async function whenOpened(stream: LocalStream, signal: AbortSignal): Promise<LocalStream> {
  const onAbort = () => stream.abort();
  signal.addEventListener('abort', onAbort, { once: true });
  await stream.opened;
  signal.removeEventListener('abort', onAbort);
  signal.throwIfAborted();
  return stream;
}

function refusal(message: string): GatewayError {
  return new GatewayError('engine_unavailable', message, { retryable: true, retryAfterMs: RETRY_AFTER_MS });
}

/**
 * Sessions that all processes carry together. Every core counts, the gateway's too: it is idle nearly all of the time
 * and the utilisation leaves it its part.
 */
function fullCapacity(
  { sessionsPerProcess = DEFAULT_SESSIONS_PER_PROCESS }: LocalEngineOptions,
  processes: number,
  cpuPerAudioSecond: number | undefined,
): number {
  if (cpuPerAudioSecond === undefined) return processes * sessionsPerProcess;
  return Math.max(1, Math.floor((UTILISATION * availableParallelism()) / cpuPerAudioSecond));
}
