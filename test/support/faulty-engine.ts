/** An engine that hears coded audio exactly and breaks in every way at random, for tests of a session alone. */
import { setTimeout as delay } from 'node:timers/promises';
import { BLOCK_SAMPLES, BlockScanner } from '../../src/emulator/coded-block.ts';
import { seededRandom } from '../../src/emulator/random.ts';
import type { Engine, EngineResult, EngineStream } from '../../src/engines/engine.ts';
import { ResultQueue } from '../../src/engines/result-queue.ts';
import { GatewayError } from '../../src/errors.ts';

export const SILENT_BLOCKS_TO_CUT = 3;

export interface Faults {
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
  readonly maxSilenceMs: number | undefined;
}

export interface FaultyEngine extends Engine {
  /** Samples that its streams were given, and the streams. */
  readonly given: { samples: number; streams: number };
}

/** Hears coded audio exactly, finalises at silences, late, and breaks in every way at random. */
export function faultyEngine(faults: Faults): FaultyEngine {
  const random = seededRandom(faults.seed);
  const given = { samples: 0, streams: 0 };
  return {
    given,
    capabilities: {
      name: 'faulty',
      languages: ['en-US'],
      sampleRates: [16_000],
      features: [],
      settleMs: 5,
      realTime: false,
      maxStreamMs: faults.maxStreamMs,
      ...(faults.maxSilenceMs !== undefined && { maxSilenceMs: faults.maxSilenceMs }),
      billing: { minimumSeconds: 15 },
    },
    async close() {},
    async open({ continuation }, signal) {
      await delay(random() * 3, undefined, { signal });
      if (continuation && random() < faults.refusals) throw new GatewayError('engine_unavailable', 'refused');
      given.streams++;
      return new FaultyStream(faults, random, (samples) => {
        given.samples += samples;
      });
    },
  };
}

class FaultyStream implements EngineStream {
  readonly results = new ResultQueue(1000, () => undefined);
  readonly #faults: Faults;
  readonly #random: () => number;
  readonly #onGiven: (samples: number) => void;
  readonly #scanner = new BlockScanner();
  readonly #late: EngineResult[][] = [];
  #utterance: { number: number; startSample: number }[] = [];
  #utterances = 0;
  #silentSamples = 0;
  #hangs = false;

  constructor(faults: Faults, random: () => number, onGiven: (samples: number) => void) {
    this.#faults = faults;
    this.#onGiven = onGiven;
    this.#random = random;
  }

  async write(audio: Buffer): Promise<void> {
    this.#onGiven(audio.length / 2);
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
