import { describe, expect, test } from 'vitest';
import { echoHeaders, HEADER_PREFIX, parseParameters } from '../../../src/emulator/parameters.ts';
import { Refusal } from '../../../src/emulator/refusal.ts';

const BASE = { 'language-code': 'en-US', 'sample-rate': '16000', 'media-encoding': 'pcm' };
const IDENTIFY = { 'language-code': undefined, 'identify-language': 'true', 'language-options': 'en-US,de-DE' };
type Given = Record<string, string | undefined>;

function headersOf(given: Given): Record<string, string> {
  const entries = Object.entries({ ...BASE, ...given }).filter(
    (entry): entry is [string, string] => entry[1] !== undefined,
  );
  return Object.fromEntries(entries.map(([name, value]) => [HEADER_PREFIX + name, value]));
}

function refusalOf(given: Given): string {
  try {
    parseParameters(headersOf(given), { vocabularies: ['known'], languageModels: [], vocabularyFilters: { f: [] } });
  } catch (error) {
    if (error instanceof Refusal && error.status === 400) return error.message;
    throw error;
  }
  return 'none';
}

describe('parameters', () => {
  test.each<[string, Given]>([
    ['the least there can be', {}],
    ['language identification', { ...IDENTIFY, 'preferred-language': 'de-DE', 'vocabulary-names': 'known' }],
    ['several languages', { ...IDENTIFY, 'identify-language': undefined, 'identify-multiple-languages': 'true' }],
    ['flags that say false', { 'identify-language': 'false', 'enable-channel-identification': 'false' }],
    ['identification of personal data in several languages', { ...IDENTIFY, 'content-identification-type': 'PII' }],
    ['redaction of some types', { 'content-redaction-type': 'PII', 'pii-entity-types': 'NAME, EMAIL' }],
    [
      'two channels with speakers',
      { 'enable-channel-identification': 'true', 'number-of-channels': '2', 'show-speaker-label': 'true' },
    ],
    ['a filter that the account has', { 'vocabulary-filter-name': 'f', 'vocabulary-filter-method': 'tag' }],
  ])('are taken: %s', (_name, given) => {
    expect(refusalOf(given)).toBe('none');
  });

  test.each<[string, Given]>([
    ['no sample rate', { 'sample-rate': undefined }],
    ['a sample rate out of range', { 'sample-rate': '7999' }],
    ['a sample rate that is no number', { 'sample-rate': '16e3' }],
    ['an unknown encoding', { 'media-encoding': 'mp3' }],
    ['an unknown language', { 'language-code': 'en-XX' }],
    ['a session id that is no UUID', { 'session-id': 'mine' }],
    ['a flag that is no boolean', { 'show-speaker-label': 'yes' }],
    ['no language at all', { 'language-code': undefined }],
    ['a language and identification', { 'identify-language': 'true', 'language-options': 'en-US,de-DE' }],
    ['both ways of identification', { ...IDENTIFY, 'identify-multiple-languages': 'true' }],
    ['options without identification', { 'language-options': 'en-US,de-DE' }],
    ['one option', { ...IDENTIFY, 'language-options': 'en-US' }],
    ['two dialects', { ...IDENTIFY, 'language-options': 'en-US,en-GB' }],
    ['a preferred language that is no option', { ...IDENTIFY, 'preferred-language': 'fr-FR' }],
    ['a preferred language without identification', { 'preferred-language': 'en-US' }],
    ['identification with a language model', { ...IDENTIFY, 'language-model-name': 'm' }],
    ['identification with redaction', { ...IDENTIFY, 'content-redaction-type': 'PII' }],
    ['identification with one vocabulary', { ...IDENTIFY, 'vocabulary-name': 'known' }],
    ['identification with one filter', { ...IDENTIFY, 'vocabulary-filter-name': 'f' }],
    ['several vocabularies without identification', { 'vocabulary-names': 'known' }],
    ['several filters without identification', { 'vocabulary-filter-names': 'f' }],
    ['channels without their number', { 'enable-channel-identification': 'true' }],
    ['a number of channels alone', { 'number-of-channels': '2' }],
    ['three channels', { 'enable-channel-identification': 'true', 'number-of-channels': '3' }],
    ['stability without stabilisation', { 'partial-results-stability': 'low' }],
    [
      'identification and redaction of personal data',
      { 'content-identification-type': 'PII', 'content-redaction-type': 'PII' },
    ],
    ['entity types alone', { 'pii-entity-types': 'NAME' }],
    ['an unknown entity type', { 'content-redaction-type': 'PII', 'pii-entity-types': 'HAT' }],
    ['a resume window out of range', { 'session-resume-window': '301' }],
    ['a vocabulary that the account has not', { 'vocabulary-name': 'unknown' }],
    ['a model that the account has not', { 'language-model-name': 'unknown' }],
    ['a filter that the account has not', { 'vocabulary-filter-name': 'unknown' }],
  ])('are refused: %s', (_name, given) => {
    expect(refusalOf(given)).not.toBe('none');
  });

  test('are echoed as they came, and headers that the API does not have are not', () => {
    const headers = headersOf({ 'made-up': '1', 'show-speaker-label': 'true' });
    const echoed = echoHeaders(headers, parseParameters(headers, {}));
    expect(echoed).toEqual(headersOf({ 'show-speaker-label': 'true' }));
  });
});
