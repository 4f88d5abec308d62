import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect } from 'vitest';
import { connectEngine } from '../../src/engines/hosted/connect-engine.ts';
import { makePrivatePath, type PrivatePath } from '../../src/engines/hosted/private-path.ts';
import { type EngineHost, serveEngine } from '../../src/engines/hosted/serve-engine.ts';
import { ScriptedEngine } from '../../src/engines/scripted/scripted-engine.ts';
import { describeEngineContract } from './engine-contract.ts';

const audio = readFileSync(new URL('../fixtures/goforward.raw', import.meta.url));

const engine = new ScriptedEngine({
  script: () => ({
    steps: [
      { do: 'partial', atSample: 8000, text: 'go' },
      { do: 'final', atSample: 24_000, text: 'go forward' },
      { do: 'partial', atSample: 30_000, text: 'ten' },
      { do: 'final', atSample: audio.length / 2, text: 'ten meters' },
    ],
  }),
});
let place: PrivatePath;
let host: EngineHost;
beforeAll(async () => {
  place = await makePrivatePath();
  host = await serveEngine(engine, place.path);
});
afterAll(async () => {
  await host.close();
  await place.remove();
  await engine.close();
});

describeEngineContract('scripted engine, hosted', () => connectEngine(place.path), {
  audio,
  expect: (text) => expect(text).toBe('go forward ten meters'),
});
