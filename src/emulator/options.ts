import type { Engine } from '../engines/engine.ts';
import type { Logger } from '../log.ts';
import type { FaultRule } from './faults.ts';
import type { AccountResources } from './parameters.ts';
import type { MsRange } from './random.ts';
import { type EmulatorCredentials, MAX_SIGNATURE_SKEW_MS } from './signature.ts';

/** When results are sent, measured from the moment at which the audio that they rest on has come. */
export interface LatencyOptions {
  readonly partialMs: number;
  readonly finalMs: MsRange;
}

/** One utterance of a script, in milliseconds of the stream's audio. */
export interface ScriptedUtterance {
  readonly startMs: number;
  readonly endMs: number;
  readonly text: string;
}

export type RecogniserOptions =
  | {
      /** Test audio that carries its own block numbers: see `coded-block.ts`. */
      readonly kind: 'coded';
      readonly latency?: Partial<LatencyOptions>;
      /** Silence that ends an utterance, in blocks of 20 ms. */
      readonly silentBlocks?: number;
      /** A partial comes every so many blocks of an utterance. */
      readonly blocksPerPartial?: number;
    }
  | {
      /** Says what it is told to, by position of the audio, whatever the audio holds. */
      readonly kind: 'scripted';
      readonly script?: readonly ScriptedUtterance[];
      /** The script starts again after so many milliseconds of audio; 0: never. */
      readonly repeatMs?: number;
      readonly latency?: Partial<LatencyOptions>;
    }
  | {
      /** Real recognition by one of the gateway's engines. The caller owns the engine and closes it. */
      readonly kind: 'engine';
      readonly engine: Engine;
    };

export interface EmulatorLimits {
  /** Streams at a time for each access key and region. */
  readonly concurrentStreams: number;
  /** Starts in one second for each access key and region. */
  readonly startsPerSecond: number;
  /** A stream without an audio event for so long is ended, in milliseconds. */
  readonly silenceMs: number;
  /** Longest life of a stream, in milliseconds. */
  readonly maxAgeMs: number;
  /** How far a chunk's signature date may be from our clock, in milliseconds. */
  readonly chunkSkewMs: number;
  /** Shortest billed time of a stream, in seconds. */
  readonly minimumBilledSeconds: number;
  /** TCP connections at a time. */
  readonly connections: number;
  /** How long a client may leave its half of an answered stream open before it is reset, in milliseconds. */
  readonly lingerMs: number;
}

/**
 * Sources: 25, 25, 4 h and 15 s: "Guidelines and quotas" and "Pricing" of Amazon Transcribe; the 15 s of silence: the
 * text of the exception itself. Connections and linger are our own bounds.
 */
const DEFAULT_LIMITS: EmulatorLimits = {
  concurrentStreams: 25,
  startsPerSecond: 25,
  silenceMs: 15_000,
  maxAgeMs: 4 * 3_600_000,
  chunkSkewMs: MAX_SIGNATURE_SKEW_MS,
  minimumBilledSeconds: 15,
  connections: 5000,
  lingerMs: 5000,
};

/** What AWS is known for: partials soon, finals up to 2 s after the words end. Source: users' reports. */
export const DEFAULT_LATENCY: LatencyOptions = { partialMs: 300, finalMs: { min: 300, max: 2000 } };

const DEFAULT_CREDENTIALS: readonly EmulatorCredentials[] = [{ accessKeyId: 'test', secretAccessKey: 'test' }];

export interface EmulatorOptions {
  readonly recogniser: RecogniserOptions;
  /** Default 127.0.0.1. */
  readonly host?: string;
  /** Default 0: any free port. */
  readonly port?: number;
  /** PEM. If given, the port speaks TLS, otherwise cleartext HTTP/2 with prior knowledge. */
  readonly tls?: { readonly cert: string | Buffer; readonly key: string | Buffer };
  /** Port of the admin API on the same host; undefined: no admin API. */
  readonly adminPort?: number;
  readonly credentials?: readonly EmulatorCredentials[];
  readonly limits?: Partial<EmulatorLimits>;
  readonly account?: AccountResources;
  readonly faults?: readonly FaultRule[];
  /** How a start over a quota is refused: AWS opens the stream and sends the exception as its first frame. */
  readonly quotaRefusal?: 'frame' | 'http';
  /** Who gets the `ConflictException` when a session id is in use: the older stream, as AWS says, or both. */
  readonly sessionConflict?: 'older' | 'both';
  /** Seed of every random choice (fault rates, final latencies), for a run that can be repeated. */
  readonly seed?: number;
  /** Default: no log. */
  readonly log?: Logger;
}

/** The options with every default filled in. */
export interface ResolvedOptions {
  readonly limits: EmulatorLimits;
  readonly credentials: readonly EmulatorCredentials[];
  readonly account: AccountResources;
  readonly quotaRefusal: 'frame' | 'http';
  readonly sessionConflict: 'older' | 'both';
}

export function resolveOptions(options: EmulatorOptions): ResolvedOptions {
  return {
    limits: { ...DEFAULT_LIMITS, ...options.limits },
    credentials: options.credentials ?? DEFAULT_CREDENTIALS,
    account: options.account ?? {},
    quotaRefusal: options.quotaRefusal ?? 'frame',
    sessionConflict: options.sessionConflict ?? 'older',
  };
}
