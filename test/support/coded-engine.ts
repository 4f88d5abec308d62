/** An engine that hears coded audio exactly, for tests that account for every block without a speech service. */
import { BLOCK_SAMPLES, BlockScanner } from '../../src/emulator/coded-block.ts';
import type { Engine, EngineCapabilities, EngineResult, EngineStream } from '../../src/engines/engine.ts';
import { ResultQueue } from '../../src/engines/result-queue.ts';

/** A pause of so many blocks ends an utterance. */
const PAUSE_BLOCKS = 3;
/** One that does not pause is cut after so many. */
const MAX_UTTERANCE_BLOCKS = 40;

const CAPABILITIES: EngineCapabilities = {
  name: 'coded',
  languages: ['en-US'],
  sampleRates: [16_000],
  features: [],
  settleMs: 50,
  realTime: false,
  maxStreamMs: undefined,
  billing: { minimumSeconds: 15 },
};

/** Says the numbers of the blocks that it heard, `b1 b2 b3`: a partial as they come, a final after each utterance. */
export class CodedEngine implements Engine {
  readonly capabilities = CAPABILITIES;
  readonly #streams = new Set<CodedStream>();

  get openStreams(): number {
    return this.#streams.size;
  }

  async open(_options: unknown, signal: AbortSignal): Promise<EngineStream> {
    signal.throwIfAborted();
    const stream = new CodedStream(() => this.#streams.delete(stream));
    this.#streams.add(stream);
    return stream;
  }

  async close(): Promise<void> {
    for (const stream of this.#streams) stream.abort();
  }
}

class CodedStream implements EngineStream {
  readonly results = new ResultQueue(1000, () => this.abort());
  readonly #onClose: () => void;
  readonly #scanner = new BlockScanner();
  #utterance: { readonly number: number; readonly startSample: number }[] = [];
  #utterances = 0;
  #silentSamples = 0;

  constructor(onClose: () => void) {
    this.#onClose = onClose;
  }

  async write(audio: Buffer): Promise<void> {
    if (this.results.closed) return;
    for (const piece of this.#scanner.push(audio)) {
      if (piece.kind === 'block') {
        this.#silentSamples = 0;
        this.#utterance.push(piece);
        if (this.#utterance.length >= MAX_UTTERANCE_BLOCKS) this.#cut();
      } else {
        this.#silentSamples += piece.samples;
        if (this.#silentSamples >= PAUSE_BLOCKS * BLOCK_SAMPLES) this.#cut();
      }
    }
    if (this.#utterance.length > 0) this.#say(true);
  }

  end(): void {
    if (this.results.closed) return;
    this.#cut();
    this.results.close();
    this.#onClose();
  }

  abort(): void {
    this.results.discard();
    this.#onClose();
  }

  #cut(): void {
    if (this.#utterance.length === 0) return;
    this.#say(false);
    this.#utterance = [];
    this.#utterances++;
  }

  #say(isPartial: boolean): void {
    const result: EngineResult = {
      resultId: `u${this.#utterances}`,
      isPartial,
      text: this.#utterance.map(({ number }) => `b${number}`).join(' '),
      startSample: this.#utterance[0]?.startSample ?? 0,
      endSample: (this.#utterance.at(-1)?.startSample ?? 0) + BLOCK_SAMPLES,
    };
    this.results.push(result);
  }
}
