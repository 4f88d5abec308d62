import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseStart } from '../../../src/protocol/payloads.ts';
import { illegalCombinations } from '../../../src/protocol/start-combinations.ts';
import { startFieldsV2 } from '../../../src/protocol/start-fields.ts';
import { featuresOf, REQUEST_FEATURES, type RequestFeature } from '../../../src/protocol/start-request.ts';
import { refusal } from './refusal.ts';

const OPTIONS = { identify_language: true, language_options: ['en-US', 'de-DE'] };
const PLAIN = { languageCode: 'en-US', sampleRate: 16_000, channels: 1 };

/** Messages hold the name of a field and never what a client sent in it. */
const SECRET = 'secret of the client';

function parse(fields: unknown) {
  return parseStart(fields, 2);
}

describe('the fields of a version-2 start', () => {
  it.each<[string, object, object, RequestFeature[]]>([
    ['a language', { language_code: 'de-DE' }, { languageCode: 'de-DE' }, []],
    ['speaker labels', { speaker_labels: true }, { speakerLabels: true }, ['speaker_labels']],
    ['two channels', { channels: 2 }, { channels: 2 }, ['channels']],
    [
      'speaker labels in two channels',
      { channels: 2, speaker_labels: true },
      { channels: 2, speakerLabels: true },
      ['channels', 'speaker_labels'],
    ],
    ['silence not to be given', { trim_silence: true }, { trimSilence: true }, []],
    ['low stability', { partial_stability: 'low' }, { partialStability: 'low' }, ['partial_stability']],
    ['medium stability', { partial_stability: 'medium' }, { partialStability: 'medium' }, ['partial_stability']],
    ['high stability', { partial_stability: 'high' }, { partialStability: 'high' }, ['partial_stability']],
    ['a vocabulary', { vocabulary: 'my_Words-1.2' }, { vocabularies: ['my_Words-1.2'] }, ['vocabulary']],
    ['a vocabulary in an array', { vocabulary: ['words'] }, { vocabularies: ['words'] }, ['vocabulary']],
    [
      'a filter, which masks',
      { vocabulary_filter: { name: 'bad' } },
      { vocabularyFilter: { names: ['bad'], method: 'mask' } },
      ['vocabulary_filter'],
    ],
    [
      'a filter that masks',
      { vocabulary_filter: { name: 'bad', method: 'mask' } },
      { vocabularyFilter: { names: ['bad'], method: 'mask' } },
      ['vocabulary_filter'],
    ],
    [
      'a filter that removes',
      { vocabulary_filter: { name: ['bad'], method: 'remove' } },
      { vocabularyFilter: { names: ['bad'], method: 'remove' } },
      ['vocabulary_filter'],
    ],
    [
      'a filter that tags',
      { vocabulary_filter: { name: 'bad', method: 'tag' } },
      { vocabularyFilter: { names: ['bad'], method: 'tag' } },
      ['vocabulary_filter'],
    ],
    [
      'a filter with null for its method',
      { vocabulary_filter: { name: 'bad', method: null } },
      { vocabularyFilter: { names: ['bad'], method: 'mask' } },
      ['vocabulary_filter'],
    ],
    ['a language model', { language_model: 'court' }, { languageModel: 'court' }, ['language_model']],
    [
      'identified data',
      { content_identification: true },
      { personalData: { action: 'identify', entityTypes: [] } },
      ['content_identification'],
    ],
    [
      'identified data, by its kind',
      { content_identification: 'pii' },
      { personalData: { action: 'identify', entityTypes: [] } },
      ['content_identification'],
    ],
    ['redacted data', { redaction: true }, { personalData: { action: 'redact', entityTypes: [] } }, ['redaction']],
    [
      'redacted data, by its kind',
      { redaction: 'pii', content_identification: false },
      { personalData: { action: 'redact', entityTypes: [] } },
      ['redaction'],
    ],
    [
      'redacted data of some types',
      { redaction: 'pii', entity_types: ['NAME', 'SSN'] },
      { personalData: { action: 'redact', entityTypes: ['NAME', 'SSN'] } },
      ['redaction'],
    ],
    [
      'identified data of a type',
      { content_identification: true, entity_types: ['PIN'] },
      { personalData: { action: 'identify', entityTypes: ['PIN'] } },
      ['content_identification'],
    ],
    [
      'redacted data of all types',
      { redaction: true, entity_types: ['NAME', 'ALL'] },
      { personalData: { action: 'redact', entityTypes: [] } },
      ['redaction'],
    ],
    ['numbers as written', { transcript_format: 'written' }, { transcriptFormat: 'written' }, ['transcript_format']],
    ['numbers as spoken', { transcript_format: 'spoken' }, { transcriptFormat: 'spoken' }, ['transcript_format']],
  ])('ask for %s', (_, fields, asked, features) => {
    const request = parse(fields);
    expect(request).toEqual({ ...PLAIN, ...asked });
    expect(featuresOf(request)).toEqual(features);
  });

  it.each<[string, object, object]>([
    ['one language', OPTIONS, { languages: 'one' }],
    ['one language, by its word', { ...OPTIONS, identify_language: 'one' }, { languages: 'one' }],
    ['several languages', { ...OPTIONS, identify_language: 'several' }, { languages: 'several' }],
    [
      'one language of which one is likelier',
      { ...OPTIONS, preferred_language: 'de-DE' },
      { languages: 'one', preferred: 'de-DE' },
    ],
  ])('ask to identify %s, without a language of their own', (_, fields, identify) => {
    const request = parse({ ...fields, language_code: null });
    expect(request).toEqual({
      sampleRate: 16_000,
      channels: 1,
      identify: { options: ['en-US', 'de-DE'], ...identify },
    });
    expect(featuresOf(request)).toEqual(['identify_language']);
  });

  it('name several vocabularies and filters, one per language to identify', () => {
    const request = parse({ ...OPTIONS, vocabulary: ['en', 'de'], vocabulary_filter: { name: ['x', 'y'] } });
    expect(request).toMatchObject({ vocabularies: ['en', 'de'], vocabularyFilter: { names: ['x', 'y'] } });
  });

  it('reach every feature that an engine may have', () => {
    const reached = [
      { ...OPTIONS, content_identification: true },
      {
        channels: 2,
        speaker_labels: true,
        partial_stability: 'low',
        vocabulary: 'v',
        vocabulary_filter: { name: 'f' },
      },
      { language_model: 'm', redaction: true, transcript_format: 'spoken' },
    ].flatMap((fields) => featuresOf(parse(fields)));
    expect(reached.toSorted()).toEqual(REQUEST_FEATURES.toSorted());
  });

  const optional = Object.keys(startFieldsV2.shape).filter(
    (field) => !['language_code', 'encoding', 'sample_rate', 'channels'].includes(field),
  );

  it.each(optional)('ask for nothing with %s when it is false, null or empty', (field) => {
    for (const value of [false, null, '', [], undefined]) {
      const request = parse({ [field]: value });
      expect(request).toEqual(PLAIN);
      expect(featuresOf(request)).toEqual([]);
    }
  });

  it('are ignored when they are unknown', () => {
    expect(parse({ number_of_channels: 2, acks: true })).toEqual(PLAIN);
  });

  it.each([
    ['identify_language', ['many', 'true', 1, {}, ['one']]],
    ['language_options', ['en-US,de-DE', [5, 'en-US'], ['', 'en-US'], Array(31).fill('en-US'), true]],
    ['preferred_language', [5, 'x'.repeat(36), true, ['en-US']]],
    ['speaker_labels', ['true', 1, 'yes', {}]],
    ['partial_stability', ['HIGH', 'none', 1, true]],
    ['vocabulary', ['two words', 'a,b', 'x'.repeat(201), 'é', 5, true, {}, [5], ['a b'], [''], Array(31).fill('a')]],
    [
      'vocabulary_filter',
      ['bad', true, 5, {}, ['bad'], { name: '' }, { name: [] }, { name: null }, { method: 'mask' }],
    ],
    ['vocabulary_filter', [{ name: 'two words' }, { name: 'bad', method: 'delete' }, { name: 'bad', method: '' }]],
    ['language_model', ['two words', 5, true, ['court']]],
    ['content_identification', ['PHI', 'true', 1, {}]],
    ['redaction', ['PHI', 'true', 1, {}]],
    ['entity_types', ['NAME', ['name'], ['NAMES'], [5], true, { NAME: true }, Array(20).fill('NAME')]],
    ['transcript_format', ['WRITTEN', 'typed', 1, true]],
  ])('are refused by name when %s has a value that it cannot have', (field, values) => {
    for (const value of values) {
      const refused = refusal(() => parse({ [field]: value }));
      expect(refused.code).toBe('bad_request');
      expect(refused.message).toMatch(new RegExp(`^start_transcription: ${field}[.:]`));
    }
  });

  it('are refused with translate_to, which nothing does yet', () => {
    expect(refusal(() => parse({ translate_to: 'fr-FR' }))).toMatchObject({
      code: 'bad_request',
      message: 'start_transcription: the engine does not support translate_to.',
    });
  });

  it('are never repeated in a message', () => {
    for (const field of Object.keys(startFieldsV2.shape)) {
      for (const value of [SECRET.repeat(2), [SECRET.repeat(2)], { name: SECRET, method: SECRET, [SECRET]: 1 }]) {
        expect(refusal(() => parse({ [field]: value })).message).not.toContain(SECRET);
      }
    }
  });
});

