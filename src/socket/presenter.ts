import type { EngineEntity, EngineItem, LanguageScore } from '../engines/engine.ts';
import type { GatewayError } from '../errors.ts';
import type { LinePlace } from '../limits/applicant.ts';
import { MAX_CHUNK_BYTES, samplesToMs } from '../protocol/audio.ts';
import type {
  AudioAckEvent,
  ConnectedEvent,
  DrainingEvent,
  ErrorEvent,
  GapEvent,
  ProtocolVersion,
  QueuedEvent,
  ResultEntity,
  ResultEvent,
  ResultItem,
  ResumedEvent,
  StartedEvent,
  StoppedEvent,
  TakenOverEvent,
} from '../protocol/events.ts';
import type { ChunkPosition } from '../resume/chunk-order.ts';
import type { SessionSecrets } from '../resume/tokens.ts';
import type { EntryNote, StopNote } from '../session/session-view.ts';
import type { PlacedResult } from '../session/timeline.ts';
import type { Watermark } from '../store/store.ts';

/** What a client is told of its bounds, in milliseconds. */
export interface ConnectionBounds {
  readonly backlogMs: number;
  readonly replayMs: number;
  readonly resumeWindowMs: number;
  /** Milliseconds of audio per millisecond. */
  readonly catchUpSpeed: number;
}

/** Audio that is missing. Positions are samples. */
export interface GapFacts {
  readonly fromSample: number;
  readonly toSample: number;
  readonly reason: string;
}

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

  connected(limits: ConnectionBounds): ConnectedEvent {
    const event = { status: 'Connected...' };
    if (this.#version === 1) return event;
    return {
      ...event,
      protocol: 2,
      connection_id: this.#connectionId,
      limits: {
        chunk_bytes: MAX_CHUNK_BYTES,
        backlog_ms: limits.backlogMs,
        unacked_ms: limits.replayMs,
        catch_up: limits.catchUpSpeed,
        resume_window_ms: limits.resumeWindowMs,
      },
    };
  }

  started(facts: SessionFacts, epoch: number, secrets: SessionSecrets | undefined): StartedEvent {
    const event = { status: 'started', message: 'Transcription started', ...language(facts.languageCode) };
    if (this.#version === 1) return event;
    return {
      ...event,
      session_id: facts.sessionId,
      engine: facts.engine,
      ...(secrets && { epoch, resume_token: secrets.resumeToken, watch_token: secrets.watchToken }),
    };
  }

  /** Version 1 has no word for it: its client hears nothing until the session starts. */
  queued(
    { sessionId }: SessionFacts,
    { etaMs, position }: LinePlace,
    epoch: number,
    { resumeToken }: SessionSecrets,
  ): QueuedEvent {
    return {
      position,
      ...(etaMs !== undefined && { eta_ms: etaMs }),
      session_id: sessionId,
      resume_token: resumeToken,
      epoch,
    };
  }

  partial(facts: SessionFacts, result: PlacedResult, epoch: number, afterSeq: number | undefined): ResultEvent {
    const event = this.#result(facts, result);
    return afterSeq === undefined ? event : { ...event, epoch, after_seq: afterSeq };
  }

  final(facts: SessionFacts, result: PlacedResult, note: EntryNote | undefined): ResultEvent {
    return { ...this.#result(facts, result), ...noted(note) };
  }

  #result(facts: SessionFacts, result: PlacedResult): ResultEvent {
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
  gap(facts: SessionFacts, gap: GapFacts, note: EntryNote | undefined): GapEvent | undefined {
    if (this.#version === 1) return undefined;
    return {
      session_id: facts.sessionId,
      from_sample: gap.fromSample,
      to_sample: gap.toSample,
      from_ms: samplesToMs(gap.fromSample, facts.sampleRate),
      to_ms: samplesToMs(gap.toSample, facts.sampleRate),
      reason: gap.reason,
      ...noted(note),
    };
  }

  acked({ chunk, offset }: Watermark): AudioAckEvent {
    return { seq: chunk, offset };
  }

  resumed(facts: SessionFacts, epoch: number, next: ChunkPosition, missed: number): ResumedEvent {
    return {
      session_id: facts.sessionId,
      epoch,
      next_chunk: next.chunk,
      next_offset: next.offset,
      ...language(facts.languageCode),
      missed,
    };
  }

  takenOver(facts: SessionFacts, epoch: number): TakenOverEvent {
    return { session_id: facts.sessionId, epoch };
  }

  draining(withinMs: number, jitterMs: number): DrainingEvent {
    return { reconnect_within_ms: Math.round(withinMs), jitter_ms: Math.round(jitterMs) };
  }

  stopped(facts: SessionFacts, stop: StopNote): StoppedEvent {
    const event = { status: 'stopped', message: 'Transcription stopped' };
    if (this.#version === 1) return event;
    return {
      ...event,
      session_id: facts.sessionId,
      reason: stop.reason,
      audio_ms: samplesToMs(stop.samples, facts.sampleRate),
      finals: stop.finals,
      ...(stop.lastSeq !== undefined && { last_seq: stop.lastSeq, durable: stop.durable }),
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
    if (error.expected !== undefined) full.expected = error.expected;
    if (error.attempt !== undefined) full.attempt = error.attempt;
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

/** An entry that is committed and new says neither. */
function noted(note: EntryNote | undefined): Pick<ResultEvent, 'seq' | 'epoch' | 'durable' | 'replayed'> {
  if (note === undefined) return {};
  return {
    seq: note.seq,
    epoch: note.epoch,
    ...(!note.durable && { durable: false }),
    ...(note.replayed && { replayed: true }),
  };
}

function range(of: { startSample: number; endSample: number }, sampleRate: number) {
  return {
    start_sample: of.startSample,
    end_sample: of.endSample,
    start_ms: samplesToMs(of.startSample, sampleRate),
    end_ms: samplesToMs(of.endSample, sampleRate),
  };
}
