import type { Applicant } from '../limits/applicant.ts';
import type { RequestFeature, StartRequest } from '../protocol/start-request.ts';

/**
 * The engine contract: what the session needs from a speech recogniser, and nothing of how one works.
 *
 * Positions are samples of one stream, counted from the first sample written to it. The session moves them onto its
 * own timeline. Every failure is a `GatewayError` whose `retryable` says whether a new stream can be expected to work
 * with the same options.
 */

/** What an engine can do, as data, so that callers decide without knowing which engine they have. */
export interface EngineCapabilities {
  /** Shown to operators and to version-2 clients. */
  readonly name: string;
  /** BCP 47 tags that `open` accepts. */
  readonly languages: readonly string[];
  /** Sample rates in hertz. */
  readonly sampleRates: readonly number[];
  /** What requests may ask for beyond one language and one channel. */
  readonly features: readonly RequestFeature[];
  /** Longest time from the first sample of a word to the partial that shows it, in milliseconds. */
  readonly settleMs: number;
  /**
   * True if audio must come at about the speed of speech, so that a replay is paced; otherwise the engine takes what
   * it is given as fast as it can and holds the writer back by itself.
   */
  readonly realTime: boolean;
  /** The engine ends a stream of this age, in milliseconds; undefined for no limit. */
  readonly maxStreamMs: number | undefined;
  /** The engine ends a stream that is given no audio for this long, in milliseconds; none by default. */
  readonly maxSilenceMs?: number;
  /** What its audio costs; undefined for an engine that costs nothing. */
  readonly billing?: EngineBilling;
}

/** A stream is billed for each second of audio begun that it is given, whatever the number of channels. */
export interface EngineBilling {
  /** Shortest time that a stream is billed for, in seconds. */
  readonly minimumSeconds: number;
}

export interface EngineStreamOptions extends StartRequest {
  /**
   * The stream continues a session that was admitted already. An engine never refuses it for want of capacity:
   * the session's place was not given up when its stream broke.
   */
  readonly continuation: boolean;
  /** Whose stream it is. An engine whose streams are counted lets it wait in a line; others have no use for it. */
  readonly applicant?: Applicant | undefined;
}

/** One word or punctuation mark of a result. */
export interface EngineItem {
  readonly startSample: number;
  readonly endSample: number;
  readonly content: string;
  readonly type: 'word' | 'punctuation';
  /** 0 to 1, where the engine gives one. */
  readonly confidence?: number;
  /** The engine's label of the speaker. */
  readonly speaker?: string;
  /** Of a partial: the engine will not change this word any more. */
  readonly stable?: boolean;
  /** The word is in the vocabulary filter. */
  readonly filtered?: boolean;
}

/** Personal data that was found in a result. */
export interface EngineEntity {
  readonly startSample: number;
  readonly endSample: number;
  readonly category: string;
  readonly type: string;
  readonly content: string;
  readonly confidence?: number;
}

export interface LanguageScore {
  readonly languageCode: string;
  /** 0 to 1. */
  readonly score: number;
}

/**
 * Partials of one utterance share their `resultId` with the final that replaces them.
 * Finals of a channel come in order and do not overlap. Of a result with an empty text the client sees nothing:
 * - a final says that nothing was spoken in its range; the audio before its end need not be kept any longer;
 * - a partial says that the engine has been given the audio before its end and answers; a word that began earlier than
 *   the settle time before that would have shown.
 */
export interface EngineResult {
  readonly resultId: string;
  readonly isPartial: boolean;
  readonly text: string;
  readonly startSample: number;
  readonly endSample: number;
  /** 0 to 1, where the engine gives one. */
  readonly confidence?: number;
  readonly items?: readonly EngineItem[];
  /** Number of the channel, from 0; undefined where the stream has one. */
  readonly channel?: number;
  /** Where the engine was asked to identify it. */
  readonly languageCode?: string;
  readonly languageScores?: readonly LanguageScore[];
  readonly entities?: readonly EngineEntity[];
}

/** One recognition in progress. It has a single writer and a single reader. */
export interface EngineStream {
  /**
   * Gives audio to the engine: PCM, signed 16 bit little-endian, whole samples of all channels, at most one second. The buffer is the
   * engine's from then on. Resolves when the engine can take more; resolves too, and does nothing, once the stream has
   * broken, because the break itself is told by `results`.
   */
  write(audio: Buffer): Promise<void>;
  /**
   * Yields the results. Ends after the last final once `end` was called or after `abort`; throws a `GatewayError` when
   * the stream breaks in any other way.
   */
  readonly results: AsyncIterable<EngineResult>;
  /** No more audio will come: the engine finalises what it has. Idempotent. */
  end(): void;
  /** Drops the stream at once and frees its slot; no result follows. Idempotent, also after `end`. */
  abort(): void;
}

export interface Engine {
  readonly capabilities: EngineCapabilities;
  /** No stream but a continuation would be opened now; undefined where that is not for this process to say. */
  readonly isFull?: boolean;
  /**
   * Opens a stream. An aborted `signal` makes the call reject and leaves nothing behind. While its applicant is told that
   * it is queued, nothing has been asked of the engine yet.
   * @throws GatewayError `bad_request` for a feature that it has not, `unsupported_language`, `unsupported_encoding`,
   *   `quota_exhausted`, `engine_unavailable` or `engine_rejected`
   */
  open(options: EngineStreamOptions, signal: AbortSignal): Promise<EngineStream>;
  /** Ends every stream and frees what the engine holds. Idempotent. */
  close(): Promise<void>;
}
