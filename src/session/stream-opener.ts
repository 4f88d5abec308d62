import { setTimeout as delay } from 'node:timers/promises';
import { backoffMs } from '../backoff.ts';
import type { Engine, EngineStream } from '../engines/engine.ts';
import { GatewayError, toGatewayError } from '../errors.ts';
import { type Applicant, type LinePlace, NoStreamError } from '../limits/applicant.ts';
import type { Logger } from '../log.ts';
import type { Metrics } from '../metrics/metrics.ts';
import type { StartRequest } from '../protocol/start-request.ts';
import { StartTimeout } from './start-timeout.ts';
import type { StreamOutcome } from './stream-run.ts';

/** Waits between attempts, in milliseconds. */
const BACKOFF = { firstMs: 100, longestMs: 2_000 };
/** A stream that lived this long was a healthy one, though nothing may have been said on it. */
const HEALTHY_AFTER_MS = 30_000;
/**
 * So many breaks in a row have the whole budget each: a stream can live longer than that before it breaks, without a
 * final where somebody speaks without a pause. The bound spares other sessions audio that kills every recogniser it is
 * given to.
 */
const BREAKS_WITH_WHOLE_BUDGET = 3;

interface StreamOpenerOptions {
  readonly engine: Engine;
  readonly request: StartRequest;
  /** Whose streams they are, and who hears when one has to be waited for. */
  readonly applicant: Omit<Applicant, 'over'>;
  readonly limits: { readonly startTimeoutMs: number; readonly recoveryTimeoutMs: number };
  readonly metrics: Metrics;
  readonly log: Logger;
  /** Aborted when the session is given up. */
  readonly signal: AbortSignal;
}

/** How the stream before the next one ended. */
export interface StreamEnd {
  /** Undefined when it ended in good order. */
  readonly error?: GatewayError;
  /** It covered audio that no stream before had covered. */
  readonly progressed: boolean;
}

/**
 * Opens the engine streams of one session: the first with a plain time limit, each following one with backoff, jitter
 * and a time budget. The budget is filled again by a healthy stream: one that ended in good order, made progress or
 * lived for long. Neither runs while the session waits in the line for a stream.
 */
export class StreamOpener {
  readonly #options: StreamOpenerOptions;
  #openedAt = 0;
  #breaksInARow = 0;
  /** Time without a healthy stream before this break, in milliseconds. */
  #spentMs = 0;
  /** Spent in lines so far, in milliseconds, and since when in the present one. */
  #waitedMs = 0;
  #waitsSince: number | undefined;

  constructor(options: StreamOpenerOptions) {
    this.#options = options;
  }

  /** @throws GatewayError why no stream could be opened */
  async first(): Promise<EngineStream> {
    return this.#open(false);
  }

  /**
   * Opens the stream that follows one which is over.
   * @throws GatewayError the break itself where a new stream cannot help, or the last failure once the budget is used up
   */
  async next(last: StreamEnd): Promise<EngineStream> {
    const { limits, signal } = this.#options;
    const livedMs = performance.now() - this.#openedAt;
    if (last.error === undefined || last.progressed || livedMs >= HEALTHY_AFTER_MS) {
      this.#spentMs = 0;
      this.#breaksInARow = 0;
    } else {
      this.#spentMs += livedMs;
    }
    if (last.error !== undefined) this.#breaksInARow++;
    const begin = this.#now();
    const spentMs = this.#breaksInARow <= BREAKS_WITH_WHOLE_BUDGET ? 0 : this.#spentMs;
    const brokeAt = performance.now();
    let failure = last.error;
    try {
      for (let attempt = 0; ; attempt++) {
        if (failure !== undefined) {
          const leftMs = limits.recoveryTimeoutMs - spentMs - (this.#now() - begin);
          if (!failure.retryable || leftMs <= 0) throw failure;
          const pause = Math.max(backoffMs(this.#breaksInARow + attempt - 1, BACKOFF), failure.retryAfterMs ?? 0);
          await delay(Math.min(pause, leftMs), undefined, { signal });
        }
        try {
          const stream = await this.#open(true);
          if (last.error !== undefined) this.#countFailover(brokeAt);
          return stream;
        } catch (error) {
          signal.throwIfAborted();
          if (error instanceof NoStreamError) throw error;
          failure = toGatewayError(error);
        }
      }
    } finally {
      this.#spentMs += this.#now() - begin;
    }
  }

  /** The open stream is over. */
  closed(outcome: StreamOutcome): void {
    const { engine, log, metrics, signal } = this.#options;
    const name = engine.capabilities.name;
    metrics.engineStreams.dec({ engine: name });
    // A client that left says nothing about the engine.
    if (signal.aborted) return;
    metrics.engineStreamEndsTotal.inc({ engine: name, how: outcome.how });
    if (!('error' in outcome)) return;
    metrics.engineBreaksTotal.inc({ engine: name, code: outcome.error.code });
    log.warn({ engine: name, code: outcome.error.code, err: outcome.error }, 'engine stream broke');
  }

  async #open(continuation: boolean): Promise<EngineStream> {
    const { engine, limits, metrics, request, signal } = this.#options;
    const name = engine.capabilities.name;
    const timeout = new StartTimeout(limits.startTimeoutMs);
    try {
      const options = { ...request, continuation, applicant: this.#applicant(timeout) };
      const stream = await engine.open(options, AbortSignal.any([signal, timeout.signal]));
      if (signal.aborted) stream.abort();
      signal.throwIfAborted();
      this.#openedAt = performance.now();
      metrics.engineOpensTotal.inc({ engine: name, outcome: 'ok' });
      metrics.engineStreams.inc({ engine: name });
      return stream;
    } catch (error) {
      const failure = timeout.signal.aborted
        ? new GatewayError('engine_unavailable', 'The speech engine did not open a stream in time.', { cause: error })
        : toGatewayError(error);
      // A client that left while the stream opened says nothing about the engine.
      metrics.engineOpensTotal.inc({ engine: name, outcome: signal.aborted ? 'aborted' : failure.code });
      throw failure;
    } finally {
      timeout.stop();
    }
  }

  #countFailover(brokeAt: number): void {
    const { engine, metrics } = this.#options;
    metrics.engineFailoverSeconds.observe({ engine: engine.capabilities.name }, (performance.now() - brokeAt) / 1000);
  }

  #applicant(timeout: StartTimeout): Applicant {
    const { applicant, signal } = this.#options;
    const queued = (place: LinePlace | undefined) => {
      if (place === undefined) timeout.restart();
      else timeout.stop();
      this.#countWait(place !== undefined);
      applicant.queued(place);
    };
    return { ...applicant, over: signal, queued };
  }

  #countWait(waits: boolean): void {
    if (this.#waitsSince !== undefined) this.#waitedMs += performance.now() - this.#waitsSince;
    this.#waitsSince = waits ? performance.now() : undefined;
  }

  /** A clock in milliseconds that stands still while the session is in a line. */
  #now(): number {
    return (this.#waitsSince ?? performance.now()) - this.#waitedMs;
  }
}
