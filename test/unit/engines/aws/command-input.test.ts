import { describe, expect, it } from 'vitest';
import { toCommandInput } from '../../../../src/engines/aws/command-input.ts';
import type { StartRequest } from '../../../../src/protocol/start-request.ts';

const PLAIN: StartRequest = { languageCode: 'en-US', sampleRate: 16_000, channels: 1 };
const IDENTIFY = { languages: 'one', options: ['en-US', 'de-DE'] } as const;

describe('toCommandInput', () => {
  it('asks for nothing that the request does not', () => {
    expect(toCommandInput(PLAIN, 'an-id')).toEqual({
      LanguageCode: 'en-US',
      MediaEncoding: 'pcm',
      MediaSampleRateHertz: 16_000,
      SessionId: 'an-id',
    });
  });

  it.each<[string, Partial<StartRequest>, object]>([
    ['sample rate', { sampleRate: 44_100 }, { MediaSampleRateHertz: 44_100 }],
    ['channels', { channels: 2 }, { EnableChannelIdentification: true, NumberOfChannels: 2 }],
    ['speaker labels', { speakerLabels: true }, { ShowSpeakerLabel: true }],
    ['no speaker labels', { speakerLabels: false }, {}],
    [
      'partial stability',
      { partialStability: 'medium' },
      { EnablePartialResultsStabilization: true, PartialResultsStability: 'medium' },
    ],
    ['vocabulary', { vocabularies: ['medicine'] }, { VocabularyName: 'medicine' }],
    [
      'vocabulary filter',
      { vocabularyFilter: { names: ['rude'], method: 'mask' } },
      { VocabularyFilterName: 'rude', VocabularyFilterMethod: 'mask' },
    ],
    ['language model', { languageModel: 'radio' }, { LanguageModelName: 'radio' }],
    [
      'identification of all personal data',
      { personalData: { action: 'identify', entityTypes: [] } },
      { ContentIdentificationType: 'PII' },
    ],
    [
      'redaction of some types',
      { personalData: { action: 'redact', entityTypes: ['PHONE', 'EMAIL'] } },
      { ContentRedactionType: 'PII', PiiEntityTypes: 'PHONE,EMAIL' },
    ],
    ['transcript format', { transcriptFormat: 'spoken' }, { TranscriptFormat: 'spoken' }],
  ])('carries over %s', (_name, asked, expected) => {
    expect(toCommandInput({ ...PLAIN, ...asked }, 'an-id')).toEqual({ ...toCommandInput(PLAIN, 'an-id'), ...expected });
  });

  it.each<[string, Partial<StartRequest>, object]>([
    ['one language', { identify: IDENTIFY }, { IdentifyLanguage: true }],
    [
      'one language, with a preference',
      { identify: { ...IDENTIFY, preferred: 'de-DE' } },
      { IdentifyLanguage: true, PreferredLanguage: 'de-DE' },
    ],
    ['several languages', { identify: { ...IDENTIFY, languages: 'several' } }, { IdentifyMultipleLanguages: true }],
    [
      'a language, with vocabularies and filters for each',
      {
        identify: IDENTIFY,
        vocabularies: ['medicine', 'medizin'],
        vocabularyFilter: { names: ['rude', 'grob'], method: 'tag' },
      },
      {
        IdentifyLanguage: true,
        VocabularyNames: 'medicine,medizin',
        VocabularyFilterNames: 'rude,grob',
        VocabularyFilterMethod: 'tag',
      },
    ],
  ])('identifies %s', (_name, asked, expected) => {
    expect(toCommandInput({ ...PLAIN, languageCode: undefined, ...asked }, 'an-id')).toEqual({
      LanguageOptions: 'en-US,de-DE',
      MediaEncoding: 'pcm',
      MediaSampleRateHertz: 16_000,
      SessionId: 'an-id',
      ...expected,
    });
  });
});
