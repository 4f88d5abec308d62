import type { StartFields } from './start-fields.ts';

/**
 * What the fields of `start_transcription` may not ask for together. Source of the rules: the streaming API of Amazon
 * Transcribe, which would refuse such a stream only after it was opened and paid for with a place in its quota.
 */
interface Rule {
  readonly isBroken: (fields: StartFields) => boolean;
  readonly fault: string;
}

const RULES: readonly Rule[] = [
  {
    isBroken: (fields) => identifies(fields) && isGiven(fields.language_code),
    fault: 'language_code cannot be combined with identify_language',
  },
  {
    isBroken: (fields) => identifies(fields) && (fields.language_options ?? []).length < 2,
    fault: 'identify_language needs language_options with at least two languages',
  },
  {
    isBroken: (fields) => !identifies(fields) && isGiven(fields.language_options),
    fault: 'language_options needs identify_language',
  },
  {
    isBroken: (fields) => hasTwice((fields.language_options ?? []).map(baseLanguage)),
    fault: 'language_options has one language twice; of its dialects only one can be an option',
  },
  {
    isBroken: (fields) => !identifies(fields) && isGiven(fields.preferred_language),
    fault: 'preferred_language needs identify_language',
  },
  {
    isBroken: (fields) => fields.identify_language === 'several' && isGiven(fields.preferred_language),
    fault: 'preferred_language cannot be combined with the identification of several languages',
  },
  {
    isBroken: ({ language_options: options, preferred_language: preferred }) =>
      options !== undefined && preferred !== undefined && !options.includes(preferred),
    fault: 'preferred_language is not one of language_options',
  },
  {
    isBroken: (fields) => identifies(fields) && isGiven(fields.language_model),
    fault: 'language_model cannot be combined with identify_language',
  },
  {
    isBroken: (fields) => identifies(fields) && isGiven(fields.redaction),
    fault: 'redaction cannot be combined with identify_language',
  },
  {
    isBroken: (fields) => isGiven(fields.content_identification) && isGiven(fields.redaction),
    fault: 'content_identification cannot be combined with redaction',
  },
  {
    isBroken: (fields) =>
      isGiven(fields.entity_types) && !isGiven(fields.content_identification) && !isGiven(fields.redaction),
    fault: 'entity_types needs content_identification or redaction',
  },
  {
    isBroken: (fields) => !identifies(fields) && (fields.vocabulary ?? []).length > 1,
    fault: 'vocabulary can have several names only with identify_language',
  },
  {
    isBroken: (fields) => !identifies(fields) && (fields.vocabulary_filter?.name ?? []).length > 1,
    fault: 'vocabulary_filter can have several names only with identify_language',
  },
];

/** The fault of each rule that the fields break, by the names of the fields. */
export function illegalCombinations(fields: StartFields): string[] {
  return RULES.filter((rule) => rule.isBroken(fields)).map((rule) => rule.fault);
}

function identifies(fields: StartFields): boolean {
  return fields.identify_language !== undefined;
}

function isGiven(value: unknown): boolean {
  return value !== undefined && value !== null;
}

/** `en` of `en-GB`: what dialects have in common. */
function baseLanguage(tag: string): string {
  return tag.split('-', 1).join('').toLowerCase();
}

function hasTwice(values: readonly string[]): boolean {
  return new Set(values).size < values.length;
}
