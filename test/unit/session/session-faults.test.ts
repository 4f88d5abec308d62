import { setTimeout as delay } from 'node:timers/promises';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BLOCK_SAMPLES, BlockScanner } from '../../../src/emulator/coded-block.ts';
import { seededRandom } from '../../../src/emulator/random.ts';
import type { Engine, EngineResult, EngineStream } from '../../../src/engines/engine.ts';
import { ResultQueue } from '../../../src/engines/result-queue.ts';
import { GatewayError } from '../../../src/errors.ts';
import { createLogger } from '../../../src/log.ts';
import { createMetrics } from '../../../src/metrics/metrics.ts';
import { Session, type SessionGap } from '../../../src/session/session.ts';
import type { PlacedResult } from '../../../src/session/timeline.ts';
import { audioChunks, type CodedAudio, codedAudio } from '../../support/coded-audio.ts';
import { formatAccount, isClean, reconcile } from '../../support/reconcile.ts';

const SILENT_BLOCKS_TO_CUT = 3;

interface Faults {
  readonly seed: number;
  /** Chance of a break at each write. */
  readonly breaks: number;
  /** Chance that a further open fails. The first one is the client's to try again. */
  readonly refusals: number;
  /** Finals are this many writes late. */
  readonly lateness: number;
  /** Chance of a stream that says nothing any more. */
  readonly hangs: number;
  readonly maxStreamMs: number | undefined;
}

/** Hears coded audio exactly, finalises at silences, late, and breaks in every way at random. */
function faultyEngine(faults: Faults): Engine {
  const random = seededRandom(faults.seed);
  return {
    capabilities: {
      name: 'faulty',
      languages: ['en-US'],
      sampleRates: [16_000],
      features: [],
      settleMs: 5,
      realTime: false,
      maxStreamMs: faults.maxStreamMs,
    },
    async close() {},
    async open({ continuation }, signal) {
      await delay(random() * 3, undefined, { signal });
      if (continuation && random() < faults.refusals) throw new GatewayError('engine_unavailable', 'refused');
      return new FaultyStream(faults, random);
    },
  };
}

class FaultyStream implements EngineStream {
  readonly results = new ResultQueue(1000, () => undefined);
  readonly #faults: Faults;
  readonly #random: () => number;
  readonly #scanner = new BlockScanner();
  readonly #late: EngineResult[][] = [];
  #utterance: { number: number; startSample: number }[] = [];
  #utterances = 0;
  #silentSamples = 0;
  #hangs = false;

  constructor(faults: Faults, random: () => number) {
    this.#faults = faults;
    this.#random = random;
  }

