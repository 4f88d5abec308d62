import { readFileSync } from 'node:fs';
import { expect } from 'vitest';
import { ScriptedEngine } from '../../src/engines/scripted/scripted-engine.ts';
import { describeEngineContract } from './engine-contract.ts';

const audio = readFileSync(new URL('../fixtures/goforward.raw', import.meta.url));

describeEngineContract(
  'scripted engine',
  async () =>
    new ScriptedEngine({
      script: () => ({
        steps: [
          { do: 'partial', atSample: 8000, text: 'go' },
          { do: 'partial', atSample: 16_000, text: 'go forward' },
          { do: 'final', atSample: 24_000, text: 'go forward' },
          { do: 'partial', atSample: 30_000, text: 'ten' },
          { do: 'final', atSample: audio.length / 2, text: 'ten meters' },
        ],
      }),
    }),
  { audio, expect: (text) => expect(text).toBe('go forward ten meters') },
);
