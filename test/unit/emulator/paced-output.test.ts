import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { seededRandom } from '../../../src/emulator/random.ts';
import { PacedOutput } from '../../../src/emulator/recognisers/paced-output.ts';
import type { Heard } from '../../../src/emulator/recognisers/recogniser.ts';

function heard(resultId: string, isPartial: boolean, endSample: number): Heard {
  return { resultId, isPartial, startSample: 0, endSample, words: [] };
}

let said: string[];
const sink = {
  heard: (result: Heard) => said.push(`${result.resultId}${result.isPartial ? '~' : ''}${result.endSample}`),
  done: () => said.push('done'),
  failed: () => said.push('failed'),
};
const start = (partialMs = 300, finalMs = 2000) =>
  new PacedOutput(sink, { partialMs, finalMs: { min: finalMs, max: finalMs } }, seededRandom(1));

beforeEach(() => {
  said = [];
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
});
afterEach(() => vi.useRealTimers());

test('partials come soon, finals late, and nothing overtakes', () => {
  const output = start();
  output.say(heard('a', true, 1));
  vi.advanceTimersByTime(299);
  expect(said).toEqual([]);
  vi.advanceTimersByTime(1);
  expect(said).toEqual(['a~1']);
  output.say(heard('a', false, 2));
  output.say(heard('b', true, 3));
  output.say(heard('b', true, 4));
  output.end();
  vi.advanceTimersByTime(1999);
  expect(said).toEqual(['a~1']);
  vi.advanceTimersByTime(1);
  // Of the partials that were held back only the newest is worth sending.
  expect(said).toEqual(['a~1', 'a2', 'b~4', 'done']);
});

test('a final takes the place of its own held partial, never of another utterance', () => {
  const output = start(0, 0);
  output.say(heard('a', true, 1));
  output.say(heard('a', false, 2));
  output.end();
  expect(said).toEqual(['a~1', 'a2', 'done']);
});

test('finals are spread over their range by the seed', () => {
  const times: number[] = [];
  const timed = { ...sink, heard: () => times.push(performance.now()) };
  const begun = performance.now();
  for (let seed = 1; seed <= 50; seed += 1) {
    const output = new PacedOutput(timed, { partialMs: 0, finalMs: { min: 300, max: 2000 } }, seededRandom(seed));
    output.say(heard('a', false, 1));
  }
  vi.advanceTimersByTime(2000);
  expect(times).toHaveLength(50);
  expect(Math.min(...times) - begun).toBeLessThan(600);
  expect(Math.min(...times) - begun).toBeGreaterThanOrEqual(300);
  expect(Math.max(...times) - begun).toBeGreaterThan(1700);
});

test('too many held results fail, once, and nothing is said afterwards', () => {
  const output = start();
  for (let index = 0; index < 25_000; index += 1) output.say(heard(`r${index}`, false, 1));
  vi.advanceTimersByTime(10_000);
  expect(said).toEqual(['failed']);
});

test('nothing is said after abort', () => {
  const output = start();
  output.say(heard('a', false, 1));
  output.abort();
  output.end();
  vi.advanceTimersByTime(10_000);
  expect(said).toEqual([]);
});
