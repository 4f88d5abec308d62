import { describe, expect, it } from 'vitest';
import * as json from '../../../src/cli/json-events.ts';
import { type Final, TranscriptionError } from '../../../src/client/index.ts';

const PLACE = { startSample: 160, endSample: 320, startMs: 10, endMs: 20 };
const PLACE_ON_THE_WIRE = { start_sample: 160, end_sample: 320, start_ms: 10, end_ms: 20 };

describe('the events of --json', () => {
  it('have the names of the protocol at any depth', () => {
    const final: Final = {
      kind: 'final',
      seq: 3,
      text: 'hi',
      resultId: 'r',
      durable: true,
      replayed: false,
      ...PLACE,
      languageScores: [{ languageCode: 'de-DE', score: 1 }],
      items: [{ content: 'hi', type: 'word', ...PLACE }],
      entities: [{ category: 'PII', type: 'NAME', content: 'hi', ...PLACE }],
    };
    expect(json.resultEvent(final, 's')).toEqual({
      event: 'transcription_result',
      text: 'hi',
      is_partial: false,
      session_id: 's',
      seq: 3,
      result_id: 'r',
      durable: true,
      replayed: false,
      ...PLACE_ON_THE_WIRE,
      language_scores: [{ language_code: 'de-DE', score: 1 }],
      items: [{ content: 'hi', type: 'word', ...PLACE_ON_THE_WIRE }],
      entities: [{ category: 'PII', type: 'NAME', content: 'hi', ...PLACE_ON_THE_WIRE }],
    });
  });

  it('mark partials, and leave the keys of translations alone', () => {
    const partial = { kind: 'partial', text: 'h', resultId: 'r', ...PLACE, translations: { 'pt-BR': 'o' } } as const;
    expect(json.resultEvent(partial, 's')).toMatchObject({ is_partial: true, translations: { 'pt-BR': 'o' } });
  });

  it('tell a gap as the gateway does', () => {
    const gap = { fromSample: 0, toSample: 160, fromMs: 0, toMs: 10, reason: 'not_kept', seq: 1, replayed: false };
    expect(json.gapEvent({ kind: 'gap', ...gap }, 's')).toEqual({
      event: 'transcription_gap',
      session_id: 's',
      seq: 1,
      from_sample: 0,
      to_sample: 160,
      from_ms: 0,
      to_ms: 10,
      reason: 'not_kept',
      replayed: false,
    });
  });

  it('tell a new session from a resumed one', () => {
    const session = { id: 's', watchToken: 'w', resumed: false, languageCode: 'en-US', engine: 'local' };
    expect(json.sessionEvent(session)).toEqual({
      event: 'transcription_started',
      status: 'started',
      message: 'Transcription started',
      session_id: 's',
      language_code: 'en-US',
      engine: 'local',
    });
    const resumed = json.sessionEvent({ ...session, resumed: true, engine: undefined });
    expect(JSON.parse(JSON.stringify(resumed))).toEqual({
      event: 'transcription_resumed',
      session_id: 's',
      language_code: 'en-US',
    });
  });

  it('tell faults that pass from those that do not', () => {
    const options = { retryAfterMs: 50, connectionId: 'c', sessionId: 's' };
    const error = new TranscriptionError('overloaded', 'Come later.', options);
    const fields = {
      code: 'overloaded',
      message: 'Come later.',
      retryable: true,
      retry_after_ms: 50,
      connection_id: 'c',
      session_id: 's',
    };
    expect(json.errorEvent(error)).toEqual({ event: 'error', ...fields });
    expect(json.retryEvent({ error, delayMs: 60 })).toEqual({ event: 'retry', delay_ms: 60, ...fields });
  });

  it('sum up the whole transcription, with the number of its last entry', () => {
    const counts = { audioMs: 5_000, finals: 3, gaps: 1, lostMs: 10, sessions: 2 };
    expect(json.stoppedEvent({ reason: 'client_stop', durable: true, ...counts }, 's')).toEqual({
      event: 'transcription_stopped',
      status: 'stopped',
      message: 'Transcription stopped',
      session_id: 's',
      reason: 'client_stop',
      last_seq: 4,
      durable: true,
      audio_ms: 5_000,
      finals: 3,
      gaps: 1,
      lost_ms: 10,
      sessions: 2,
    });
  });
});
