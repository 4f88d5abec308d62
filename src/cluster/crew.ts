import cluster, { type Worker } from 'node:cluster';
import type { Server } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { type DrainPace, StartupError } from '../app.ts';
import { HEALTHY_AFTER_MS, respawnDelayMs } from '../backoff.ts';
import type { Logger } from '../log.ts';
import { HeldSockets } from './held-sockets.ts';
import { type Envelope, type FromWorker, type MetricsSnapshot, type ToWorker, unwrap } from './messages.ts';

/** Tells a worker its place in the crew. Not one of the settings: nobody sets it but the primary. */
export const SLOT_VARIABLE = 'TRANSCRIBE_GATEWAY_SLOT';
/** Tells a worker where the engine is that it shares with the others, if there is one. */
export const ENGINE_VARIABLE = 'TRANSCRIBE_GATEWAY_ENGINE_PATH';

/** Of the silence that is granted to a worker, how often it is looked at. */
const LOOKS = 6;

/** Told of what the workers do; `slot` counts from 1 and stays the same when a worker is replaced. */
export interface CrewListener {
  /** @param request as in the message */
  reported(slot: number, metrics: MetricsSnapshot, request: number | undefined): void;
  exited(slot: number): void;
}

/**
 * A place for a worker. `starting`: it boots and takes no connections. `serving`: it takes connections. `leaving`: it
 * lives, but takes none any more. `empty`: there is none; another is started unless the crew ends.
 */
interface Place {
  readonly slot: number;
  state: 'starting' | 'serving' | 'leaving' | 'empty';
  /** A worker that serves says that new clients are welcome; at first they are. */
  isWelcoming: boolean;
  worker: Worker | undefined;
  /** Looks in a row at which a worker that serves had said nothing since the one before. */
  silentLooks: number;
  /** Resolves when the worker of now has ended. */
  gone: Promise<void>;
}

/**
 * Keeps the workers of a cluster alive.
 *
 * Sticky gives connections to every worker in `cluster.workers`, also to one that still boots and would lose them. That
 * table is therefore the list of the workers that serve: a worker is taken out when it is forked, put in when it says
 * that it is ready, and taken out before its end where that can be known.
 */
export class Crew {
  readonly #log: Logger;
  readonly #listener: CrewListener;
  readonly #places: readonly Place[];
  readonly #held = new HeldSockets();
  readonly #ending = new AbortController();
  readonly #silenceMs: number;
  /** Since when no worker takes connections, in milliseconds of the monotonic clock; undefined while one does. */
  #aloneSince: number | undefined;
  #engineName = 'none';
  #enginePath: string | undefined;

