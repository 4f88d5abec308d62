import type { Result } from '@aws-sdk/client-transcribe-streaming';
import { describe, expect, it } from 'vitest';
import { ResultReader } from '../../../../src/engines/aws/result-reader.ts';
import type { StartRequest } from '../../../../src/protocol/start-request.ts';

const PLAIN: StartRequest = { languageCode: 'en-US', sampleRate: 16_000, channels: 1 };
const FINAL: Result = {
  ResultId: 'an-id',
  StartTime: 0.1,
  EndTime: 1,
  IsPartial: false,
  ChannelId: 'ch_0',
  Alternatives: [{ Transcript: 'well said.' }],
};

function reader(asked: Partial<StartRequest> = {}) {
  const one = new ResultReader({ ...PLAIN, ...asked });
  return (result: Result, taken = 100_000) =>
    one.read({ Transcript: { Results: [result] } }, { taken, sent: taken })[0];
}

describe('a result', () => {
  it('has id, text, and its range in samples of the stream', () => {
    expect(reader()(FINAL)).toEqual({
      resultId: 'an-id',
      isPartial: false,
      text: 'well said.',
      startSample: 1600,
      endSample: 16_000,
    });
  });

  it.each([
    [8000, 1.2345, 9876],
    [16_000, 0.3333, 5333],
    [44_100, 1.001, 44_144],
  ])('is rounded to samples at %i Hz', (sampleRate, EndTime, endSample) => {
    expect(reader({ sampleRate })({ ...FINAL, EndTime })).toMatchObject({ endSample });
  });

  it('keeps the id of its partials', () => {
    const read = reader();
    expect(read({ ...FINAL, IsPartial: true })).toMatchObject({ resultId: 'an-id', isPartial: true });
    expect(read(FINAL)).toMatchObject({ resultId: 'an-id', isPartial: false });
  });

  it('says words with all that is known of them', () => {
    const Items = [
      {
        StartTime: 0.1,
        EndTime: 0.5,
        Type: 'pronunciation',
        Content: 'well',
        Confidence: 0.9,
        Speaker: '1',
        Stable: true,
      },
      { StartTime: 0.5, EndTime: 1, Type: 'pronunciation', Content: 'said', Confidence: 0.7, Stable: false },
      { StartTime: 1, EndTime: 1, Type: 'punctuation', Content: '.', Confidence: 0 },
    ] as const;
    const result = reader()({ ...FINAL, Alternatives: [{ Transcript: 'well said.', Items: [...Items] }] });
    expect(result?.items).toEqual([
      {
        startSample: 1600,
        endSample: 8000,
        content: 'well',
        type: 'word',
        confidence: 0.9,
        speaker: '1',
        stable: true,
      },
      { startSample: 8000, endSample: 16_000, content: 'said', type: 'word', confidence: 0.7, stable: false },
      { startSample: 16_000, endSample: 16_000, content: '.', type: 'punctuation', confidence: 0 },
    ]);
    expect(result?.confidence).toBeCloseTo(0.8);
  });

  it('marks filtered words only where a filter was asked for', () => {
    const Alternatives = [{ Transcript: 'darn', Items: [{ Content: 'darn', VocabularyFilterMatch: true }] }];
    expect(reader()({ ...FINAL, Alternatives })?.items?.[0]).not.toHaveProperty('filtered');
    const filtering = reader({ vocabularyFilter: { names: ['rude'], method: 'tag' } });
    expect(filtering({ ...FINAL, Alternatives })?.items?.[0]).toMatchObject({ filtered: true });
  });

  it('names its channel only where two were asked for', () => {
    expect(reader()(FINAL)).not.toHaveProperty('channel');
    expect(reader({ channels: 2 })({ ...FINAL, ChannelId: 'ch_1' })).toMatchObject({ channel: 1 });
  });

  it('names its language and the scores only where identification was asked for', () => {
    const spoken: Result = {
      ...FINAL,
      LanguageCode: 'de-DE',
      LanguageIdentification: [{ LanguageCode: 'de-DE', Score: 0.9 }],
    };
    expect(reader()(spoken)).not.toHaveProperty('languageCode');
    const identifying = reader({
      languageCode: undefined,
      identify: { languages: 'one', options: ['de-DE', 'en-US'] },
    });
    expect(identifying(spoken)).toMatchObject({
      languageCode: 'de-DE',
      languageScores: [{ languageCode: 'de-DE', score: 0.9 }],
    });
  });

  it('names personal data', () => {
    const Entities = [
      { StartTime: 0.2, EndTime: 0.4, Category: 'PII', Type: 'PHONE', Content: '[PHONE]', Confidence: 0.99 },
    ];
    const result = reader()({ ...FINAL, Alternatives: [{ Transcript: 'call [PHONE]', Entities }] });
    expect(result?.entities).toEqual([
      { startSample: 3200, endSample: 6400, category: 'PII', type: 'PHONE', content: '[PHONE]', confidence: 0.99 },
    ]);
  });

  it('has an empty text and no words where there is no alternative', () => {
    const { Alternatives: _, ...silent } = FINAL;
    expect(reader()(silent)).toEqual({
      resultId: 'an-id',
      isPartial: false,
      text: '',
      startSample: 1600,
      endSample: 16_000,
    });
  });
});

describe('finals', () => {
  it('of a channel do not overlap, whatever rounding does, and those of another do not count', () => {
    const read = reader({ channels: 2 });
    read(FINAL);
    const next = { ...FINAL, ResultId: 'next', StartTime: 0.9, EndTime: 2 };
    expect(read({ ...next, ChannelId: 'ch_1' })).toMatchObject({ startSample: 14_400 });
    expect(read(next)).toMatchObject({ startSample: 16_000, endSample: 32_000 });
  });

  it('do not go beyond the audio that was given', () => {
    expect(reader()({ ...FINAL, EndTime: 7 }, 20_000)).toMatchObject({ endSample: 20_000 });
  });

  it('are not cut where the connection has not heard yet that their audio left', () => {
    const Items = [{ StartTime: 0.5, EndTime: 1, Content: 'said' }];
    const event = { Transcript: { Results: [{ ...FINAL, Alternatives: [{ Transcript: 'said', Items }] }] } };
    const [result] = new ResultReader(PLAIN).read(event, { taken: 20_000, sent: 12_000 });
    expect(result).toMatchObject({ endSample: 16_000, items: [{ startSample: 8000, endSample: 16_000 }] });
  });

  it('keep their words within their range', () => {
    const Items = [{ StartTime: 0, EndTime: 2, Content: 'well' }];
    const result = reader()({ ...FINAL, Alternatives: [{ Transcript: 'well', Items }] });
    expect(result?.items?.[0]).toMatchObject({ startSample: 1600, endSample: 16_000 });
  });
});

it('an event without results answers for the audio before the event before it, because it says nothing of its own age', () => {
  const one = new ResultReader(PLAIN);
  const given = (sent: number) => ({ taken: 10_000, sent });
  const empty = () => ({ Transcript: { Results: [] } });
  // The first one comes before any audio is heard, however late it arrives.
  expect(one.read(empty(), given(5000))).toMatchObject([{ isPartial: true, text: '', startSample: 0, endSample: 0 }]);
  expect(one.read({}, given(8000))).toMatchObject([{ startSample: 5000, endSample: 5000 }]);
  expect(one.read(empty(), given(9000))).toMatchObject([{ startSample: 8000, endSample: 8000 }]);
});
