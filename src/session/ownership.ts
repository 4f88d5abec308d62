import type { Engine } from '../engines/engine.ts';
import type { Logger } from '../log.ts';
import type { Metrics } from '../metrics/metrics.ts';
import type { StartRequest } from '../protocol/start-request.ts';
import type { ChunkPosition } from '../resume/chunk-order.ts';
import type { JournalLimits, JournalState } from '../resume/journal-options.ts';
import type { SessionSecrets } from '../resume/tokens.ts';
import type { Claim, ClaimedSession, SessionSnapshot, Store } from '../store/store.ts';
import type { Audience } from './audience.ts';
import type { IntakeLimits } from './intake.ts';
import type { SessionEnd, SessionLimits, SessionMeter } from './session-options.ts';

/** Bounds of a session that outlives its connection, in milliseconds unless the name says otherwise. */
export interface OwnershipLimits extends SessionLimits, IntakeLimits {
  readonly lingerMs: number;
  readonly resumeWindowMs: number;
  readonly journal: Omit<JournalLimits, 'renewMs'>;
}

/** What makes a session outlive its connection. */
export interface Durability {
  readonly store: Store;
  readonly secrets: SessionSecrets;
  /** What does not change in the session's record. */
  readonly record: Omit<SessionSnapshot, keyof JournalState | 'attempt'>;
  /** Of the last claim; 0 if there was none yet. */
  readonly attempt: number;
  readonly claim: Claim;
  /** The client keeps its audio until it is acknowledged. */
  readonly acks: boolean;
  /** The session as another worker left it; undefined for a new one. */
  readonly claimed?: ClaimedSession;
  /** Where the client's audio goes on. */
  readonly next: ChunkPosition;
}

export interface OwnedSessionOptions {
  readonly id: string;
  readonly request: StartRequest;
  /** Who pays. */
  readonly tenant: string;
  readonly engine: Engine;
  readonly limits: OwnershipLimits;
  /** Audio of the session at most, in milliseconds; 0 for any amount. */
  readonly mostAudioMs: number;
  readonly metrics: Metrics;
  readonly log: Logger;
  readonly audience: Audience;
  /** Where what it uses is counted. */
  readonly account: SessionMeter;
  /** Undefined: the session ends with its connection and is not journaled. */
  readonly durability: Durability | undefined;
  /** Called once, when nothing of the session is left here. */
  readonly onGone: (reason: SessionEnd['reason'] | 'expired' | 'taken_over' | 'handed_over') => void;
}
