import {
  BrokenCircuitError,
  type CircuitBreakerPolicy,
  CircuitState,
  circuitBreaker,
  ExponentialBackoff,
  halfJitterGenerator,
  handleWhen,
  type IBreaker,
} from 'cockatiel';
import { AwsFailure } from './failures.ts';

export type CircuitName = 'closed' | 'half_open' | 'open';

/** Failures without a success between them after which an entry is set aside. */
const FAILURES_IN_A_ROW = 5;
/**
 * How long it is set aside, in milliseconds: the first time and at most, less up to a half by chance, so that gateways do
 * not return in step. Sessions try for 20 s by default: a lone entry must be tried again several times within that.
 */
const FIRST_PAUSE_MS = 1_000;
const LONGEST_PAUSE_MS = 8_000;

/**
 * Counts refused opens and broken streams apart, because each has a success of its own: a stream that opens, and a
 * stream that gives words. Together they would hide an entry that opens every stream and then breaks it, and one that has
 * running streams and opens no more.
 */
class Tally implements IBreaker {
  state: unknown;
  refusals = 0;
  breaks = 0;

  success(state: CircuitState): void {
    this.refusals = 0;
    if (state === CircuitState.HalfOpen) this.breaks = 0;
  }

  failure(): boolean {
    return this.refusals >= FAILURES_IN_A_ROW || this.breaks >= FAILURES_IN_A_ROW;
  }
}

function blamesEntry(error: unknown): boolean {
  return error instanceof AwsFailure && error.blamesEntry;
}

/** The circuit breaker of one pool entry. */
export class Circuit {
  readonly #tally = new Tally();
  readonly #policy: CircuitBreakerPolicy;
  #lastFailure: AwsFailure | undefined;

  /** @param onChange told of each change of the state; must not throw */
  constructor(onChange: (state: CircuitName) => void) {
    this.#policy = circuitBreaker(handleWhen(blamesEntry), {
      breaker: this.#tally,
      halfOpenAfter: new ExponentialBackoff({
        generator: halfJitterGenerator,
        initialDelay: FIRST_PAUSE_MS,
        maxDelay: LONGEST_PAUSE_MS,
      }),
    });
    this.#policy.onStateChange(() => onChange(this.state));
  }

  get state(): CircuitName {
    switch (this.#policy.state) {
      case CircuitState.Closed:
        return 'closed';
      case CircuitState.HalfOpen:
        return 'half_open';
      default:
        return 'open';
    }
  }

  /** Why the entry was blamed last. */
  get lastFailure(): AwsFailure | undefined {
    return this.#lastFailure;
  }

  /**
   * Opens a stream, unless the entry is set aside. While another call tries a set-aside entry again, waits for it.
   * @returns undefined if the entry is set aside
   * @throws whatever `open` throws
   */
  async run<T>(open: () => Promise<T>, signal: AbortSignal): Promise<T | undefined> {
    const aborted = Promise.withResolvers<never>();
    const onAbort = () => aborted.reject(signal.reason);
    signal.addEventListener('abort', onAbort, { once: true });
    const counted = async () => {
      try {
        return await open();
      } catch (error) {
        if (error instanceof AwsFailure && error.blamesEntry) {
          this.#lastFailure = error;
          this.#tally.refusals += 1;
        }
        throw error;
      }
    };
    try {
      // The library does not look at the signal while it waits for the outcome of another call.
      return await Promise.race([this.#policy.execute(counted, signal), aborted.promise]);
    } catch (error) {
      signal.throwIfAborted();
      if (error instanceof BrokenCircuitError) return undefined;
      throw error;
    } finally {
      signal.removeEventListener('abort', onAbort);
    }
  }

  /** A stream of the entry has given words. */
  heard(): void {
    this.#tally.breaks = 0;
  }

  /** A stream that had opened broke. */
  broke(failure: AwsFailure): void {
    if (!failure.blamesEntry || this.#policy.state !== CircuitState.Closed) return;
    this.#lastFailure = failure;
    this.#tally.breaks += 1;
    // The library counts what runs in it: this one has failed already.
    void this.#policy.execute(() => Promise.reject(failure)).catch(() => undefined);
  }
}
