import { z } from 'zod';

/** The fields of `start_transcription` on the wire, each checked by itself; `start-combinations.ts` checks them together. */

/** The types of personal data that can be looked for. Source: the streaming API of Amazon Transcribe. */
const ENTITY_TYPES = [
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

/**
 * Of languages to choose from, and of names, of which there is one per language. Amazon Transcribe takes 200 characters
 * of language tags, which this stays within, and advises against more than five.
 */
const MAX_LISTED = 30;

/** The longest language tag that BCP 47 asks systems to support is 35 characters. */
const languageCode = z.string().min(1).max(35);

/** What a vocabulary, a filter or a language model may be called in an Amazon Transcribe account. */
const name = z.string().regex(/^[0-9a-zA-Z._-]{1,200}$/);

/** One name may stand without its array. */
const names = z.preprocess(
  (value) => (typeof value === 'string' ? [value] : value),
  z
    .array(name, 'expected a name or an array of names')
    .min(1, 'expected at least one name')
    .max(MAX_LISTED, `expected at most ${MAX_LISTED} names`),
);

/** A field that asks for nothing (`false`, `null`, empty) is as good as absent: clients may always send all of them. */
function asked<T extends z.ZodType>(schema: T) {
  return z.preprocess((value) => (isAsked(value) ? value : undefined), schema.optional());
}

function isAsked(value: unknown): boolean {
  if (Array.isArray(value)) return value.length > 0;
  return value !== undefined && value !== null && value !== false && value !== '';
}

/** Version 1 knows no other field. */
export const startFieldsV1 = z.object({ language_code: languageCode.optional() });

export const startFieldsV2 = z.object({
  language_code: languageCode.nullish(),
  identify_language: asked(z.literal([true, 'one', 'several'])),
  language_options: asked(z.array(languageCode).max(MAX_LISTED)),
  preferred_language: asked(languageCode),
  encoding: z.string().nullish(),
  sample_rate: z.number().int().min(8_000).max(48_000).nullish(),
  channels: z.literal([1, 2]).nullish(),
  speaker_labels: asked(z.boolean()),
  partial_stability: asked(z.enum(['low', 'medium', 'high'])),
  vocabulary: asked(names),
  vocabulary_filter: asked(z.object({ name: names, method: z.enum(['mask', 'remove', 'tag']).nullish() })),
  language_model: asked(name),
  content_identification: asked(z.literal([true, 'pii'])),
  redaction: asked(z.literal([true, 'pii'])),
  entity_types: asked(z.array(z.enum(ENTITY_TYPES)).max(ENTITY_TYPES.length)),
  transcript_format: asked(z.enum(['written', 'spoken'])),
  translate_to: asked(z.unknown()),
  trim_silence: asked(z.boolean()),
});

export type StartFields = z.output<typeof startFieldsV2>;
