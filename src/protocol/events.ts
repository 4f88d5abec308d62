import type { ErrorCode } from './error-codes.ts';

/**
 * The event maps of both protocol versions. Fields that only version 2 has are optional here and absent for a
 * version-1 client; `socket/presenter.ts` is the one place that decides.
 */

export const PROTOCOL_VERSIONS = [1, 2] as const;
export type ProtocolVersion = (typeof PROTOCOL_VERSIONS)[number];

export interface ConnectedEvent {
  status: string;
  protocol?: 2;
  connection_id?: string;
  limits?: ConnectionLimits;
}

/** What a client may count on and has to respect. */
export interface ConnectionLimits {
  /** Longest chunk of a session with one channel at 16 kHz. */
  chunk_bytes: number;
  /** Audio of one session that may wait for the engine. */
  backlog_ms: number;
  /** Audio beyond the last acknowledged position that a client may send. */
  unacked_ms?: number;
  /** How many times faster than real time a client may send what it kept. */
  catch_up?: number;
  /** How long a session without its connection can be resumed. */
  resume_window_ms?: number;
}

export interface StartedEvent {
  status: string;
  message: string;
  /** Absent where the engine identifies it. */
  language_code?: string;
  session_id?: string;
  engine?: string;
  /** Rises with each connection that claims the session. */
  epoch?: number;
  /** Secret: the right to go on with the session on another connection. Absent where sessions end with theirs. */
  resume_token?: string;
  /** Secret: the right to read the session. */
  watch_token?: string;
}

/** Version 2 only: the session waits for a free stream of the engine. */
export interface QueuedEvent {
  /** From 1. */
  position: number;
  eta_ms?: number;
  session_id: string;
  resume_token: string;
  epoch: number;
}

/** Version 2 only: `audio_chunk` is covered by committed entries, up to the number `seq` and before `offset`. */
export interface AudioAckEvent {
  seq: number;
  /** Samples. */
  offset: number;
}

/** Version 2 only: the session goes on with this connection; the missed entries came before. */
export interface ResumedEvent {
  session_id: string;
  epoch: number;
  /** The client sends from this chunk on. */
  next_chunk: number;
  /** Where that chunk begins, in samples. */
  next_offset: number;
  language_code?: string;
  /** Entries that were sent again before this event. */
  missed?: number;
}

/** Version 2 only: move to another gateway and resume. */
export interface DrainingEvent {
  reconnect_within_ms: number;
  jitter_ms?: number;
}

/** Version 2 only: another connection has claimed the session, with this epoch. */
export interface TakenOverEvent {
  session_id: string;
  epoch: number;
}

/** Version 2 only: the token has ended; the connection does too unless `refresh_token` brings another in time. */
interface TokenExpiredEvent {
  grace_ms: number;
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
  epoch?: number;
  result_id?: string;
  /** Of a final: its number among the entries of the session. */
  seq?: number;
  /** Of a partial: the last entry before it. */
  after_seq?: number;
  /** The entry was sent before, or would have been, on a connection that is gone. */
  replayed?: boolean;
  /** `false`: not yet committed, because the store is away. */
  durable?: boolean;
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
  translations?: unknown;
}

/** Version 2 only: audio that was lost, said aloud. */
export interface GapEvent {
  session_id: string;
  from_sample: number;
  to_sample: number;
  from_ms: number;
  to_ms: number;
  reason: string;
  /** Its number among the entries of the session. */
  seq?: number;
  epoch?: number;
  replayed?: boolean;
  durable?: boolean;
}

export interface StoppedEvent {
  status: string;
  message: string;
  session_id?: string;
  reason?: string;
  /** Number of the last entry. */
  last_seq?: number;
  /** Whether every entry is committed. */
  durable?: boolean;
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
  /** With `chunk_gap`: the number of the chunk that must come next. */
  expected?: number;
  /** With `resume_refused`: the attempt that holds the session. */
  attempt?: number;
}

export interface ServerToClientEvents {
  connected: (event: ConnectedEvent) => void;
  transcription_started: (event: StartedEvent) => void;
  transcription_result: (event: ResultEvent) => void;
  transcription_gap: (event: GapEvent) => void;
  transcription_stopped: (event: StoppedEvent) => void;
  transcription_queued: (event: QueuedEvent) => void;
  transcription_resumed: (event: ResumedEvent) => void;
  audio_ack: (event: AudioAckEvent) => void;
  server_draining: (event: DrainingEvent) => void;
  taken_over: (event: TakenOverEvent) => void;
  token_expired: (event: TokenExpiredEvent) => void;
  error: (event: ErrorEvent) => void;
}

/**
 * What an acknowledgement callback receives. Version 1 had acknowledgements without a value, because a Flask-SocketIO
 * handler returns none; such a callback is called without an argument.
 */
export type AckReply = { ok: true; session_id?: string } | { ok: false; error: ErrorEvent };
export type Ack = (reply?: AckReply) => void;

/** What a client may send; all but the first three are of version 2. */
export const CLIENT_EVENTS = [
  'start_transcription',
  'audio_chunk',
  'stop_transcription',
  'resume_transcription',
  'pause_transcription',
  'unpause_transcription',
  'watch_transcription',
  'unwatch_transcription',
  'refresh_token',
] as const;
export type ClientEvent = (typeof CLIENT_EVENTS)[number];

/** Data of client events is untrusted until `payloads.ts` has checked it. */
export type ClientToServerEvents = Record<ClientEvent, (data?: unknown, ack?: Ack) => void>;
