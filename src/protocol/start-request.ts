/** `start_transcription` after its check: what the rest of the gateway, engines included, is asked to do. */
export interface StartRequest {
  /** BCP 47 tag; undefined exactly when `identify` is given. */
  readonly languageCode: string | undefined;
  /** Let the engine find out which of these languages is spoken. */
  readonly identify?: LanguageIdentification | undefined;
  /** Hertz. */
  readonly sampleRate: number;
  /** Interleaved channels, each transcribed by itself. */
  readonly channels: 1 | 2;
  /** Label each word with the speaker that the engine tells apart. */
  readonly speakerLabels?: boolean | undefined;
  /** Hold words of partials back until they change this little; the earlier, the lower. */
  readonly partialStability?: 'low' | 'medium' | 'high' | undefined;
  /** Names of vocabularies that the engine's account holds; one, or one per language to identify. */
  readonly vocabularies?: readonly string[] | undefined;
  readonly vocabularyFilter?: VocabularyFilter | undefined;
  /** Name of a custom language model that the engine's account holds. */
  readonly languageModel?: string | undefined;
  readonly personalData?: PersonalData | undefined;
  /** Numbers and dates as written ("$50") or as spoken ("fifty dollars"). */
  readonly transcriptFormat?: 'written' | 'spoken' | undefined;
  /** Do not give the engine the middle of pauses, where it is paid by the second. */
  readonly trimSilence?: boolean | undefined;
}

interface LanguageIdentification {
  /** `one`: one language for the whole stream; `several`: it may change. */
  readonly languages: 'one' | 'several';
  /** BCP 47 tags, two or more. */
  readonly options: readonly string[];
  /** One of `options`; only with `one`. */
  readonly preferred?: string | undefined;
}

interface VocabularyFilter {
  readonly names: readonly string[];
  readonly method: 'mask' | 'remove' | 'tag';
}

export interface PersonalData {
  /** `identify`: results list what was found; `redact`: the words are replaced. */
  readonly action: 'identify' | 'redact';
  /** The engine's names of what to look for; empty for everything. */
  readonly entityTypes: readonly string[];
}

/**
 * What a request may ask for beyond a language, under the names of its fields. An engine lists those it has; a request
 * for another is refused by that name.
 */
export const REQUEST_FEATURES = [
  'identify_language',
  'channels',
  'speaker_labels',
  'partial_stability',
  'vocabulary',
  'vocabulary_filter',
  'language_model',
  'content_identification',
  'redaction',
  'transcript_format',
] as const;

export type RequestFeature = (typeof REQUEST_FEATURES)[number];

/** The languages that a request asks for. */
export function languagesOf({ identify, languageCode }: StartRequest): readonly string[] {
  return identify?.options ?? (languageCode === undefined ? [] : [languageCode]);
}

/** The features that a request asks for. */
export function featuresOf(request: StartRequest): RequestFeature[] {
  const asked: Record<RequestFeature, boolean> = {
    identify_language: request.identify !== undefined,
    channels: request.channels > 1,
    speaker_labels: request.speakerLabels === true,
    partial_stability: request.partialStability !== undefined,
    vocabulary: request.vocabularies !== undefined,
    vocabulary_filter: request.vocabularyFilter !== undefined,
    language_model: request.languageModel !== undefined,
    content_identification: request.personalData?.action === 'identify',
    redaction: request.personalData?.action === 'redact',
    transcript_format: request.transcriptFormat !== undefined,
  };
  return REQUEST_FEATURES.filter((feature) => asked[feature]);
}
