import { describe, expect, it } from 'vitest';
import { CallGate } from '../../../../src/engines/local/call-gate.ts';
import type { StreamReport } from '../../../../src/engines/local/messages.ts';
import { StreamDecoder } from '../../../../src/engines/local/stream-decoder.ts';
import { VoskModel } from '../../../../src/engines/local/vosk.ts';

/** A libvosk whose recognisers are made when the test says so. */
class FakeLibrary {
  /** The native calls for a recogniser that were begun; each is ended by calling it. */
  readonly making: (() => void)[] = [];
  freed = 0;
  readonly model = new VoskModel(
    {
      newModel: native(),
      newRecogniser: native((_model, _rate, done: (error: null, recogniser: object | null) => void) => {
        this.making.push(() => done(null, this.fails ? null : {}));
      }),
      setWords: Object.assign(() => {}, native()),
      acceptWaveform: native(),
      result: native(),
      partialResult: native(),
      finalResult: native(),
      free: Object.assign(() => void this.freed++, native()),
    },
    {},
  );
  fails = false;
}

function native<Args extends unknown[]>(async: (...args: Args) => void = unexpected) {
  return Object.assign(() => unexpected(), { async });
}

function unexpected(): never {
  throw new Error('this test expects no such native call');
}

function open(library: FakeLibrary) {
  const reports: StreamReport['type'][] = [];
  const decoder = new StreamDecoder(library.model, 16_000, new CallGate(1), ({ type }) => reports.push(type));
  return { decoder, reports, opening: decoder.open() };
}

describe('StreamDecoder', () => {
  it('makes no recogniser for a stream that is aborted while it waits its turn', async () => {
    const library = new FakeLibrary();
    const [first, aborted, last] = [open(library), open(library), open(library)];
    aborted.decoder.abort();
    library.making[0]?.();
    await Promise.all([first.opening, aborted.opening]);
    expect(aborted.reports).toEqual(['dropped']);
    library.making[1]?.();
    await last.opening;
    expect([first.reports, last.reports]).toEqual([['opened'], ['opened']]);
    expect(library).toMatchObject({ making: { length: 2 }, freed: 0 });
  });

  it.each([
    { outcome: 'succeeds', fails: false, freed: 1 },
    { outcome: 'fails', fails: true, freed: 0 },
  ])('reports that a stream was dropped only when the native call that was under way $outcome', async (native) => {
    const library = new FakeLibrary();
    const { decoder, reports, opening } = open(library);
    decoder.abort();
    expect(reports).toEqual([]);
    library.fails = native.fails;
    library.making[0]?.();
    await opening;
    expect(reports).toEqual(['dropped']);
    await expect.poll(() => library.freed).toBe(native.freed);
  });

  it('reports that a recogniser could not be made', async () => {
    const library = new FakeLibrary();
    const { reports, opening } = open(library);
    library.fails = true;
    library.making[0]?.();
    await opening;
    expect(reports).toEqual(['failed']);
  });
});
