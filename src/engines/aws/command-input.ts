import type { LanguageCode, StartStreamTranscriptionCommandInput } from '@aws-sdk/client-transcribe-streaming';
import type { StartRequest } from '../../protocol/start-request.ts';

export type TranscriptionParameters = Omit<StartStreamTranscriptionCommandInput, 'AudioStream'>;

/**
 * The request in the parameters of `StartStreamTranscription`. Pure: what cannot go together was refused before.
 * @param sessionId UUID that no other stream has: an id in use ends the older stream with a conflict
 */
export function toCommandInput(request: StartRequest, sessionId: string): TranscriptionParameters {
  return {
    MediaEncoding: 'pcm',
    MediaSampleRateHertz: request.sampleRate,
    SessionId: sessionId,
    ...language(request),
    ...names(request),
    ...personalData(request),
    ...(request.channels > 1 && { EnableChannelIdentification: true, NumberOfChannels: request.channels }),
    ...(request.speakerLabels === true && { ShowSpeakerLabel: true }),
    ...(request.partialStability !== undefined && {
      EnablePartialResultsStabilization: true,
      PartialResultsStability: request.partialStability,
    }),
    ...(request.languageModel !== undefined && { LanguageModelName: request.languageModel }),
    ...(request.transcriptFormat !== undefined && { TranscriptFormat: request.transcriptFormat }),
  };
}

/** Codes are strings here and an enumeration there; `assertSupported` has compared them. */
function language({ identify, languageCode }: StartRequest): Partial<TranscriptionParameters> {
  if (identify === undefined) return { LanguageCode: languageCode as LanguageCode };
  return {
    ...(identify.languages === 'one' ? { IdentifyLanguage: true } : { IdentifyMultipleLanguages: true }),
    LanguageOptions: identify.options.join(','),
    ...(identify.preferred !== undefined && { PreferredLanguage: identify.preferred as LanguageCode }),
  };
}

/** The API has one parameter for a single name, and another for several where languages are identified. */
function names({ identify, vocabularies, vocabularyFilter: filter }: StartRequest): Partial<TranscriptionParameters> {
  return {
    ...(vocabularies !== undefined &&
      (identify === undefined ? { VocabularyName: vocabularies[0] } : { VocabularyNames: vocabularies.join(',') })),
    ...(filter !== undefined && {
      ...(identify === undefined
        ? { VocabularyFilterName: filter.names[0] }
        : { VocabularyFilterNames: filter.names.join(',') }),
      VocabularyFilterMethod: filter.method,
    }),
  };
}

function personalData({ personalData: asked }: StartRequest): Partial<TranscriptionParameters> {
  if (asked === undefined) return {};
  return {
    ...(asked.action === 'identify' ? { ContentIdentificationType: 'PII' } : { ContentRedactionType: 'PII' }),
    ...(asked.entityTypes.length > 0 && { PiiEntityTypes: asked.entityTypes.join(',') }),
  };
}
