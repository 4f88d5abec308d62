import { setTimeout as delay } from 'node:timers/promises';
import type { Logger } from 'pino';
import { HEALTHY_AFTER_MS, respawnDelayMs } from '../../backoff.ts';
import { GatewayError } from '../../errors.ts';
import {
  type RecogniserExit,
  RecogniserProcess,
  type RecogniserProcessListener,
  type RecogniserProcessOptions,
} from './recogniser-process.ts';

export interface RecogniserPoolOptions {
  readonly processes: number;
  readonly process: RecogniserProcessOptions;
  readonly log: Logger;
  readonly listener: RecogniserPoolListener;
}

interface RecogniserPoolListener extends RecogniserProcessListener {
  /** A process became ready. */
  processReady(): void;
  /** A process ended that was not asked to; its streams have broken. */
  processExited(): void;
}

/** Keeps `processes` recogniser processes alive. */
export class RecogniserPool {
  readonly #options: RecogniserPoolOptions;
  readonly #live = new Set<RecogniserProcess>();
  readonly #closing = new AbortController();
  /** Callers that wait for a live process; each belongs to a session that was admitted, which bounds them. */
  #waiting: PromiseWithResolvers<void>[] = [];
  #supervisors: Promise<void>[] = [];

  private constructor(options: RecogniserPoolOptions) {
    this.#options = options;
  }

  /**
   * Starts all processes at once and resolves when all are ready.
   * @throws GatewayError of the first that fails: a fault at start is the operator's to see, not to be retried away
   */
  static async start(options: RecogniserPoolOptions): Promise<RecogniserPool> {
    const pool = new RecogniserPool(options);
    const launches = Array.from({ length: options.processes }, () => pool.#launch(options.process));
    try {
      const started = await Promise.all(launches);
      pool.#supervisors = started.map((recogniser) => pool.#supervise(recogniser));
      return pool;
    } catch (error) {
      pool.#closing.abort();
      await Promise.allSettled(launches);
      await pool.close();
      throw error;
    }
  }

  get liveProcesses(): number {
    return this.#live.size;
  }

  get openStreams(): number {
    let streams = 0;
    for (const recogniser of this.#live) streams += recogniser.openStreams;
    return streams;
  }

  /** Age in milliseconds of the oldest audio that is not decoded yet, over all processes. */
  get lagMs(): number {
    return Math.max(0, ...[...this.#live].map((recogniser) => recogniser.lagMs));
  }

  get pids(): number[] {
    return [...this.#live].map((recogniser) => recogniser.pid);
  }

  /** Mean over the processes of what was measured at start, in processor seconds per second of speech. */
  get cpuPerAudioSecond(): number | undefined {
    const costs = [...this.#live].flatMap(({ cpuPerAudioSecond }) => cpuPerAudioSecond ?? []);
    return costs.length === 0 ? undefined : costs.reduce((sum, cost) => sum + cost, 0) / costs.length;
  }

  /** The live process with the fewest streams. */
  leastLoaded(): RecogniserProcess | undefined {
    let least: RecogniserProcess | undefined;
    for (const recogniser of this.#live) {
      if (least === undefined || recogniser.openStreams < least.openStreams) least = recogniser;
    }
    return least;
  }

  /** Like `leastLoaded`, but waits for a process when none is live. Rejects when `signal` aborts or the pool closes. */
  async whenLive(signal: AbortSignal): Promise<RecogniserProcess> {
    for (;;) {
      signal.throwIfAborted();
      if (this.#closing.signal.aborted) throw new GatewayError('engine_unavailable', 'The local engine is closed.');
      const recogniser = this.leastLoaded();
      if (recogniser !== undefined) return recogniser;
      const change = Promise.withResolvers<void>();
      this.#waiting.push(change);
      const abort = () => change.resolve();
      signal.addEventListener('abort', abort, { once: true });
      await change.promise;
      signal.removeEventListener('abort', abort);
      this.#waiting = this.#waiting.filter((other) => other !== change);
    }
  }

  /** Aborts all streams and ends all processes at once. Idempotent. */
  async close(): Promise<void> {
    this.#closing.abort();
    this.#wakeWaiting();
    await Promise.all([...this.#live].map((recogniser) => recogniser.stop()));
    await Promise.all(this.#supervisors);
  }

  async #launch(options: RecogniserProcessOptions): Promise<RecogniserProcess> {
    const recogniser = await RecogniserProcess.launch(options, this.#options.listener, this.#closing.signal);
    this.#live.add(recogniser);
    void recogniser.exited.then(() => this.#live.delete(recogniser));
    this.#wakeWaiting();
    return recogniser;
  }

  /** Replaces `recogniser` whenever it ends, until the pool closes. Never rejects. */
  async #supervise(recogniser: RecogniserProcess): Promise<void> {
    const { signal } = this.#closing;
    let current: RecogniserProcess | undefined = recogniser;
    for (let failures = 0; !signal.aborted; ) {
      if (current !== undefined) {
        const startedAt = performance.now();
        const exit = await current.exited;
        if (signal.aborted) return;
        if (performance.now() - startedAt > HEALTHY_AFTER_MS) failures = 0;
        await this.#reportExit(current, exit);
      }
      await delay(respawnDelayMs(failures++), undefined, { signal, ref: false }).catch(() => {});
      // Not calibrated again: under load the measurement would be of the load.
      current = await this.#relaunch(failures);
    }
  }

  async #relaunch(attempt: number): Promise<RecogniserProcess | undefined> {
    try {
      const recogniser = await this.#launch({ ...this.#options.process, calibrationAudio: undefined });
      this.#options.listener.processReady();
      return recogniser;
    } catch (error) {
      if (!this.#closing.signal.aborted) {
        this.#options.log.error({ err: error, attempt }, 'recogniser process could not be restarted');
      }
      return undefined;
    }
  }

  async #reportExit(recogniser: RecogniserProcess, exit: RecogniserExit): Promise<void> {
    this.#options.listener.processExited();
    this.#options.log.warn(
      {
        recogniser_pid: recogniser.pid,
        exit_code: exit.exitCode,
        signal: exit.signal,
        hung: exit.hung,
        stderr: await recogniser.lastWords(),
      },
      'recogniser process ended; its streams broke and it will be replaced',
    );
  }

  #wakeWaiting(): void {
    for (const change of this.#waiting) change.resolve();
  }
}
