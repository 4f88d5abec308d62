import { randomUUID } from 'node:crypto';
import type { TranscribeStreamingClient } from '@aws-sdk/client-transcribe-streaming';
import type { AwsPoolEntry } from '../../config/aws-pool.ts';
import { GatewayError } from '../../errors.ts';
import type { Admission } from '../../limits/admission.ts';
import { type Applicant, NoStreamError } from '../../limits/applicant.ts';
import type { StreamSlot } from '../../limits/stream-slot.ts';
import type { Logger } from '../../log.ts';
import type { Engine, EngineCapabilities, EngineStream, EngineStreamOptions } from '../engine.ts';
import { assertSupported } from '../supported.ts';
import { AwsStream, type StreamTimeouts } from './aws-stream.ts';
import { awsCapabilities } from './capabilities.ts';
import type { CircuitName } from './circuit.ts';
import { createClient, type FramePath } from './client.ts';
import { toCommandInput } from './command-input.ts';
import { AwsFailure } from './failures.ts';
import { Pool, type PoolSlot } from './pool.ts';

/**
 * Start: at most; see `openTimeoutMs`. Drain: finals come up to 2 s late, and a session that loses them needs time for a
 * second try within its 15 s. Stall: shorter than the 15 s after which AWS ends a stream that gets no audio.
 */
const TIMEOUTS: StreamTimeouts = { startMs: 5_000, stallMs: 10_000, drainMs: 6_000 };

/** What the app may want to show of the pool. Called synchronously; must not throw. */
interface AwsEngineObserver {
  circuitChanged(entry: string, state: CircuitName): void;
  /** @param outcome `ok`, `aborted` or the code of the error */
  streamOpened(entry: string, outcome: string): void;
}

export interface AwsEngineOptions {
  readonly pool: readonly AwsPoolEntry[];
  /** Longest life of a stream, in milliseconds, as the service grants it. */
  readonly maxStreamMs: number;
  readonly framePath: FramePath;
  /**
   * How long the caller of `open` waits, in milliseconds. An entry gets half of it at most, so that one which does not
   * answer leaves time for another, and is blamed for it.
   */
  readonly openTimeoutMs?: number | undefined;
  readonly timeouts?: Partial<StreamTimeouts> | undefined;
  readonly log: Logger;
  readonly observer?: AwsEngineObserver | undefined;
  /** Shares the streams of the accounts out among all workers; without it every stream is tried. Closed with the engine. */
  readonly admission?: Admission | undefined;
}

interface Member extends AwsPoolEntry {
  readonly client: TranscribeStreamingClient;
}

/** Amazon Transcribe streaming, in one region or account or in several. */
export class AwsEngine implements Engine {
  readonly capabilities: EngineCapabilities;
  readonly #timeouts: StreamTimeouts;
  readonly #members: readonly Member[];
  readonly #pool: Pool<Member>;
  readonly #admission: Admission | undefined;
  readonly #streams = new Set<AwsStream>();
  /** Entries that a stream was opened in: their credentials are configured. */
  readonly #proven = new Set<string>();
  #closed = false;

  constructor(options: AwsEngineOptions) {
    const { framePath, log, maxStreamMs, observer } = options;
    this.#admission = options.admission;
    this.capabilities = awsCapabilities(maxStreamMs);
    const startMs = Math.min(TIMEOUTS.startMs, (options.openTimeoutMs ?? Number.POSITIVE_INFINITY) / 2);
    this.#timeouts = { ...TIMEOUTS, startMs, ...options.timeouts };
    this.#members = options.pool.map((entry) => ({ ...entry, client: createClient(entry, framePath, log) }));
    this.#pool = new Pool(this.#members, {
      circuitChanged: (entry, state) => {
        observer?.circuitChanged(entry, state);
        if (state === 'open') log.warn({ entry }, 'AWS pool entry set aside');
        else log.info({ entry, state }, 'AWS pool entry in use');
      },
      tried: (entry, failure) => {
        observer?.streamOpened(entry, outcomeOf(failure));
        if (failure instanceof GatewayError) log.warn({ entry, err: failure }, 'AWS pool entry opened no stream');
      },
    });
  }

  /** Streams open now. */
  get openStreams(): number {
    return this.#streams.size;
  }

  async open(options: EngineStreamOptions, signal: AbortSignal): Promise<EngineStream> {
    signal.throwIfAborted();
    this.#assertOpen();
    assertSupported(this.capabilities, options);
    if (this.#admission === undefined) {
      return this.#pool.open((slot) => this.#openIn(slot, undefined, options, signal), signal);
    }
    return this.#openAdmitted(this.#admission, options, signal);
  }

  /** Has a slot of the quota in each entry that is tried. */
  async #openAdmitted(admission: Admission, options: EngineStreamOptions, signal: AbortSignal): Promise<EngineStream> {
    const { applicant = nobody(), continuation } = options;
    let place: StreamSlot | undefined;
    const choose = async (entries: readonly string[], failures: number) => {
      place?.unused();
      // Whoever has met a failure rather tries again soon, where it may have passed, than waits for another entry.
      const mayWait = failures === 0;
      try {
        place = await admission.admit({ applicant, continuation, entries, mayWait }, signal);
      } catch (error) {
        if (mayWait || !(error instanceof NoStreamError)) throw error;
        return undefined;
      }
      return place.entry;
    };
    try {
      return await this.#pool.open((slot) => this.#openIn(slot, place, options, signal), signal, choose);
    } finally {
      place?.unused();
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    for (const stream of this.#streams) stream.abort();
    for (const { client } of this.#members) client.destroy();
    await this.#admission?.close();
  }

  async #openIn(
    slot: PoolSlot<Member>,
    place: StreamSlot | undefined,
    request: EngineStreamOptions,
    signal: AbortSignal,
  ): Promise<AwsStream> {
    signal.throwIfAborted();
    this.#assertOpen();
    const { circuit, member } = slot;
    const stream = new AwsStream({
      client: member.client,
      request,
      parameters: toCommandInput(request, randomUUID()),
      timeouts: this.#timeouts,
      onWords: () => circuit.heard(),
      onClosed: (broken, isComplete) => {
        this.#streams.delete(stream);
        place?.ended(isComplete);
        if (broken === undefined) return;
        broken.entry = member.name;
        circuit.broke(broken);
      },
    });
    this.#streams.add(stream);
    try {
      await stream.open(signal);
    } catch (error) {
      this.#assertOpen();
      // The chain says the same of a source that is away for a while as of one that was never configured.
      const isAway =
        error instanceof AwsFailure && error.kind === 'credentials_missing' && this.#proven.has(member.name);
      throw isAway ? new AwsFailure('credentials_expired', error.cause) : error;
    }
    place?.arrived();
    this.#proven.add(member.name);
    return stream;
  }

  #assertOpen(): void {
    if (this.#closed) throw new GatewayError('engine_unavailable', 'The AWS engine is closed.', { retryable: false });
  }
}

/** Whoever opens a stream by itself: what it had is given back with the stream. */
function nobody(): Applicant {
  return {
    id: randomUUID(),
    tenant: '',
    isResumable: false,
    isAttended: () => true,
    moves: () => false,
    over: AbortSignal.abort(),
    queued: () => undefined,
  };
}

function outcomeOf(failure: unknown): string {
  if (failure === undefined) return 'ok';
  return failure instanceof GatewayError ? failure.code : 'aborted';
}
