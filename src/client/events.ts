import type { TranscriptionError } from './errors.ts';
import type { SampleRange } from './ring.ts';

/**
 * What a transcription tells the application. Positions are samples, `…Ms` milliseconds, of all the audio that was
 * sent, counted from its first sample. Neither they nor `seq` begin again when the library had to start a new session.
 */

/**
 * - `idle`: `start` was not called.
 * - `connecting`: no session has started yet.
 * - `live`: audio goes out and results come in.
 * - `resuming`: the connection was lost; audio is kept until it is back.
 * - `queued`: the gateway has no free place; the `queued` event tells the position.
 * - `paused`: `pause` was called; audio given to `send` is dropped.
 * - `stopped`: over, by `stop`, `close` or an error.
 */
export type TranscriptionState = 'idle' | 'connecting' | 'live' | 'resuming' | 'queued' | 'paused' | 'stopped';

export interface StateChange {
  readonly state: TranscriptionState;
  readonly previous: TranscriptionState;
}

interface Positions {
  readonly startSample: number;
  readonly endSample: number;
  readonly startMs: number;
  readonly endMs: number;
}

/** A word or a punctuation mark. */
export interface Item extends Positions {
  readonly content: string;
  readonly type: 'word' | 'punctuation';
  /** 0 to 1. */
  readonly confidence?: number;
  /** The engine's label of who said it. */
  readonly speaker?: string;
  /** Of a partial: it will not change any more. */
  readonly stable?: boolean;
  /** It is in the vocabulary filter. */
  readonly filtered?: boolean;
}

/** Personal data that was found in a result. */
export interface Entity extends Positions {
  readonly category: string;
  readonly type: string;
  readonly content: string;
  readonly confidence?: number;
}

/** Fields that not every engine has are absent where it has none. */
interface Result extends Positions {
  readonly text: string;
  /** The same for the partials and the final of an utterance. */
  readonly resultId: string | undefined;
  readonly languageCode?: string;
  readonly languageScores?: readonly { readonly languageCode: string; readonly score: number }[];
  /** From 0. */
  readonly channel?: number;
  readonly speaker?: string;
  /** 0 to 1. */
  readonly confidence?: number;
  readonly items?: readonly Item[];
  readonly entities?: readonly Entity[];
  readonly translations?: unknown;
}

/** What the engine thinks so far; the next partial or final of the utterance replaces it. */
export interface PartialResult extends Result {
  readonly kind: 'partial';
}

/** A part of the transcript that will not change. */
export interface Final extends Result {
  readonly kind: 'final';
  /** Number among the entries, from 1. */
  readonly seq: number;
  /** `false`: the gateway's store is away, and viewers do not see it yet. It will not be sent again. */
  readonly durable: boolean;
  /** It was made while the connection was lost. */
  readonly replayed: boolean;
}

/** Audio that was lost and is not transcribed. */
export interface Gap extends SampleRange {
  readonly kind: 'gap';
  /** Number among the entries, from 1. */
  readonly seq: number;
  readonly fromMs: number;
  readonly toMs: number;
  /** The gateway's word for it, or `not_kept`: the session was gone and the library did not hold the audio any more. */
  readonly reason: string;
  readonly replayed: boolean;
}

/** What a transcript is made of, in order. */
export type Entry = Final | Gap;

/**
 * Audio that had to be forgotten before it was acknowledged. It is lost only if the gateway had not received it; a gap
 * then says so.
 */
export interface Overflow extends SampleRange {
  readonly fromMs: number;
  readonly toMs: number;
}

/** A fault that the library is dealing with. */
export interface Retry {
  readonly error: TranscriptionError;
  /** When it tries again, in milliseconds. */
  readonly delayMs: number;
}

/** A session of the gateway carries the transcription from now on. */
export interface SessionInfo {
  /** What the gateway's log calls it; undefined where the gateway does not say. */
  readonly id: string | undefined;
  /** For those who may read along with `createWatch`; undefined after a resume and where the gateway does not say. */
  readonly watchToken: string | undefined;
  /** `false`: a new one, the first or because the one before was gone. */
  readonly resumed: boolean;
  /** Undefined where the engine identifies it. */
  readonly languageCode: string | undefined;
  /** Undefined after a resume. */
  readonly engine: string | undefined;
}

export interface Queued {
  /** From 1. */
  readonly position: number;
  readonly etaMs: number | undefined;
}

/** What became of the whole transcription. */
export interface Summary {
  /** Why it ended, in the gateway's words; usually `client_stop`. */
  readonly reason: string;
  /** Audio that was sent. */
  readonly audioMs: number;
  readonly finals: number;
  readonly gaps: number;
  /** Audio in gaps, in milliseconds. */
  readonly lostMs: number;
  /** Whether the gateway has committed every entry; undefined where it does not say. */
  readonly durable: boolean | undefined;
  /** Sessions of the gateway that it took: 1 unless one was gone. */
  readonly sessions: number;
}

export interface TranscriptionEvents {
  partial: PartialResult;
  final: Final;
  gap: Gap;
  state: StateChange;
  session: SessionInfo;
  queued: Queued;
  overflow: Overflow;
  /** A fault that passes: nothing needs to be done. */
  retry: Retry;
  /** A fault that does not: the transcription is over, or, with the code `bad_audio`, a chunk was refused. */
  error: TranscriptionError;
  /** Another device goes on with the session; this one has stopped. */
  taken_over: { readonly epoch: number };
}
