import type { GatewayError } from '../errors.ts';
import type { Logger } from '../log.ts';
import type { Metrics } from '../metrics/metrics.ts';
import type { Load } from './load.ts';
import { refusal } from './refusal.ts';

/** How often the load is looked at, in milliseconds. */
const CHECK_MS = 1_000;
/** The event loop must have been late at so many looks in a row: a long task, such as the start itself, is no pressure. */
const LOOKS = 5;
/** Who was shed comes back below this share of a bound, so that it is not refused and taken in turn. */
const RELIEF = 0.9;
/** What is told to wait, in milliseconds: at least, and so much more as chance has it, so that not all come at once. */
const RETRY_MS = 2_000;

/** 0 for no bound. */
export interface LoadBounds {
  /** Of the memory that there is. */
  readonly shedMemoryPercent: number;
  readonly shedLoopDelayMs: number;
}

interface ShedderOptions {
  readonly load: Load;
  readonly bounds: LoadBounds;
  readonly metrics: Metrics;
  readonly log: Logger;
}

const PRESSURES = ['memory', 'event_loop'] as const;
type Pressure = (typeof PRESSURES)[number];

/** Refuses new sessions while there is too much on this process for those that it has. */
export class LoadShedder {
  readonly #options: ShedderOptions;
  readonly #timer: NodeJS.Timeout;
  readonly #delays: number[] = [];
  readonly #under = new Set<Pressure>();

  constructor(options: ShedderOptions) {
    this.#options = options;
    for (const pressure of PRESSURES) options.metrics.shedding.set({ pressure }, 0);
    this.#look();
    this.#timer = setInterval(() => this.#look(), CHECK_MS);
    this.#timer.unref();
  }

  /** New sessions are refused. */
  get isShedding(): boolean {
    return this.#under.size > 0;
  }

  /** @throws GatewayError `overloaded` */
  assertRoom(): void {
    const [pressure] = this.#under;
    if (pressure !== undefined) throw this.#refuse(pressure);
  }

  /** Idempotent. */
  close(): void {
    clearInterval(this.#timer);
    this.#options.load.close();
  }

  #look(): void {
    const { bounds, load } = this.#options;
    this.#delays.push(load.loopDelayMs());
    if (this.#delays.length > LOOKS) this.#delays.shift();
    const delayMs = this.#delays.length < LOOKS ? 0 : Math.min(...this.#delays);
    this.#note('memory', load.memory() * 100, bounds.shedMemoryPercent);
    this.#note('event_loop', delayMs, bounds.shedLoopDelayMs);
  }

  #note(pressure: Pressure, found: number, bound: number): void {
    const was = this.#under.has(pressure);
    const is = bound > 0 && found > (was ? bound * RELIEF : bound);
    if (is === was) return;
    const { log, metrics } = this.#options;
    metrics.shedding.set({ pressure }, is ? 1 : 0);
    if (is) {
      this.#under.add(pressure);
      log.warn({ pressure, found: Math.round(found), bound }, 'new sessions are refused: too much load');
    } else {
      this.#under.delete(pressure);
      log.info({ pressure }, 'new sessions are taken again');
    }
  }

  #refuse(pressure: Pressure): GatewayError {
    const limit = pressure === 'memory' ? 'memory_pressure' : 'event_loop_pressure';
    const retryAfterMs = Math.round(RETRY_MS * (1 + Math.random()));
    const message = 'start_transcription: this gateway has too much to do; try again, or another one.';
    return refusal(this.#options.metrics, limit, message, retryAfterMs);
  }
}
