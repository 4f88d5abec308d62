import type { Engine } from '../engines/engine.ts';
import type { GatewayError } from '../errors.ts';
import type { Applicant, LinePlace } from '../limits/applicant.ts';
import type { Logger } from '../log.ts';
import type { Metrics } from '../metrics/metrics.ts';
import type { StartRequest } from '../protocol/start-request.ts';
import type { StreamLimits } from './stream-run.ts';
import type { PlacedResult } from './timeline.ts';

/** Where results go. Called in order, never after `ended`; none of the methods may throw. */
interface SessionSink {
  /** The first engine stream is open, or another one for which the session was queued. */
  started(): void;
  /** The session waits in the line for an engine stream; undefined when it waits no longer. */
  queued(place: LinePlace | undefined): void;
  result(result: PlacedResult): void;
  /** Audio was lost. Positions are samples of the session. */
  gap(gap: SessionGap): void;
  ended(end: SessionEnd): void;
}

export interface SessionGap {
  readonly fromSample: number;
  readonly toSample: number;
  readonly reason: GapReason;
}

/**
 * - `replay_overflow`: more audio without a final than may be kept;
 * - `engine_failed`: no engine took it any more;
 * - `client_overflow`: the client did not hold it any more when it resumed.
 */
export type GapReason = 'replay_overflow' | 'engine_failed' | 'client_overflow';

export type StopReason = 'client_stop' | 'draining' | 'token_expired' | 'duration_exceeded' | 'budget_exceeded';

export interface SessionEnd {
  readonly reason: StopReason | 'disconnected' | 'error';
  /** Present exactly when the reason is `error`. */
  readonly error?: GatewayError;
  /** Samples received. */
  readonly samples: number;
  readonly finals: number;
}

/** Bounds of a session, in milliseconds; see the settings of the same names. */
export interface SessionLimits extends StreamLimits {
  readonly backlogMs: number;
  readonly replayMs: number;
  readonly startTimeoutMs: number;
  readonly recoveryTimeoutMs: number;
}

/** What is behind a session when it begins. Positions are samples. */
export interface SessionOrigin {
  /** Of the first sample that will be pushed. */
  readonly position: number;
  /** By channel: end of the last final. */
  readonly ends: readonly number[];
  readonly finals: number;
}

/** What a session is in the line for engine streams. */
export type SessionApplicant = Omit<Applicant, 'over' | 'queued'>;
/** On whose account a session runs. */
export interface SessionMeter {
  /** The client sent audio, in milliseconds. */
  audio(ms: number): void;
  /** The engine bills for it, in whole seconds. */
  billed(seconds: number): void;
}

export interface SessionOptions {
  readonly id: string;
  readonly request: StartRequest;
  readonly engine: Engine;
  /** Who it is in the line for engine streams; by default somebody who is always there. */
  readonly applicant?: SessionApplicant | undefined;
  /** Where a session goes on that another worker had; the beginning by default. */
  readonly from?: SessionOrigin | undefined;
  /** The client keeps audio until it is acknowledged: what this session fails to transcribe is not lost yet. */
  readonly clientKeepsAudio?: boolean | undefined;
  readonly sink: SessionSink;
  readonly limits: SessionLimits;
  /** Where what the session uses is counted. */
  readonly meter?: SessionMeter | undefined;
  readonly metrics: Metrics;
  readonly log: Logger;
}
