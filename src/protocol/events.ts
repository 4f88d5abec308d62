import type { ErrorCode } from './error-codes.ts';

/**
 * The event maps of both protocol versions. Fields that only version 2 has are optional here and absent for a
 * version-1 client; `socket/presenter.ts` is the one place that decides.
 */

export type ProtocolVersion = 1 | 2;

export interface ConnectedEvent {
  status: string;
  protocol?: 2;
  connection_id?: string;
  limits?: { chunk_bytes: number; backlog_ms: number };
}

export interface StartedEvent {
  status: string;
  message: string;
  /** Absent where the engine identifies it. */
  language_code?: string;
  session_id?: string;
  engine?: string;
}

export interface ResultItem {
  content: string;
  type: 'word' | 'punctuation';
  start_sample: number;
  end_sample: number;
  start_ms: number;
  end_ms: number;
  confidence?: number;
  /** The engine's label of who said it. */
  speaker?: string;
  /** Of a partial: the engine will not change this word any more. */
  stable?: boolean;
  /** The word is in the vocabulary filter. */
  filtered?: boolean;
}

/** Personal data that was found in a result. */
export interface ResultEntity {
  category: string;
  type: string;
  content: string;
  start_sample: number;
  end_sample: number;
  start_ms: number;
  end_ms: number;
  confidence?: number;
}

export interface ResultEvent {
  text: string;
  is_partial: boolean;
  session_id?: string;
  result_id?: string;
  start_sample?: number;
  end_sample?: number;
  start_ms?: number;
  end_ms?: number;
  /** Number of the channel, from 0; absent where the session has one. */
  channel?: number;
  /** Present when all words have the same. */
  speaker?: string;
  /** What the engine identified, otherwise the language of the session. */
  language_code?: string;
  language_scores?: { language_code: string; score: number }[];
  confidence?: number;
  items?: ResultItem[];
  entities?: ResultEntity[];
}

/** Version 2 only: audio that was lost, said aloud. */
export interface GapEvent {
  session_id: string;
  from_sample: number;
  to_sample: number;
  from_ms: number;
  to_ms: number;
  reason: string;
}

export interface StoppedEvent {
  status: string;
  message: string;
  session_id?: string;
  reason?: string;
  audio_ms?: number;
  finals?: number;
}

export interface ErrorEvent {
  message: string;
  code?: ErrorCode;
  retryable?: boolean;
  retry_after_ms?: number;
  session_id?: string;
  connection_id?: string;
}

export interface ServerToClientEvents {
  connected: (event: ConnectedEvent) => void;
  transcription_started: (event: StartedEvent) => void;
  transcription_result: (event: ResultEvent) => void;
  transcription_gap: (event: GapEvent) => void;
  transcription_stopped: (event: StoppedEvent) => void;
  error: (event: ErrorEvent) => void;
}

/**
 * What an acknowledgement callback receives. Version 1 had acknowledgements without a value, because a Flask-SocketIO
 * handler returns none; such a callback is called without an argument.
 */
type AckReply = { ok: true; session_id?: string } | { ok: false; error: ErrorEvent };
export type Ack = (reply?: AckReply) => void;

/** Data of client events is untrusted until `payloads.ts` has checked it. */
export interface ClientToServerEvents {
  start_transcription: (data?: unknown, ack?: Ack) => void;
  audio_chunk: (data?: unknown, ack?: Ack) => void;
  stop_transcription: (data?: unknown, ack?: Ack) => void;
}
