import type { GatewayError } from '../errors.ts';
import { MAX_CHUNK_BYTES, samplesToMs } from '../protocol/audio.ts';
import type {
  ConnectedEvent,
  ErrorEvent,
  GapEvent,
  ProtocolVersion,
  ResultEvent,
  ResultItem,
  StartedEvent,
  StoppedEvent,
} from '../protocol/events.ts';
import type { SessionEnd, SessionGap } from '../session/session.ts';
import type { PlacedResult } from '../session/timeline.ts';

/** What a session's events say besides their content. */
export interface SessionFacts {
  readonly sessionId: string;
  /** BCP 47; undefined where the engine identifies it. */
  readonly languageCode: string | undefined;
  readonly engine: string;
  /** Hertz. */
  readonly sampleRate: number;
}

/**
 * The one place that knows what each protocol version shows. Version 1 is frozen: exactly the fields of its table.
 */
export class Presenter {
  readonly #version: ProtocolVersion;
  readonly #connectionId: string;

  constructor(version: ProtocolVersion, connectionId: string) {
    this.#version = version;
    this.#connectionId = connectionId;
  }

  connected(limits: { backlogMs: number }): ConnectedEvent {
    const event = { status: 'Connected...' };
    if (this.#version === 1) return event;
    return {
      ...event,
      protocol: 2,
      connection_id: this.#connectionId,
      limits: { chunk_bytes: MAX_CHUNK_BYTES, backlog_ms: limits.backlogMs },
    };
  }

  started(facts: SessionFacts): StartedEvent {
    const event = { status: 'started', message: 'Transcription started', ...language(facts.languageCode) };
    if (this.#version === 1) return event;
    return { ...event, session_id: facts.sessionId, engine: facts.engine };
  }

  result(facts: SessionFacts, result: PlacedResult): ResultEvent {
    const event = { text: result.text, is_partial: result.isPartial };
    if (this.#version === 1) return event;
    const { sampleRate } = facts;
    const full: ResultEvent = {
      ...event,
      session_id: facts.sessionId,
      result_id: result.resultId,
      ...range(result, sampleRate),
      ...language(facts.languageCode),
    };
    if (result.confidence !== undefined) full.confidence = result.confidence;
    if (result.items !== undefined) {
      full.items = result.items.map((item): ResultItem => {
        const shown = { content: item.content, type: item.type, ...range(item, sampleRate) };
        return item.confidence === undefined ? shown : { ...shown, confidence: item.confidence };
      });
    }
    return full;
  }

  /** Undefined for version 1, which has no word for it. */
  gap(facts: SessionFacts, gap: SessionGap): GapEvent | undefined {
    if (this.#version === 1) return undefined;
    return {
      session_id: facts.sessionId,
      from_sample: gap.fromSample,
      to_sample: gap.toSample,
      from_ms: samplesToMs(gap.fromSample, facts.sampleRate),
      to_ms: samplesToMs(gap.toSample, facts.sampleRate),
      reason: gap.reason,
    };
  }

  stopped(facts: SessionFacts, end: SessionEnd): StoppedEvent {
    const event = { status: 'stopped', message: 'Transcription stopped' };
    if (this.#version === 1) return event;
    return {
      ...event,
      session_id: facts.sessionId,
      reason: end.reason,
      audio_ms: samplesToMs(end.samples, facts.sampleRate),
      finals: end.finals,
    };
  }

  error(error: GatewayError, sessionId: string | undefined): ErrorEvent {
    const event = { message: error.message };
    if (this.#version === 1) return event;
    const full: ErrorEvent = {
      ...event,
      code: error.code,
      retryable: error.retryable,
      connection_id: this.#connectionId,
    };
    if (error.retryAfterMs !== undefined) full.retry_after_ms = error.retryAfterMs;
    if (sessionId !== undefined) full.session_id = sessionId;
    return full;
  }
}

function language(code: string | undefined): { language_code?: string } {
  return code === undefined ? {} : { language_code: code };
}

function range(of: { startSample: number; endSample: number }, sampleRate: number) {
  return {
    start_sample: of.startSample,
    end_sample: of.endSample,
    start_ms: samplesToMs(of.startSample, sampleRate),
    end_ms: samplesToMs(of.endSample, sampleRate),
  };
}
