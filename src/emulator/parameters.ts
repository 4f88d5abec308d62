/**
 * The parameters of a stream: read from its headers, checked one by one and in combination as AWS does, and echoed.
 * Source of the rules: the API reference of StartStreamTranscription; messages follow the form of AWS.
 */
import type { IncomingHttpHeaders } from 'node:http2';
import { z } from 'zod';
import { LANGUAGE_CODES } from './languages.ts';
import { badRequest } from './refusal.ts';

export const HEADER_PREFIX = 'x-amzn-transcribe-';

const PII_TYPES = [
  'ADDRESS',
  'AGE',
  'ALL',
  'BANK_ACCOUNT_NUMBER',
  'BANK_ROUTING',
  'CREDIT_DEBIT_CVV',
  'CREDIT_DEBIT_EXPIRY',
  'CREDIT_DEBIT_NUMBER',
  'DATE_TIME',
  'EMAIL',
  'LICENSE_PLATE',
  'NAME',
  'PASSPORT_NUMBER',
  'PASSWORD',
  'PHONE',
  'PIN',
  'SSN',
  'USERNAME',
  'VEHICLE_IDENTIFICATION_NUMBER',
] as const;

const flag = z.enum(['true', 'false']).transform((text) => text === 'true');
const language = z
  .string()
  .refine((code) => LANGUAGE_CODES.has(code), 'Member must satisfy enum value set of LanguageCode');
const name = z.string().regex(/^[0-9a-zA-Z._-]{1,200}$/);
function whole(min: number, max: number) {
  return z
    .string()
    .regex(/^\d{1,6}$/)
    .transform(Number)
    .pipe(z.number().min(min).max(max));
}
/** A comma-separated list without empty members. */
function list<T extends z.ZodType<string, string>>(member: T, max: number) {
  return z
    .string()
    .max(3000)
    .transform((text) => text.split(',').map((part) => part.trim()))
    .pipe(z.array(member).min(1).max(max));
}

/** Keyed by the header without its prefix. */
const SCHEMA = z.object({
  'language-code': language.optional(),
  'sample-rate': whole(8000, 48_000),
  'media-encoding': z.enum(['pcm', 'ogg-opus', 'flac', 'g711-alaw', 'g711-ulaw', 'g729']),
  'session-id': z
    .string()
    .regex(/^[a-fA-F0-9]{8}(-[a-fA-F0-9]{4}){3}-[a-fA-F0-9]{12}$/)
    .optional(),
  'vocabulary-name': name.optional(),
  'vocabulary-names': list(name, 50).optional(),
  'vocabulary-filter-name': name.optional(),
  'vocabulary-filter-names': list(name, 50).optional(),
  'vocabulary-filter-method': z.enum(['remove', 'mask', 'tag']).optional(),
  'show-speaker-label': flag.optional(),
  'enable-channel-identification': flag.optional(),
  'number-of-channels': whole(2, 2).optional(),
  'enable-partial-results-stabilization': flag.optional(),
  'partial-results-stability': z.enum(['high', 'medium', 'low']).optional(),
  'content-identification-type': z.enum(['PII']).optional(),
  'content-redaction-type': z.enum(['PII']).optional(),
  'pii-entity-types': list(z.enum(PII_TYPES), PII_TYPES.length).optional(),
  'language-model-name': name.optional(),
  'identify-language': flag.optional(),
  'identify-multiple-languages': flag.optional(),
  'language-options': list(language, 50).optional(),
  'preferred-language': language.optional(),
  'session-resume-window': whole(1, 300).optional(),
  'transcript-format': z.enum(['spoken', 'written']).optional(),
});

export type StreamParameters = z.output<typeof SCHEMA>;
export type MediaEncoding = StreamParameters['media-encoding'];

/** The names that an account has defined. What is undefined is not checked: every name is then taken. */
export interface AccountResources {
  readonly vocabularies?: readonly string[];
  readonly languageModels?: readonly string[];
  /** Filter name to its words. */
  readonly vocabularyFilters?: Readonly<Record<string, readonly string[]>>;
}

