import { readFileSync } from 'node:fs';
import { pino } from 'pino';
import { expect } from 'vitest';
import { LocalEngine } from '../../src/engines/local/local-engine.ts';
import { describeEngineContract } from './engine-contract.ts';

const utterance = readFileSync(new URL('../fixtures/goforward.raw', import.meta.url));

describeEngineContract('local', () => LocalEngine.start({ languageCode: 'en-US', log: pino({ level: 'silent' }) }), {
  // A second of silence between the two ends the first, so that the audio holds two utterances.
  audio: Buffer.concat([utterance, Buffer.alloc(32_000), utterance]),
  expect: (text) => expect(text).toBe('go forward ten meters go forward ten meters'),
});
