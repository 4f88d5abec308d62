import type { EngineEntity, EngineItem, LanguageScore } from '../engines/engine.ts';
import type { GatewayError } from '../errors.ts';
import { MAX_CHUNK_BYTES, samplesToMs } from '../protocol/audio.ts';
import type {
  ConnectedEvent,
  ErrorEvent,
  GapEvent,
  ProtocolVersion,
  ResultEntity,
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
      ...language(result.languageCode ?? facts.languageCode),
    };
    const speaker = commonSpeaker(result.items ?? []);
    if (result.channel !== undefined) full.channel = result.channel;
    if (speaker !== undefined) full.speaker = speaker;
    if (result.languageScores !== undefined) full.language_scores = result.languageScores.map(scoreOf);
    if (result.confidence !== undefined) full.confidence = result.confidence;
    if (result.items !== undefined) full.items = result.items.map((item) => itemOf(item, sampleRate));
    if (result.entities !== undefined) full.entities = result.entities.map((entity) => entityOf(entity, sampleRate));
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

/** Undefined unless every word has the same; punctuation is nobody's. */
function commonSpeaker(items: readonly EngineItem[]): string | undefined {
  const words = items.filter((item) => item.type === 'word');
  const speaker = words[0]?.speaker;
  return words.every((word) => word.speaker === speaker) ? speaker : undefined;
}

function scoreOf({ languageCode, score }: LanguageScore) {
  return { language_code: languageCode, score };
}

function itemOf(item: EngineItem, sampleRate: number): ResultItem {
  const shown: ResultItem = { content: item.content, type: item.type, ...range(item, sampleRate) };
  if (item.confidence !== undefined) shown.confidence = item.confidence;
  if (item.speaker !== undefined) shown.speaker = item.speaker;
  if (item.stable !== undefined) shown.stable = item.stable;
  if (item.filtered !== undefined) shown.filtered = item.filtered;
  return shown;
}

function entityOf(entity: EngineEntity, sampleRate: number): ResultEntity {
  const { category, confidence, content, type } = entity;
  const shown: ResultEntity = { category, type, content, ...range(entity, sampleRate) };
  if (confidence !== undefined) shown.confidence = confidence;
  return shown;
}

function range(of: { startSample: number; endSample: number }, sampleRate: number) {
  return {
    start_sample: of.startSample,
    end_sample: of.endSample,
    start_ms: samplesToMs(of.startSample, sampleRate),
    end_ms: samplesToMs(of.endSample, sampleRate),
  };
}
