import { GatewayError } from '../errors.ts';
import type { Metrics } from '../metrics/metrics.ts';
import type { LimitName } from '../protocol/limit-codes.ts';
import type { MakeRate, Rate } from '../store/rates.ts';
import type { LeaseKeeper, Place } from './lease-keeper.ts';
import { refusal } from './refusal.ts';

/** What one address may do; 0 for any number. */
interface AddressBounds {
  /** Connections at a time. */
  readonly connectionsPerAddress: number;
  readonly connectsPerMinute: number;
  /** Handshakes and requests without a good token. */
  readonly authFailuresPerMinute: number;
  /** Resumes and watches of sessions that do not exist, or with another's token. */
  readonly resumeFailuresPerMinute: number;
}

interface DoorOptions {
  readonly keeper: LeaseKeeper;
  readonly makeRate: MakeRate;
  readonly bounds: AddressBounds;
  readonly metrics: Metrics;
}

const WINDOW_SECONDS = 60;
/** By how much of their wait those spread who are refused. */
const SPREAD = 0.5;
/** Of an address that is shut out, all that is known: more at a time are an attack, and the oldest are forgotten. */
const MOST_SHUT_OUT = 10_000;

/**
 * What an address may do before anybody knows who is there. All methods take the address as `countedAddress` gives it;
 * undefined, where clients share one, is not limited.
 */
export class DoorLimits {
  readonly #options: DoorOptions;
  readonly #connects: Rate | undefined;
  readonly #authFailures: Failures;
  readonly #resumeFailures: Failures;

  constructor(options: DoorOptions) {
    const { authFailuresPerMinute, connectsPerMinute, resumeFailuresPerMinute } = options.bounds;
    this.#options = options;
    this.#connects = this.#rate('connects_per_address', connectsPerMinute);
    this.#authFailures = new Failures(this.#rate('auth_failures_per_address', authFailuresPerMinute));
    this.#resumeFailures = new Failures(this.#rate('resume_failures_per_address', resumeFailuresPerMinute));
  }

  /**
   * Lets a connection in, before it is asked anything.
   * @param connectionId its own, of no other one
   * @returns its place, to be released when it is gone; undefined if it needs none
   * @throws GatewayError `rate_exceeded` or `connections_exceeded`
   */
  async enter(address: string | undefined, connectionId: string): Promise<Place | undefined> {
    if (address === undefined) return undefined;
    this.#assertMayAuthenticate(address);
    const wait = (await this.#connects?.count(address)) ?? 0;
    if (wait > 0) throw this.#refuse('connects_per_address', 'Too many connections were made from this address', wait);
    const { bounds, keeper } = this.#options;
    const limit = 'connections_per_address';
    const most = bounds.connectionsPerAddress;
    if (most === 0) return undefined;
    const answer = await keeper.take({ limit, scope: `${limit} ${address}`, holder: connectionId, most });
    if (answer.kind === 'granted') return answer.place;
    throw this.#refuse(limit, 'There are too many connections from this address', answer.retryAfterMs);
  }

  /**
   * Asks who somebody is, and counts a bad token.
   * @throws GatewayError `rate_exceeded` for an address that sent too many of them, or what `authenticate` throws
   */
  async authenticate<T>(address: string | undefined, authenticate: () => Promise<T>): Promise<T> {
    this.#assertMayAuthenticate(address);
    try {
      return await authenticate();
    } catch (error) {
      // Where it may be good later, the fault is not the token's.
      const isBad = error instanceof GatewayError && error.code === 'unauthorized' && !error.retryable;
      if (isBad) await this.#authFailures.count(address);
      throw error;
    }
  }

  /** @throws GatewayError `rate_exceeded` for an address that asked for too many sessions that are not its own */
  assertMayResume(address: string | undefined): void {
    const wait = this.#resumeFailures.waitOf(address);
    if (wait === 0) return;
    throw this.#refuse('resume_failures_per_address', 'Too many resumes and watches from this address failed', wait);
  }

  /** A session was asked for that does not exist, or with a token that is not its own. */
  async resumeFailed(address: string | undefined): Promise<void> {
    await this.#resumeFailures.count(address);
  }

  /** What a connection is told that asked for too many. @param wait milliseconds until it may ask again */
  tooManyGuesses(wait: number): GatewayError {
    return this.#refuse(
      'resume_failures_per_connection',
      'Too many resumes and watches of this connection failed',
      wait,
    );
  }

  #assertMayAuthenticate(address: string | undefined): void {
    const wait = this.#authFailures.waitOf(address);
    if (wait > 0) throw this.#refuse('auth_failures_per_address', 'Too many bad tokens came from this address', wait);
  }

  #refuse(limit: LimitName, what: string, wait: number): GatewayError {
    // All whom a window keeps out would come back at its end.
    const spread = Math.round(wait * (1 + Math.random() * SPREAD));
    return refusal(this.#options.metrics, limit, `${what}; try again in ${Math.ceil(spread / 1000)} s.`, spread);
  }

  #rate(limit: LimitName, most: number): Rate | undefined {
    if (most === 0) return undefined;
    const { makeRate, metrics } = this.#options;
    const onFallback = () => metrics.limitFallbacksTotal.inc({ limit });
    return makeRate({ name: limit, most, seconds: WINDOW_SECONDS, onFallback });
  }
}

/**
 * Counts failures with the other workers, and remembers for itself who has had too many: so that whoever does nothing wrong
 * costs no question. Another worker learns of an address that is shut out here by its next failure there.
 */
class Failures {
  readonly #rate: Rate | undefined;
  /** Until when, in milliseconds of the monotonic clock. */
  readonly #shutOut = new Map<string, number>();

  constructor(rate: Rate | undefined) {
    this.#rate = rate;
  }

  /** Milliseconds until the address may try again; 0 if it may now. */
  waitOf(address: string | undefined): number {
    if (address === undefined) return 0;
    const wait = (this.#shutOut.get(address) ?? 0) - performance.now();
    if (wait > 0) return Math.ceil(wait);
    this.#shutOut.delete(address);
    return 0;
  }

  async count(address: string | undefined): Promise<void> {
    if (address === undefined || this.#rate === undefined) return;
    const wait = await this.#rate.count(address);
    if (wait === 0) return;
    this.#shutOut.set(address, performance.now() + wait);
    const [oldest] = this.#shutOut.keys();
    if (this.#shutOut.size > MOST_SHUT_OUT && oldest !== undefined) this.#shutOut.delete(oldest);
  }
}
