import { describe, expect, it } from 'vitest';
import type { EngineItem } from '../../../src/engines/engine.ts';
import { GatewayError } from '../../../src/errors.ts';
import { ERROR_CODES, type ErrorCode } from '../../../src/protocol/error-codes.ts';
import type { SessionGap } from '../../../src/session/session-options.ts';
import type { StopNote } from '../../../src/session/session-view.ts';
import type { PlacedResult } from '../../../src/session/timeline.ts';
import { Presenter, type SessionFacts } from '../../../src/socket/presenter.ts';

const FACTS: SessionFacts = { sessionId: 'session-1', languageCode: 'en-GB', engine: 'scripted', sampleRate: 16_000 };
const ITEM: EngineItem = { content: 'words', type: 'word', startSample: 1600, endSample: 8000, confidence: 0.5 };
const RESULT: PlacedResult = {
  resultId: 'result-1',
  isPartial: false,
  text: 'words',
  startSample: 1600,
  endSample: 16_000,
  confidence: 0.75,
  items: [ITEM],
};
/** All that an engine may say. */
const RICH: PlacedResult = {
  ...RESULT,
  channel: 1,
  languageCode: 'de-DE',
  languageScores: [
    { languageCode: 'de-DE', score: 0.75 },
    { languageCode: 'en-GB', score: 0.25 },
  ],
  items: [
    { ...ITEM, speaker: '0', stable: true, filtered: false },
    { ...ITEM, speaker: '0', stable: false, filtered: true },
    { content: '.', type: 'punctuation', startSample: 8000, endSample: 8000 },
  ],
  entities: [
    { category: 'PII', type: 'NAME', content: 'words', startSample: 1600, endSample: 8000, confidence: 0.25 },
    { category: 'PII', type: 'PIN', content: 'words', startSample: 8000, endSample: 16_000 },
  ],
};
const GAP: SessionGap = { fromSample: 16_000, toSample: 24_008, reason: 'replay_overflow' };
const END: StopNote = { reason: 'client_stop', samples: 40_000, finals: 3, durable: true };

const BOUNDS = { backlogMs: 30_000, replayMs: 60_000, resumeWindowMs: 120_000, catchUpSpeed: 2 };

describe('Presenter of version 1', () => {
  const presenter = new Presenter(1, 'connection-1');

  // Frozen: deployed version-1 clients know these fields and no others.
  it.each([
    ['connected', presenter.connected(BOUNDS), { status: 'Connected...' }],
    [
      'transcription_started',
      presenter.started(FACTS, 1, undefined),
      { status: 'started', message: 'Transcription started', language_code: 'en-GB' },
    ],
    [
      'transcription_result with a final',
      presenter.final(FACTS, RESULT, undefined),
      { text: 'words', is_partial: false },
    ],
    [
      'transcription_result with a partial',
      presenter.final(FACTS, { ...RESULT, isPartial: true }, undefined),
      { text: 'words', is_partial: true },
    ],
    [
      'transcription_result with all that an engine may say',
      presenter.final(FACTS, RICH, undefined),
      { text: 'words', is_partial: false },
    ],
    ['transcription_stopped', presenter.stopped(FACTS, END), { status: 'stopped', message: 'Transcription stopped' }],
    [
      'error',
      presenter.error(new GatewayError('overloaded', 'too much', { retryAfterMs: 5 }), 'session-1'),
      { message: 'too much' },
    ],
  ])('shows exactly the fields of its table in %s', (_, event, table) => {
    expect(event).toStrictEqual(table);
  });

  it('has no word for a gap', () => {
    expect(presenter.gap(FACTS, GAP, undefined)).toBeUndefined();
  });
});

