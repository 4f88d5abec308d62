import type {
  Final,
  Gap,
  Overflow,
  PartialResult,
  Queued,
  Retry,
  SessionInfo,
  Summary,
  TranscriptionError,
} from '../client/index.ts';

/**
 * The events of `--json` with protocol 2: what the client library tells, under the names that the protocol has for it,
 * so that a reader of the wire's own events finds its fields. Positions and `seq` are those of the whole transcription.
 */
export type JsonEvent = { readonly event: string } & Readonly<Record<string, unknown>>;

export function sessionEvent(session: SessionInfo): JsonEvent {
  const { engine, id, languageCode, resumed } = session;
  const fields = { session_id: id, language_code: languageCode, engine };
  if (resumed) return { event: 'transcription_resumed', ...fields };
  return { event: 'transcription_started', status: 'started', message: 'Transcription started', ...fields };
}

export function resultEvent(result: PartialResult | Final, sessionId: string | undefined): JsonEvent {
  const { kind, text, ...rest } = result;
  const head = { text, is_partial: kind === 'partial', session_id: sessionId };
  return { event: 'transcription_result', ...head, ...onTheWire(rest) };
}

export function gapEvent({ kind: _, ...gap }: Gap, sessionId: string | undefined): JsonEvent {
  return { event: 'transcription_gap', session_id: sessionId, ...onTheWire(gap) };
}

export function queuedEvent(queued: Queued): JsonEvent {
  return { event: 'transcription_queued', ...onTheWire(queued) };
}

export function overflowEvent(overflow: Overflow): JsonEvent {
  return { event: 'overflow', ...onTheWire(overflow) };
}

export function retryEvent({ delayMs, error }: Retry): JsonEvent {
  return { ...errorEvent(error), event: 'retry', delay_ms: delayMs };
}

export function errorEvent(error: TranscriptionError): JsonEvent {
  const { code, connectionId, message, retryable, retryAfterMs, sessionId } = error;
  return { event: 'error', message, ...onTheWire({ code, retryable, retryAfterMs, sessionId, connectionId }) };
}

export function stoppedEvent(summary: Summary, sessionId: string | undefined): JsonEvent {
  const status = { status: 'stopped', message: 'Transcription stopped', session_id: sessionId };
  const lastSeq = summary.finals + summary.gaps;
  return { event: 'transcription_stopped', ...status, ...onTheWire({ ...summary, lastSeq }) };
}

/** `startSample` becomes `start_sample`, at any depth. */
function onTheWire(fields: object): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(fields).map(([name, value]) => [
      name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`),
      // The library hands translations on as they came, keyed by language.
      name === 'translations' ? value : renamed(value),
    ]),
  );
}

function renamed(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(renamed);
  return typeof value === 'object' && value !== null ? onTheWire(value) : value;
}
