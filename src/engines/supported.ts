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
  for (const language of [request.languageCode ?? [], request.identify?.options ?? []].flat()) {
    if (!languages.includes(language)) {
      const message = `The engine ${name} does not know ${language}; it knows ${languages.join(', ')}.`;
      throw new GatewayError('unsupported_language', message);
    }
  }
  if (!sampleRates.includes(request.sampleRate)) {
    const message = `The engine ${name} does not take ${request.sampleRate} Hz; it takes ${sampleRates.join(', ')} Hz.`;
    throw new GatewayError('unsupported_encoding', message);
  }
}
