import { expect, test } from 'vitest';
import { seededRandom } from '../../../src/emulator/random.ts';
import { createRecogniser } from '../../../src/emulator/recognisers/index.ts';
import type { Heard } from '../../../src/emulator/recognisers/recogniser.ts';

const latency = { partialMs: 0, finalMs: { min: 0, max: 0 } };
const SCRIPT = [
  { startMs: 0, endMs: 300, text: 'one two, three' },
  { startMs: 500, endMs: 700, text: 'four five' },
];

/** Feeds audio by milliseconds and returns what was said: `~` marks a partial. */
function say(options: { script?: typeof SCRIPT; repeatMs?: number }, steps: readonly number[], end = true): string[] {
  const said: string[] = [];
  const stream = createRecogniser({ kind: 'scripted', latency, ...options }, seededRandom(1)).open(
    { sampleRate: 8000, languageCode: 'en-US' },
    {
      heard: ({ words, isPartial, startSample, endSample }: Heard) =>
        said.push(`${isPartial ? '~' : ''}${words.map((word) => word.content).join(' ')} ${startSample}-${endSample}`),
      done: () => said.push('done'),
      failed: () => said.push('failed'),
    },
  );
  for (const ms of steps) void stream.write(Buffer.alloc(0), ms * 8);
  if (end) stream.end();
  return said;
}

test('a script is said as its audio passes, by samples', () => {
  expect(say({ script: SCRIPT }, [100, 50, 100, 150, 400])).toEqual([
    '~one 0-800',
    '~one two , 0-1600',
    'one two , three 0-2400',
    'four five 4000-5600',
    'done',
  ]);
});

test('what was begun when the audio ends is final', () => {
  expect(say({ script: SCRIPT }, [650]).slice(-2)).toEqual(['four 4000-4800', 'done']);
});

test('a script goes round when it is told to, also the one that is there by default', () => {
  expect(say({ script: SCRIPT, repeatMs: 1000 }, [1700], false)).toEqual([
    'one two , three 0-2400',
    'four five 4000-5600',
    'one two , three 8000-10400',
    'four five 12000-13600',
  ]);
  const finals = say({}, [20_000]).filter((line) => !line.startsWith('~') && line !== 'done');
  expect(finals).toHaveLength(6);
});