  async write(audio: Buffer): Promise<void> {
    await delay(this.#random());
    if (this.results.closed || this.#hangs) return;
    const said: EngineResult[] = [];
    for (const piece of this.#scanner.push(audio)) {
      if (piece.kind === 'block') {
        this.#silentSamples = 0;
        this.#utterance.push(piece);
        said.push(this.#result(true));
      } else {
        this.#silentSamples += piece.samples;
        if (this.#silentSamples >= SILENT_BLOCKS_TO_CUT * BLOCK_SAMPLES) said.push(...this.#cut());
      }
    }
    this.#late.push(said);
    while (this.#late.length > this.#faults.lateness)
      for (const one of this.#late.shift() ?? []) this.results.push(one);
    const chance = this.#random();
    if (chance < this.#faults.breaks / 2) this.results.close(new GatewayError('engine_unavailable', 'reset'));
    else if (chance < this.#faults.breaks) this.results.close();
    else if (this.#random() < this.#faults.hangs) this.#hangs = true;
  }

  end(): void {
    if (this.#hangs || this.results.closed) return;
    if (this.#random() < this.#faults.breaks) {
      this.results.close(new GatewayError('engine_unavailable', 'reset'));
      return;
    }
    for (const one of [...this.#late.flat(), ...this.#cut()]) this.results.push(one);
    this.results.close();
  }

  abort(): void {
    this.results.discard();
  }

  #cut(): EngineResult[] {
    if (this.#utterance.length === 0) return [];
    const final = this.#result(false);
    this.#utterance = [];
    this.#utterances++;
    return [final];
  }

  #result(isPartial: boolean): EngineResult {
    return {
      resultId: `u${this.#utterances}`,
      isPartial,
      text: this.#utterance.map(({ number }) => `b${number}`).join(' '),
      startSample: this.#utterance[0]?.startSample ?? 0,
      endSample: (this.#utterance.at(-1)?.startSample ?? 0) + BLOCK_SAMPLES,
    };
  }
}

/** Streams the audio through a session, with pauses long enough to park, and stops. */
async function transcribe(engine: Engine, audio: CodedAudio, pauseEvery: number) {
  const finals: PlacedResult[] = [];
  const gaps: SessionGap[] = [];
  const started = Promise.withResolvers<void>();
  const session = new Session({
    id: 'test',
    request: { languageCode: 'en-US', sampleRate: 16_000, channels: 1 },
    engine,
    limits: {
      backlogMs: 1_000,
      replayMs: 60_000,
      startTimeoutMs: 1_000,
      recoveryTimeoutMs: 5_000,
      flushTimeoutMs: 100,
      parkAfterMs: 15,
      stallTimeoutMs: 40,
      catchUpSpeed: 2,
    },
    metrics: createMetrics(),
    log: createLogger('silent'),
    sink: {
      started: () => started.resolve(),
      result: (result) => {
        if (!result.isPartial) finals.push(result);
      },
      gap: (gap) => gaps.push(gap),
      ended: () => started.resolve(),
    },
  });
  void session.run();
  await started.promise;
  let sent = 0;
  for (const chunk of audioChunks(audio.pcm)) {
    if (session.stopping) break;
    session.push(chunk);
    await session.room();
    if (++sent % pauseEvery === 0) await delay(30);
  }
  session.stop('client_stop');
  return { end: await session.ended, finals, gaps };
}

const faults = fc.record({
  seed: fc.integer({ min: 1, max: 1e6 }),
  breaks: fc.constantFrom(0, 0.05, 0.2),
  refusals: fc.constantFrom(0, 0.3),
  lateness: fc.nat(8),
  hangs: fc.constantFrom(0, 0, 0.02),
  maxStreamMs: fc.constantFrom(undefined, 60),
});

/** Fixed, so that a failure can be looked into; the cases run side by side because they mostly wait. */
const CASES = fc.sample(fc.tuple(faults, fc.constantFrom(7, 1000)), { seed: 20, numRuns: 60 });

describe('a session over an engine that breaks in every way', () => {
  it.concurrent.each(CASES)(
    'accounts for every block: said once and in order where it was spoken, or reported as lost: %j, pause every %d',
    { timeout: 60_000 },
    async (fault, pauseEvery) => {
      const audio = codedAudio({
        utterances: 12,
        blocks: { min: 1, max: 40 },
        silentBlocks: { min: SILENT_BLOCKS_TO_CUT, max: 20 },
        seed: fault.seed,
      });
      const { end, finals, gaps } = await transcribe(faultyEngine(fault), audio, pauseEvery);
      // A session that gives up takes no more audio: only what it took is its to account for.
      const expected = audio.blocks.filter(({ startSample }) => startSample < end.samples);
      const account = reconcile({ expected, finals: finals.map(({ text }) => text), gaps });
      expect(isClean(account), formatAccount(account)).toBe(true);
      if (end.reason === 'client_stop' && gaps.length === 0) expect(account.heard).toBe(audio.blocks.length);
      let last = 0;
      for (const final of finals) {
        expect(final.startSample).toBeGreaterThanOrEqual(last);
        last = final.endSample;
        const numbers = final.text.split(' ').map((word) => Number(word.slice(1)));
        const spoken = audio.blocks.filter(({ number }) => numbers.includes(number));
        expect([final.startSample, final.endSample]).toEqual([spoken[0]?.startSample, spoken.at(-1)?.endSample]);
      }
    },
  );
});
