import { readFileSync } from 'node:fs';
import { pino } from 'pino';
import { afterAll, beforeAll, expect, vi } from 'vitest';
import { type Emulator, startEmulator } from '../../src/emulator/emulator.ts';
import { AwsEngine } from '../../src/engines/aws/aws-engine.ts';
import { describeEngineContract } from './engine-contract.ts';

/** The scripted recogniser goes by position alone, so the audio may be any; the rate is the engine's first. */
const audio = readFileSync(new URL('../fixtures/goforward.raw', import.meta.url)).subarray(0, 48_000);
const script = [
  { startMs: 100, endMs: 1200, text: 'go forward' },
  { startMs: 1500, endMs: 2900, text: 'ten meters' },
];

let emulator: Emulator;
beforeAll(async () => {
  vi.stubEnv('AWS_ACCESS_KEY_ID', 'test');
  vi.stubEnv('AWS_SECRET_ACCESS_KEY', 'test');
  emulator = await startEmulator({
    recogniser: { kind: 'scripted', script, repeatMs: 0, latency: { partialMs: 0, finalMs: { min: 0, max: 0 } } },
    limits: { startsPerSecond: 1000 },
  });
});
afterAll(async () => {
  vi.unstubAllEnvs();
  await emulator.close();
});

for (const framePath of ['fast', 'stock'] as const) {
  const makeEngine = async () =>
    new AwsEngine({
      pool: [{ name: 'emulator', region: 'us-east-1', endpoint: emulator.url, priority: 1, weight: 1 }],
      maxStreamMs: 4 * 3_600_000,
      framePath,
      log: pino({ level: 'silent' }),
    });
  describeEngineContract(`aws on the emulator, ${framePath} frames`, makeEngine, {
    audio,
    expect: (text) => expect(text).toBe('go forward ten meters'),
  });
}
