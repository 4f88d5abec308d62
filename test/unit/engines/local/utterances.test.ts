import { describe, expect, it } from 'vitest';
import { Utterances } from '../../../../src/engines/local/utterances.ts';
import type { VoskUtterance } from '../../../../src/engines/local/vosk.ts';

const SECOND = 16_000;

function said(...words: [word: string, start: number, end: number][]): VoskUtterance {
  return {
    text: words.map(([word]) => word).join(' '),
    result: words.map(([word, start, end]) => ({ word, start, end, conf: 0.5 })),
  };
}

describe('Utterances', () => {
  it('shows a partial only when its text is new', () => {
    const utterances = new Utterances(SECOND);
    expect(utterances.partial('', SECOND)).toBeUndefined();
    expect(utterances.partial('one', SECOND)).toMatchObject({ isPartial: true, startSample: 0, endSample: SECOND });
    expect(utterances.partial('one', 2 * SECOND)).toBeUndefined();
    expect(utterances.partial('one two', 3 * SECOND)).toMatchObject({ text: 'one two', endSample: 3 * SECOND });
  });

  it('gives the final the id of its partials, and the next utterance another', () => {
    const utterances = new Utterances(SECOND);
    const partial = utterances.partial('one', SECOND);
    const final = utterances.final(said(['one', 0.2, 0.5]), 2 * SECOND, false);
    const next = utterances.partial('one', 3 * SECOND);
    expect(final?.resultId).toBe(partial?.resultId);
    expect(next?.resultId).not.toBe(final?.resultId);
    expect(next?.startSample).toBe(final?.endSample);
  });

  it('pads the end of a final by 150 ms of silence', () => {
    const final = new Utterances(SECOND).final(said(['one', 0.25, 0.5]), 2 * SECOND, false);
    expect(final).toMatchObject({ startSample: 4_000, endSample: 8_000 + 2_400, confidence: 0.5 });
    expect(final?.items).toEqual([
      { startSample: 4_000, endSample: 8_000, content: 'one', type: 'word', confidence: 0.5 },
    ]);
  });

  it('does not pad into speech that may follow at once', () => {
    expect(new Utterances(SECOND).final(said(['one', 1, 19.8]), 20 * SECOND, false)?.endSample).toBe(19.8 * SECOND);
  });

  it('keeps the end of the last final within the audio', () => {
    const utterances = new Utterances(SECOND);
    expect(utterances.final(said(['one', 0.2, 0.95]), SECOND, true)?.endSample).toBe(SECOND);
    expect(new Utterances(SECOND).final(said(['one', 0.2, 1.3]), SECOND, true)?.endSample).toBe(SECOND);
  });

  it('never lets finals overlap or run backwards', () => {
    const utterances = new Utterances(SECOND);
    const first = utterances.final(said(['one', 1, 2]), 3 * SECOND, false);
    const second = utterances.final(said(['two', 1.5, 2.1], ['three', 2.2, 2.5]), 4 * SECOND, false);
    expect(second?.startSample).toBe(first?.endSample);
    for (const { startSample, endSample } of second?.items ?? []) {
      expect(startSample).toBeGreaterThanOrEqual(first?.endSample ?? 0);
      expect(endSample).toBeGreaterThanOrEqual(startSample);
    }
  });

  it('gives an empty final for silence, short of the last half second unless the audio ended', () => {
    const utterances = new Utterances(SECOND);
    expect(utterances.final({ text: '' }, 5 * SECOND, false)).toMatchObject({
      isPartial: false,
      text: '',
      startSample: 0,
      endSample: 4.5 * SECOND,
    });
    expect(utterances.final({ text: '' }, 6 * SECOND, true)).toMatchObject({
      startSample: 4.5 * SECOND,
      endSample: 6 * SECOND,
    });
  });

  it('leaves out an empty final that frees nothing, unless it takes a partial back', () => {
    const utterances = new Utterances(SECOND);
    expect(utterances.final({ text: '' }, 0.3 * SECOND, false)).toBeUndefined();
    const partial = utterances.partial('one', 0.4 * SECOND);
    expect(utterances.final({ text: '' }, 0.4 * SECOND, false)).toMatchObject({
      resultId: partial?.resultId,
      text: '',
      isPartial: false,
    });
  });
});
