import { GatewayError } from '../errors.ts';
import { featuresOf, type StartRequest } from '../protocol/start-request.ts';
import type { EngineCapabilities } from './engine.ts';

/**
 * Refuses what an engine cannot do, before anything is opened.
 * @throws GatewayError `bad_request`, `unsupported_language` or `unsupported_encoding`, naming what and what instead
 */
export function assertSupported(capabilities: EngineCapabilities, request: StartRequest): void {
  const { features, languages, name, sampleRates } = capabilities;
  for (const feature of featuresOf(request)) {
    if (!features.includes(feature)) {
      throw new GatewayError('bad_request', `start_transcription: the engine ${name} does not support ${feature}.`);
    }
  }
  const { identify, languageCode } = request;
  const unknown = identify?.options.findIndex((option) => !languages.includes(option)) ?? -1;
  if (unknown !== -1) throw unknownLanguage(capabilities, `language_options.${unknown}`);
  if (languageCode !== undefined && !languages.includes(languageCode)) {
    throw unknownLanguage(capabilities, 'language_code');
  }
  if (!sampleRates.includes(request.sampleRate)) {
    const message = `The engine ${name} does not take ${request.sampleRate} Hz; it takes ${sampleRates.join(', ')} Hz.`;
    throw new GatewayError('unsupported_encoding', message);
  }
}

function unknownLanguage({ languages, name }: EngineCapabilities, field: string): GatewayError {
  const message = `start_transcription: the engine ${name} does not know the language in ${field}; it knows ${languages.join(', ')}.`;
  return new GatewayError('unsupported_language', message);
}
