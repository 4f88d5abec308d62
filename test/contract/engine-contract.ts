import { setImmediate } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Engine, EngineResult, EngineStream } from '../../src/engines/engine.ts';
import { GatewayError } from '../../src/errors.ts';
import { BYTES_PER_SAMPLE } from '../../src/protocol/audio.ts';

/** What the suite says to the engine, and what it should hear. */
export interface ContractSpeech {
  /** PCM at the engine's first sample rate: two to ten seconds in which at least one utterance is spoken. */
  readonly audio: Buffer;
  /** Asserts on the texts of all finals of `audio`, joined by spaces. */
  expect(text: string): void;
}

/** Far longer than any engine takes for the speech, and shorter than the runner's own limit, to name what hung. */
const TEST_TIMEOUT_MS = 30_000;

/** The engine contract (`src/engines/engine.ts`) as a suite: every engine passes it. */
export function describeEngineContract(name: string, makeEngine: () => Promise<Engine>, speech: ContractSpeech): void {
  describe(`engine contract: ${name}`, { timeout: TEST_TIMEOUT_MS }, () => {
    let engine: Engine;
    beforeAll(async () => {
      engine = await makeEngine();
    });
    afterAll(async () => {
      await engine.close();
    });

    const second = () => sampleRate(engine) * BYTES_PER_SAMPLE;

    it('says what it can do', () => {
      const { capabilities } = engine;
      expect(capabilities.name).not.toBe('');
      expect(capabilities.languages.length).toBeGreaterThan(0);
      expect(capabilities.sampleRates.length).toBeGreaterThan(0);
      expect(capabilities.settleMs).toBeGreaterThanOrEqual(0);
    });

    it('gives partials and then the final of an utterance, under one id', async () => {
      const results = await transcribe(engine, speech.audio, second() / 10);
      const final = results.find((result) => !result.isPartial && result.text !== '');
      const ofUtterance = results.filter(({ resultId }) => resultId === final?.resultId);
      expect(ofUtterance.length).toBeGreaterThan(1);
      expect(ofUtterance.map(({ isPartial }) => isPartial)).toEqual([...ofUtterance.slice(1).map(() => true), false]);
      speech.expect(finalText(results));
    });

    it('gives each utterance an id of its own', async () => {
      const results = await transcribe(engine, speech.audio, second() / 10);
      const ids = results.filter(({ isPartial }) => !isPartial).map(({ resultId }) => resultId);
      expect(new Set(ids).size).toBe(ids.length);
    });

    it('gives finals in order, without overlap and within the audio', async () => {
      const results = await transcribe(engine, speech.audio, second() / 10);
      expectInOrder(results, speech.audio.length / BYTES_PER_SAMPLE);
    });

    it('takes chunks of one second', async () => {
      const results = await transcribe(engine, speech.audio, second());
      expectInOrder(results, speech.audio.length / BYTES_PER_SAMPLE);
      speech.expect(finalText(results));
    });

    it('takes chunks of one sample', async () => {
      const stream = await open(engine);
      const reading = collect(stream);
      const single = Math.min(speech.audio.length, 2_000 * BYTES_PER_SAMPLE);
      await writeAll(stream, speech.audio.subarray(0, single), BYTES_PER_SAMPLE);
      await writeAll(stream, speech.audio.subarray(single), second() / 10);
      stream.end();
      const results = await reading;
      expectInOrder(results, speech.audio.length / BYTES_PER_SAMPLE);
      speech.expect(finalText(results));
    });

    it('takes chunks of odd sizes', async () => {
      const results = await transcribe(engine, speech.audio, 1_237 * BYTES_PER_SAMPLE);
      expectInOrder(results, speech.audio.length / BYTES_PER_SAMPLE);
      speech.expect(finalText(results));
    });

    it('keeps the results for a reader that comes late', async () => {
      const stream = await open(engine);
      await writeAll(stream, speech.audio, second() / 10);
      stream.end();
      speech.expect(finalText(await collect(stream)));
    });

    it('finds nothing spoken when it gets no audio', async () => {
      const stream = await open(engine);
      stream.end();
      expect(finalText(await collect(stream))).toBe('');
    });

    it('ends once when ended twice', async () => {
      const stream = await open(engine);
      const reading = collect(stream);
      await writeAll(stream, speech.audio, second() / 10);
      stream.end();
      stream.end();
      speech.expect(finalText(await reading));
      stream.end();
    });

    it('ends the results on abort, and takes a second abort and a write', async () => {
      const stream = await open(engine);
      const results: EngineResult[] = [];
      const reading = collect(stream, results);
      await writeAll(stream, speech.audio, second() / 10);
      // Lets the reader take what is there already, so that what it takes later came after the abort.
      await setImmediate();
      const before = results.length;
      stream.abort();
      await reading;
      expect(results.length).toBe(before);
      stream.abort();
      stream.end();
      await stream.write(Buffer.alloc(second() / 10));
      expect(await collect(stream)).toEqual([]);
    });

    it('gives no result after an abort that follows the end', async () => {
      const stream = await open(engine);
      await writeAll(stream, speech.audio, second() / 10);
      stream.end();
      stream.abort();
      expect(await collect(stream)).toEqual([]);
    });

    it('lets a writer go that waits when the stream is aborted', async () => {
      const stream = await open(engine);
      const writes = Array.from({ length: 5 }, () => stream.write(Buffer.alloc(second())));
      stream.abort();
      await Promise.all(writes);
    });

    it('keeps two streams apart', async () => {
      const [one, other] = await Promise.all([
        transcribe(engine, speech.audio, second() / 10),
        transcribe(engine, speech.audio, second() / 4),
      ]);
      for (const results of [one, other]) {
        expectInOrder(results, speech.audio.length / BYTES_PER_SAMPLE);
        speech.expect(finalText(results));
      }
      const ids = new Set(one.map(({ resultId }) => resultId));
      expect(other.filter(({ resultId }) => ids.has(resultId))).toEqual([]);
    });

    it('opens a stream that continues a session', async () => {
      const stream = await open(engine, { continuation: true });
      stream.end();
      await collect(stream);
    });

    it('refuses a language that it does not know', async () => {
      await expect(open(engine, { languageCode: 'tlh-Piqd' })).rejects.toSatisfy(hasCode('unsupported_language'));
    });

    it('does not open with a signal that is aborted', async () => {
      await expect(open(engine, {}, AbortSignal.abort())).rejects.toThrow();
    });

    it('ends open streams when it is closed, and can be closed twice', async () => {
      const own = await makeEngine();
      const stream = await open(own);
      const reading = collect(stream);
      await stream.write(speech.audio.subarray(0, second() / 10));
      await own.close();
      // Ended or broken, but settled: which of the two is the engine's choice.
      await reading.catch((error: unknown) => expect(error).toBeInstanceOf(GatewayError));
      await own.close();
      await expect(open(own)).rejects.toBeInstanceOf(GatewayError);
    });
  });
}