describe('Presenter of version 2', () => {
  const presenter = new Presenter(2, 'connection-1');

  it('adds the protocol, the connection and the limits to connected', () => {
    expect(presenter.connected(BOUNDS)).toStrictEqual({
      status: 'Connected...',
      protocol: 2,
      connection_id: 'connection-1',
      limits: {
        chunk_bytes: 32_000,
        backlog_ms: 30_000,
        unacked_ms: 60_000,
        catch_up: 2,
        resume_window_ms: 120_000,
      },
    });
  });

  it('adds the session and the engine to transcription_started', () => {
    expect(presenter.started(FACTS, 1, undefined)).toStrictEqual({
      status: 'started',
      message: 'Transcription started',
      language_code: 'en-GB',
      session_id: 'session-1',
      engine: 'scripted',
    });
  });

  it('adds ids, positions, confidence and items to transcription_result when the engine gave them', () => {
    expect(presenter.final(FACTS, RESULT, undefined)).toStrictEqual({
      text: 'words',
      is_partial: false,
      session_id: 'session-1',
      result_id: 'result-1',
      start_sample: 1600,
      end_sample: 16_000,
      start_ms: 100,
      end_ms: 1000,
      language_code: 'en-GB',
      confidence: 0.75,
      items: [
        {
          content: 'words',
          type: 'word',
          start_sample: 1600,
          end_sample: 8000,
          start_ms: 100,
          end_ms: 500,
          confidence: 0.5,
        },
      ],
    });
  });

  it('leaves out confidence and items when the engine gave none', () => {
    const bare: PlacedResult = { resultId: 'r', isPartial: true, text: 'w', startSample: 0, endSample: 160 };
    expect(Object.keys(presenter.final(FACTS, bare, undefined)).toSorted()).toEqual([
      'end_ms',
      'end_sample',
      'is_partial',
      'language_code',
      'result_id',
      'session_id',
      'start_ms',
      'start_sample',
      'text',
    ]);
  });

  it('leaves out the confidence of an item when the engine gave none', () => {
    const item: EngineItem = { content: '.', type: 'punctuation', startSample: 8000, endSample: 8000 };
    expect(presenter.final(FACTS, { ...RESULT, items: [item] }, undefined).items).toStrictEqual([
      { content: '.', type: 'punctuation', start_sample: 8000, end_sample: 8000, start_ms: 500, end_ms: 500 },
    ]);
  });

  it('shows a confidence of 0 and an empty list of items when the engine gave them', () => {
    expect(presenter.final(FACTS, { ...RESULT, confidence: 0, items: [] }, undefined)).toMatchObject({
      confidence: 0,
      items: [],
    });
  });

  it('adds the channel, the speaker, the identified language and what was found to transcription_result', () => {
    const word = { content: 'words', type: 'word', start_sample: 1600, end_sample: 8000, start_ms: 100, end_ms: 500 };
    const { items, ...others } = presenter.final(FACTS, RICH, undefined);
    expect(items).toStrictEqual([
      { ...word, confidence: 0.5, speaker: '0', stable: true, filtered: false },
      { ...word, confidence: 0.5, speaker: '0', stable: false, filtered: true },
      { content: '.', type: 'punctuation', start_sample: 8000, end_sample: 8000, start_ms: 500, end_ms: 500 },
    ]);
    const { items: _, ...plain } = presenter.final(FACTS, RESULT, undefined);
    expect(others).toStrictEqual({
      ...plain,
      channel: 1,
      speaker: '0',
      language_code: 'de-DE',
      language_scores: [
        { language_code: 'de-DE', score: 0.75 },
        { language_code: 'en-GB', score: 0.25 },
      ],
      entities: [
        {
          category: 'PII',
          type: 'NAME',
          content: 'words',
          start_sample: 1600,
          end_sample: 8000,
          start_ms: 100,
          end_ms: 500,
          confidence: 0.25,
        },
        {
          category: 'PII',
          type: 'PIN',
          content: 'words',
          start_sample: 8000,
          end_sample: 16_000,
          start_ms: 500,
          end_ms: 1000,
        },
      ],
    });
  });

  it.each<[string, readonly Partial<EngineItem>[], string | undefined]>([
    ['of all words when it is one', [{ speaker: 'a' }, { speaker: 'a' }], 'a'],
    ['of the words whatever the punctuation says', [{ speaker: 'a' }, { type: 'punctuation', speaker: 'b' }], 'a'],
    ['of none when the words have two', [{ speaker: 'a' }, { speaker: 'b' }], undefined],
    ['of none when a word has none', [{ speaker: 'a' }, {}], undefined],
    ['of none when the first word has none', [{}, { speaker: 'a' }], undefined],
    ['of none when there is only punctuation', [{ type: 'punctuation', speaker: 'a' }], undefined],
    ['of none when there are no items', [], undefined],
  ])('shows the speaker %s', (_, items, speaker) => {
    const result = presenter.final(FACTS, { ...RESULT, items: items.map((item) => ({ ...ITEM, ...item })) }, undefined);
    expect(result.speaker).toBe(speaker);
    expect('speaker' in result).toBe(speaker !== undefined);
  });

  it('shows channel 0 and empty lists when the engine gave them', () => {
    const result = presenter.final(FACTS, { ...RESULT, channel: 0, languageScores: [], entities: [] }, undefined);
    expect(result).toMatchObject({ channel: 0, language_scores: [], entities: [] });
  });

  it('names no language where the engine identifies it and has not yet', () => {
    const facts = { ...FACTS, languageCode: undefined };
    expect('language_code' in presenter.started(facts, 1, undefined)).toBe(false);
    expect('language_code' in presenter.final(facts, RESULT, undefined)).toBe(false);
    expect(presenter.final(facts, RICH, undefined).language_code).toBe('de-DE');
  });

  it('counts milliseconds by the sample rate of the session', () => {
    const facts = { ...FACTS, sampleRate: 8000 };
    expect(presenter.final(facts, RICH, undefined).entities?.[0]).toMatchObject({ start_ms: 200, end_ms: 1000 });
    expect(presenter.final(facts, RESULT, undefined)).toMatchObject({
      start_ms: 200,
      end_ms: 2000,
      items: [{ end_ms: 1000 }],
    });
    expect(presenter.gap(facts, GAP, undefined)).toMatchObject({ from_ms: 2000, to_ms: 3001 });
    expect(presenter.stopped(facts, END)).toMatchObject({ audio_ms: 5000 });
  });

  it('says where a gap is, and why, in whole milliseconds', () => {
    expect(presenter.gap(FACTS, GAP, undefined)).toStrictEqual({
      session_id: 'session-1',
      from_sample: 16_000,
      to_sample: 24_008,
      from_ms: 1000,
      to_ms: 1500,
      reason: 'replay_overflow',
    });
  });

  it('adds the session, the reason and the sums to transcription_stopped', () => {
    expect(presenter.stopped(FACTS, END)).toStrictEqual({
      status: 'stopped',
      message: 'Transcription stopped',
      session_id: 'session-1',
      reason: 'client_stop',
      audio_ms: 2500,
      finals: 3,
    });
  });

  it('adds the code, the decision, the retry time and the ids to error when it has them', () => {
    const error = new GatewayError('overloaded', 'too much', { retryAfterMs: 250 });
    expect(presenter.error(error, 'session-1')).toStrictEqual({
      message: 'too much',
      code: 'overloaded',
      retryable: true,
      retry_after_ms: 250,
      connection_id: 'connection-1',
      session_id: 'session-1',
    });
  });

  it('shows a retry time of 0 when the error has it', () => {
    const error = new GatewayError('overloaded', 'too much', { retryAfterMs: 0 });
    expect(presenter.error(error, undefined)).toMatchObject({ retry_after_ms: 0 });
  });

  it.each(Object.keys(ERROR_CODES) as ErrorCode[])('leaves out what error does not have, for %s', (code) => {
    expect(presenter.error(new GatewayError(code, 'a message'), undefined)).toStrictEqual({
      message: 'a message',
      code,
      retryable: ERROR_CODES[code].retryable,
      connection_id: 'connection-1',
    });
  });

  it('never shows the cause of an error', () => {
    const error = new GatewayError('internal', 'a message', { cause: new Error('secret') });
    expect(JSON.stringify(presenter.error(error, 'session-1'))).not.toContain('secret');
  });
});