describe('the combinations of a version-2 start', () => {
  it.each<[string, object]>([
    ['language_code cannot be combined with identify_language', { ...OPTIONS, language_code: 'en-US' }],
    ['identify_language needs language_options with at least two languages', { identify_language: true }],
    [
      'identify_language needs language_options with at least two languages',
      { identify_language: 'several', language_options: ['en-US'] },
    ],
    ['language_options needs identify_language', { language_options: ['en-US', 'de-DE'] }],
    ['language_options needs identify_language', { ...OPTIONS, identify_language: false }],
    [
      'language_options has one language twice; of its dialects only one can be an option',
      { ...OPTIONS, language_options: ['en-US', 'de-DE', 'en-GB'] },
    ],
    [
      'language_options has one language twice; of its dialects only one can be an option',
      { ...OPTIONS, language_options: ['de-DE', 'de-DE'] },
    ],
    ['preferred_language needs identify_language', { preferred_language: 'en-US' }],
    [
      'preferred_language cannot be combined with the identification of several languages',
      { ...OPTIONS, identify_language: 'several', preferred_language: 'en-US' },
    ],
    ['preferred_language is not one of language_options', { ...OPTIONS, preferred_language: 'fr-FR' }],
    ['language_model cannot be combined with identify_language', { ...OPTIONS, language_model: 'court' }],
    ['redaction cannot be combined with identify_language', { ...OPTIONS, redaction: true }],
    [
      'redaction cannot be combined with identify_language',
      { ...OPTIONS, identify_language: 'several', redaction: 'pii' },
    ],
    ['content_identification cannot be combined with redaction', { content_identification: true, redaction: true }],
    ['entity_types needs content_identification or redaction', { entity_types: ['NAME'] }],
    ['entity_types needs content_identification or redaction', { entity_types: ['ALL'], redaction: false }],
    ['vocabulary can have several names only with identify_language', { vocabulary: ['a', 'b'] }],
    [
      'vocabulary_filter can have several names only with identify_language',
      { vocabulary_filter: { name: ['a', 'b'] } },
    ],
  ])('are refused: %s', (fault, fields) => {
    expect(refusal(() => parse(fields))).toMatchObject({
      code: 'bad_request',
      message: `start_transcription: ${fault}.`,
    });
  });

  it('are all named when several are illegal', () => {
    const { message } = refusal(() =>
      parse({ ...OPTIONS, language_code: 'en-US', language_model: 'm', redaction: true }),
    );
    for (const field of ['language_code', 'language_model', 'redaction']) {
      expect(message).toContain(`${field} cannot be combined with identify_language`);
    }
  });

  it('leave a request that names a language or languages to identify, never both and never neither', () => {
    const some = fc.record(
      {
        language_code: fc.constantFrom('en-US', null),
        identify_language: fc.constantFrom(true, 'one', 'several', false, null),
        language_options: fc.subarray(['en-US', 'en-GB', 'de-DE', 'fr-FR']),
        preferred_language: fc.constantFrom('en-US', 'fr-FR', null),
        language_model: fc.constantFrom('m', null),
        redaction: fc.constantFrom(true, 'pii', false),
        content_identification: fc.constantFrom(true, 'pii', false),
        entity_types: fc.subarray(['NAME', 'ALL', 'SSN']),
        vocabulary: fc.constantFrom('v', ['v', 'w'], null),
        vocabulary_filter: fc.constantFrom({ name: 'f' }, { name: ['f', 'g'] }, null),
      },
      { requiredKeys: [] },
    );
    fc.assert(
      fc.property(some, (fields) => {
        const faults = illegalCombinations(startFieldsV2.parse(fields));
        if (faults.length > 0) {
          expect(refusal(() => parse(fields)).code).toBe('bad_request');
          return;
        }
        const { identify, languageCode, languageModel, personalData, vocabularies } = parse(fields);
        expect(languageCode === undefined).toBe(identify !== undefined);
        if (identify === undefined) expect(vocabularies?.length ?? 1).toBe(1);
        else {
          expect(new Set(identify.options.map((tag) => tag.slice(0, 2))).size).toBe(identify.options.length);
          expect(identify.options.length).toBeGreaterThan(1);
          expect(personalData?.action).not.toBe('redact');
          expect(languageModel).toBeUndefined();
        }
      }),
      { numRuns: 2_000 },
    );
  });
});