  /** @param silenceMs after which a worker that says nothing is blocked for good, in milliseconds */
  constructor(size: number, silenceMs: number, log: Logger, listener: CrewListener) {
    this.#silenceMs = silenceMs;
    this.#log = log;
    this.#listener = listener;
    this.#places = Array.from({ length: size }, (_, index) => ({
      slot: index + 1,
      state: 'empty',
      isWelcoming: true,
      worker: undefined,
      silentLooks: 0,
      gone: Promise.resolve(),
    }));
  }

  /**
   * Starts all workers at once and resolves when all are ready.
   * @param enginePath of the engine that they share; without it each has its own
   * @throws StartupError of the first that fails: a fault at start is the operator's to see, not to be retried away
   */
  async start(enginePath: string | undefined): Promise<void> {
    this.#enginePath = enginePath;
    // With JSON, the default, the bytes that sticky passes on would arrive as objects and every connection would fail.
    cluster.setupPrimary({ serialization: 'advanced' });
    await Promise.all(this.#places.map((place) => this.#launch(place)));
    for (const place of this.#places) void this.#supervise(place);
    const looks = setInterval(() => this.#look(), this.#silenceMs / LOOKS).unref();
    this.#ending.signal.addEventListener('abort', () => clearInterval(looks), { once: true });
  }

  /** Before the server listens: what it holds for a worker ends with the worker. */
  watch(server: Server): void {
    this.#held.watch(server);
  }

  get engineName(): string {
    return this.#engineName;
  }

  /** Workers that take connections. */
  get serving(): number {
    return this.#places.filter(({ state }) => state === 'serving').length;
  }

  /** New clients are welcome to one of them. */
  get isWelcoming(): boolean {
    return this.#places.some(({ isWelcoming, state }) => state === 'serving' && isWelcoming);
  }

  /** How long no worker has taken connections, in milliseconds; 0 while one does. */
  get idleMs(): number {
    if (this.serving > 0) return 0;
    return performance.now() - (this.#aloneSince ?? performance.now());
  }

  get slots(): readonly number[] {
    return this.#places.map(({ slot }) => slot);
  }

  /** Asks every worker that can answer for its metrics; returns their slots. */
  askForMetrics(request: number): number[] {
    const asked = this.#places.filter(({ state }) => state === 'serving' || state === 'leaving');
    for (const place of asked) this.#tell(place, { type: 'report', request });
    return asked.map(({ slot }) => slot);
  }

  /** Lets every worker finish its sessions and end; those that have not ended by then are killed. Idempotent. */
  async drain(withinMs: number, pace: DrainPace): Promise<void> {
    this.#ending.abort();
    for (const place of this.#places) this.#tell(place, { type: 'drain', pace });
    await Promise.race([this.#allGone(), delay(withinMs, undefined, { ref: false })]);
    const late = this.#places.filter(({ worker }) => worker !== undefined).map(({ slot }) => slot);
    if (late.length === 0) return;
    this.#log.error({ workers: late }, 'workers did not end in time; they are killed');
    await this.kill();
  }

  /** Ends every worker at once. */
  async kill(): Promise<void> {
    this.#ending.abort();
    for (const { worker } of this.#places) worker?.process.kill('SIGKILL');
    await this.#allGone();
  }

  async #allGone(): Promise<void> {
    await Promise.all(this.#places.map(({ gone }) => gone));
  }

  #tell({ worker }: Place, message: ToWorker): void {
    const envelope: Envelope<ToWorker> = { gateway: message };
    // It may die at any moment, and its exit says all that is to be said.
    if (worker?.isConnected()) worker.send(envelope, () => undefined);
  }

  /** Resolves when the worker is ready, rejects when it ends before that. */
  async #launch(place: Place): Promise<void> {
    const worker = cluster.fork({
      [SLOT_VARIABLE]: String(place.slot),
      ...(this.#enginePath !== undefined && { [ENGINE_VARIABLE]: this.#enginePath }),
    });
    this.#setServing(worker, false);
    this.#held.follow(worker);
    const ready = Promise.withResolvers<void>();
    const gone = Promise.withResolvers<void>();
    place.worker = worker;
    place.state = 'starting';
    place.isWelcoming = true;
    place.gone = gone.promise;
    let reason: string | undefined;

    worker.on('message', (received: unknown) => {
      place.silentLooks = 0;
      const message = unwrap<FromWorker>(received);
      // What is read after the end would count twice: by then the account of the worker is closed.
      if (message === undefined || place.worker !== worker) return;
      switch (message.type) {
        case 'ready':
          this.#engineName = message.engine;
          this.#aloneSince = undefined;
          place.state = 'serving';
          place.silentLooks = 0;
          this.#setServing(worker, true);
          ready.resolve();
          break;
        case 'start_failed':
          reason = message.message;
          break;
        case 'failing':
          this.#leave(place, worker);
          break;
        case 'readiness':
          place.isWelcoming = message.verdict.ok;
          break;
        case 'metrics':
          this.#listener.reported(place.slot, message.metrics, message.request);
          break;
        default:
          message satisfies never;
      }
    });
    // Sticky sends without a callback too; a send that fails is followed by the exit.
    worker.on('error', (err) => this.#log.warn({ err, worker: place.slot }, 'channel to a worker failed'));
    worker.once('disconnect', () => this.#leave(place, worker));
    worker.once('exit', (code, signal) => {
      this.#leave(place, worker);
      place.worker = undefined;
      place.state = 'empty';
      this.#listener.exited(place.slot);
      const facts = { worker: place.slot, worker_pid: worker.process.pid, exit_code: code, signal };
      if (this.#ending.signal.aborted) this.#log.info(facts, 'worker ended');
      else this.#log.error(facts, 'worker ended unasked');
      ready.reject(new StartupError(reason ?? `A worker ended while it started (${signal ?? `exit code ${code}`}).`));
      gone.resolve();
    });
    await ready.promise;
  }

  /**
   * Ends workers that are blocked: they report every two seconds, whatever they do. Looks are counted, and not time,
   * because a machine that was suspended has been silent as a whole.
   */
  #look(): void {
    for (const place of this.#places) {
      if (place.state !== 'serving') continue;
      place.silentLooks += 1;
      if (place.silentLooks <= LOOKS) continue;
      this.#log.error({ worker: place.slot, silent_ms: this.#silenceMs }, 'worker is blocked; it is killed');
      place.worker?.process.kill('SIGKILL');
    }
  }

  #leave(place: Place, worker: Worker): void {
    if (place.worker !== worker) return;
    place.state = 'leaving';
    if (this.serving === 0) this.#aloneSince ??= performance.now();
    this.#setServing(worker, false);
    this.#held.release(worker);
  }

  #setServing(worker: Worker, isServing: boolean): void {
    const { workers } = cluster;
    if (workers === undefined) return;
    if (isServing) workers[worker.id] = worker;
    else delete workers[worker.id];
  }

  /** Replaces the worker whenever it ends, until the crew ends. Never rejects. */
  async #supervise(place: Place): Promise<void> {
    const { signal } = this.#ending;
    for (let failures = 0; ; ) {
      const since = performance.now();
      await place.gone;
      if (signal.aborted) return;
      if (performance.now() - since > HEALTHY_AFTER_MS) failures = 0;
      await delay(respawnDelayMs(failures++), undefined, { signal }).catch(() => undefined);
      if (signal.aborted) return;
      try {
        await this.#launch(place);
        this.#log.info({ worker: place.slot, attempt: failures }, 'worker replaced');
      } catch (err) {
        this.#log.error({ err, worker: place.slot, attempt: failures }, 'worker could not be started again');
      }
    }
  }
}
