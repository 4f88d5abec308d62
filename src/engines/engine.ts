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
  /** Longest time from the first sample of a word to the partial that shows it, in milliseconds. */
  readonly settleMs: number;
}

export interface EngineStreamOptions {
  readonly languageCode: string;
  /** Hertz; one of the capabilities' sample rates. */
  readonly sampleRate: number;
  /**
   * The stream continues a session that was admitted already. An engine never refuses it for want of capacity:
   * the session's place was not given up when its stream broke.
   */
  readonly continuation: boolean;
}

/** One word or punctuation mark of a result. */
export interface EngineItem {
  readonly startSample: number;
  readonly endSample: number;
  readonly content: string;
  readonly type: 'word' | 'punctuation';
  /** 0 to 1, where the engine gives one. */
  readonly confidence?: number;
}

/**
 * Partials of one utterance share their `resultId` with the final that replaces them.
 * Finals come in order and do not overlap. A final with an empty text says that nothing was spoken in its range;
 * it is not shown to the client, but the audio before its end need not be kept any longer.
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
}

/** One recognition in progress. It has a single writer and a single reader. */
export interface EngineStream {
  /**
   * Gives audio to the engine: PCM, signed 16 bit little-endian, whole samples, at most one second. The buffer is the
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
  /**
   * Opens a stream. An aborted `signal` makes the call reject and leaves nothing behind.
   * @throws GatewayError `unsupported_language`, `unsupported_encoding`, `engine_unavailable` or `engine_rejected`
   */
  open(options: EngineStreamOptions, signal: AbortSignal): Promise<EngineStream>;
  /** Ends every stream and frees what the engine holds. Idempotent. */
  close(): Promise<void>;
}