function sampleRate(engine: Engine): number {
  const [rate] = engine.capabilities.sampleRates;
  if (rate === undefined) throw new Error('the engine has no sample rate');
  return rate;
}

function open(
  engine: Engine,
  options: { languageCode?: string; continuation?: boolean } = {},
  signal: AbortSignal = new AbortController().signal,
): Promise<EngineStream> {
  const languageCode = options.languageCode ?? engine.capabilities.languages[0] ?? '';
  return engine.open(
    { languageCode, sampleRate: sampleRate(engine), channels: 1, continuation: options.continuation ?? false },
    signal,
  );
}

async function transcribe(engine: Engine, audio: Buffer, chunkBytes: number): Promise<EngineResult[]> {
  const stream = await open(engine);
  const reading = collect(stream);
  await writeAll(stream, audio, chunkBytes);
  stream.end();
  return reading;
}

/** Writes copies, because the engine owns what it is given. */
async function writeAll(stream: EngineStream, audio: Buffer, chunkBytes: number): Promise<void> {
  const bytes = chunkBytes - (chunkBytes % BYTES_PER_SAMPLE);
  for (let at = 0; at < audio.length; at += bytes) await stream.write(Buffer.from(audio.subarray(at, at + bytes)));
}

async function collect(stream: EngineStream, results: EngineResult[] = []): Promise<EngineResult[]> {
  for await (const result of stream.results) results.push(result);
  return results;
}

function finalText(results: readonly EngineResult[]): string {
  const texts = results.filter(({ isPartial, text }) => !isPartial && text !== '').map(({ text }) => text);
  return texts.join(' ');
}

function expectInOrder(results: readonly EngineResult[], samples: number): void {
  let previousEnd = 0;
  const finalised = new Set<string>();
  for (const { resultId, isPartial, startSample, endSample, items } of results) {
    expect(finalised).not.toContain(resultId);
    expect(endSample).toBeGreaterThanOrEqual(startSample);
    expect(endSample).toBeLessThanOrEqual(samples);
    if (isPartial) continue;
    finalised.add(resultId);
    expect(startSample).toBeGreaterThanOrEqual(previousEnd);
    previousEnd = endSample;
    for (const item of items ?? []) {
      expect(item.startSample).toBeGreaterThanOrEqual(startSample);
      expect(item.endSample).toBeLessThanOrEqual(endSample);
    }
  }
}

function hasCode(code: GatewayError['code']): (error: unknown) => boolean {
  return (error) => error instanceof GatewayError && error.code === code;
}
