import { setTimeout as delay } from 'node:timers/promises';
import type { Engine, EngineStream } from '../engines/engine.ts';
import { GatewayError, toGatewayError } from '../errors.ts';
import type { Logger } from '../log.ts';
import type { Metrics } from '../metrics/metrics.ts';
import type { StartRequest } from '../protocol/start-request.ts';

const BACKOFF_FIRST_MS = 100;
const BACKOFF_LAST_MS = 2_000;
/**
 * A stream that lived this long was a healthy one: the next break starts with a fresh budget. Longer than any engine
 * takes to notice a hung stream, so that audio which hangs every engine does not renew the budget for ever.
 */
const HEALTHY_AFTER_MS = 30_000;

interface StreamOpenerOptions {
  readonly engine: Engine;
  readonly request: StartRequest;
  readonly limits: { readonly startTimeoutMs: number; readonly recoveryTimeoutMs: number };
  readonly metrics: Metrics;
  readonly log: Logger;
  /** Aborted when the session is given up. */
  readonly signal: AbortSignal;
}

/**
 * Opens the engine streams of one session: the first with a plain time limit, each following one with backoff, jitter
 * and a time budget that starts anew only after a healthy stream.
 */
export class StreamOpener {
  readonly #options: StreamOpenerOptions;
  #openedAt = 0;
  #breaksInARow = 0;
  #deadline: number | undefined;

  constructor(options: StreamOpenerOptions) {
    this.#options = options;
  }

  /** @throws GatewayError why no stream could be opened */
  async first(): Promise<EngineStream> {
    return this.#open(false);
  }

  /**
   * Opens the stream that follows one which broke.
   * @param broken why it broke
   * @throws GatewayError `broken` itself where a new stream cannot help, or the last failure once the budget is used up
   */
  async next(broken: GatewayError): Promise<EngineStream> {
    const { engine, limits, log, metrics, signal } = this.#options;
    const name = engine.capabilities.name;
    metrics.engineBreaksTotal.inc({ engine: name, code: broken.code });
    log.warn({ engine: name, code: broken.code, err: broken }, 'engine stream broke');
    const now = performance.now();
    if (this.#deadline === undefined || now - this.#openedAt >= HEALTHY_AFTER_MS) {
      this.#deadline = now + limits.recoveryTimeoutMs;
      this.#breaksInARow = 0;
    }
    let failure = broken;
    while (failure.retryable) {
      const pause = backoff(this.#breaksInARow++);
      if (performance.now() + pause > this.#deadline) break;
      await delay(pause, undefined, { signal });
      try {
        return await this.#open(true);
      } catch (error) {
        signal.throwIfAborted();
        failure = toGatewayError(error);
      }
    }
    throw failure;
  }

  /** The open stream is gone. */
  closed(): void {
    const { engine, metrics } = this.#options;
    metrics.engineStreams.dec({ engine: engine.capabilities.name });
  }

  async #open(continuation: boolean): Promise<EngineStream> {
    const { engine, limits, metrics, request, signal } = this.#options;
    const name = engine.capabilities.name;
    const timeout = AbortSignal.timeout(limits.startTimeoutMs);
    try {
      const options = { ...request, continuation };
      const stream = await engine.open(options, AbortSignal.any([signal, timeout]));
      this.#openedAt = performance.now();
      metrics.engineOpensTotal.inc({ engine: name, outcome: 'ok' });
      metrics.engineStreams.inc({ engine: name });
      return stream;
    } catch (error) {
      const failure = timeout.aborted
        ? new GatewayError('engine_unavailable', 'The speech engine did not open a stream in time.', { cause: error })
        : toGatewayError(error);
      // A client that left while the stream opened says nothing about the engine.
      metrics.engineOpensTotal.inc({ engine: name, outcome: signal.aborted ? 'aborted' : failure.code });
      throw failure;
    }
  }
}

/** Exponential, with full jitter on its upper half, so that the sessions of a dead process do not return in step. */
function backoff(attempt: number): number {
  const ceiling = Math.min(BACKOFF_LAST_MS, BACKOFF_FIRST_MS * 2 ** Math.min(attempt, 10));
  return ceiling / 2 + (Math.random() * ceiling) / 2;
}
