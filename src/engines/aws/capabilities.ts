import { LanguageCode } from '@aws-sdk/client-transcribe-streaming';
import { REQUEST_FEATURES } from '../../protocol/start-request.ts';
import type { EngineCapabilities } from '../engine.ts';

/** Hertz. The API takes any whole number from 8,000 to 48,000; these are the rates that microphones and files have. */
const SAMPLE_RATES = [8_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000];
/** Partials come sooner, but finals were seen up to 2 s after their words end (users' reports); the rest is margin. */
const SETTLE_MS = 3_000;
/** Source: the text of the exception with which the service ends such a stream. */
const MAX_SILENCE_MS = 15_000;
/** Source: the price list, which bills by the second and a minimum for each request. */
const BILLING = { minimumSeconds: 15 };

/** @param maxStreamMs longest life of a stream, in milliseconds */
export function awsCapabilities(maxStreamMs: number): EngineCapabilities {
  return {
    name: 'aws',
    languages: Object.values(LanguageCode),
    sampleRates: SAMPLE_RATES,
    features: REQUEST_FEATURES,
    settleMs: SETTLE_MS,
    realTime: true,
    maxStreamMs,
    maxSilenceMs: MAX_SILENCE_MS,
    billing: BILLING,
  };
}