function checkLanguages(p: StreamParameters): void {
  const ways = [p['language-code'] !== undefined, p['identify-language'], p['identify-multiple-languages']];
  if (ways.filter(Boolean).length !== 1) {
    throw badRequest('Exactly one of LanguageCode, IdentifyLanguage and IdentifyMultipleLanguages must be specified.');
  }
  const options = p['language-options'];
  const preferred = p['preferred-language'];
  if (p['language-code'] !== undefined) {
    if (options !== undefined) throw badRequest('LanguageOptions can only be used with language identification.');
  } else {
    if (options === undefined || options.length < 2) {
      throw badRequest('Language identification needs LanguageOptions with two or more language codes.');
    }
    const bases = new Set(options.map((code) => code.split('-', 1)[0]));
    if (bases.size !== options.length) throw badRequest('LanguageOptions can include only one dialect per language.');
    if (p['language-model-name'] !== undefined) {
      throw badRequest('Language identification cannot be combined with a custom language model.');
    }
    if (p['content-redaction-type'] !== undefined) {
      throw badRequest('Language identification cannot be combined with content redaction.');
    }
  }
  if (preferred !== undefined && !(p['identify-language'] && options?.includes(preferred))) {
    throw badRequest('PreferredLanguage needs IdentifyLanguage and must be one of LanguageOptions.');
  }
}

function checkNames(p: StreamParameters): void {
  const identifies = p['language-code'] === undefined;
  const [refused, wanted] = identifies ? (['', 's'] as const) : (['s', ''] as const);
  if (p[`vocabulary-name${refused}`] !== undefined) {
    throw badRequest(`VocabularyName${refused} cannot be used here; use VocabularyName${wanted}.`);
  }
  if (p[`vocabulary-filter-name${refused}`] !== undefined) {
    throw badRequest(`VocabularyFilterName${refused} cannot be used here; use VocabularyFilterName${wanted}.`);
  }
}

function checkFeatures(p: StreamParameters): void {
  if (Boolean(p['enable-channel-identification']) !== (p['number-of-channels'] !== undefined)) {
    throw badRequest('EnableChannelIdentification and NumberOfChannels must be used together.');
  }
  if (p['partial-results-stability'] !== undefined && !p['enable-partial-results-stabilization']) {
    throw badRequest('PartialResultsStability needs EnablePartialResultsStabilization.');
  }
  const identifies = p['content-identification-type'] !== undefined;
  const redacts = p['content-redaction-type'] !== undefined;
  if (identifies && redacts) {
    throw badRequest('ContentIdentificationType and ContentRedactionType cannot be used in the same request.');
  }
  if (p['pii-entity-types'] !== undefined && !identifies && !redacts) {
    throw badRequest('PiiEntityTypes needs ContentIdentificationType or ContentRedactionType.');
  }
}

function checkResources(p: StreamParameters, account: AccountResources): void {
  const filters = account.vocabularyFilters && Object.keys(account.vocabularyFilters);
  const asked: readonly (readonly [string, readonly (string | undefined)[], readonly string[] | undefined])[] = [
    ['vocabulary', [p['vocabulary-name'], ...(p['vocabulary-names'] ?? [])], account.vocabularies],
    ['vocabulary filter', filterNames(p), filters],
    ['language model', [p['language-model-name']], account.languageModels],
  ];
  for (const [kind, names, known] of asked) {
    const unknown = names.find((entry) => entry !== undefined && known !== undefined && !known.includes(entry));
    if (unknown !== undefined) throw badRequest(`The requested ${kind} couldn't be found. Check the ${kind} name.`);
  }
}

/** The vocabulary filters that a stream asks for. */
export function filterNames(parameters: StreamParameters): readonly string[] {
  const single = parameters['vocabulary-filter-name'];
  return single === undefined ? (parameters['vocabulary-filter-names'] ?? []) : [single];
}

/** Number of channels that are recognised apart. */
export function channelCount(parameters: StreamParameters): number {
  return parameters['number-of-channels'] ?? 1;
}

/**
 * @throws Refusal `BadRequestException`
 */
export function parseParameters(headers: IncomingHttpHeaders, account: AccountResources): StreamParameters {
  const given: Record<string, string> = {};
  for (const [key, value] of Object.entries(headers)) {
    if (key.startsWith(HEADER_PREFIX) && typeof value === 'string') given[key.slice(HEADER_PREFIX.length)] = value;
  }
  const parsed = SCHEMA.safeParse(given);
  if (!parsed.success) {
    const issues = parsed.error.issues.map((issue) => `Value at '${issue.path.join('.')}': ${issue.message}`);
    throw badRequest(`${issues.length} validation error(s) detected: ${issues.join('; ')}`);
  }
  checkLanguages(parsed.data);
  checkNames(parsed.data);
  checkFeatures(parsed.data);
  checkResources(parsed.data, account);
  return parsed.data;
}

/** The parameters as response headers, as they came; parameters that the API does not have are left out. */
export function echoHeaders(headers: IncomingHttpHeaders, parameters: StreamParameters): Record<string, string> {
  const echoed: Record<string, string> = {};
  for (const key of Object.keys(parameters)) {
    const value = headers[HEADER_PREFIX + key];
    if (typeof value === 'string') echoed[HEADER_PREFIX + key] = value;
  }
  return echoed;
}
