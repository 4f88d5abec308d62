import { randomUUID } from 'node:crypto';
import { BLOCK_SAMPLES, BlockScanner } from '../coded-block.ts';
import { DEFAULT_LATENCY, type RecogniserOptions } from '../options.ts';
import type { Random } from '../random.ts';
import { badRequest } from '../refusal.ts';
import { PacedOutput } from './paced-output.ts';
import type { Heard, HeardWord, HearingSink, Recogniser, RecogniserStream } from './recogniser.ts';

export type CodedOptions = Extract<RecogniserOptions, { kind: 'coded' }>;

/** An utterance is cut after so many blocks without silence (20 s), so that its partials stay small. */
const MAX_UTTERANCE_BLOCKS = 1000;
/** Default silence that ends an utterance, in blocks: 60 ms. */
const SILENT_BLOCKS = 3;
/** Default distance of partials, in blocks: 300 ms, near the 3.3 results a second that were measured for AWS. */
const BLOCKS_PER_PARTIAL = 15;

class CodedStream implements RecogniserStream {
  readonly #scanner = new BlockScanner();
  readonly #output: PacedOutput;
  readonly #silenceToCut: number;
  readonly #blocksPerPartial: number;
  #resultId = '';
  #words: HeardWord[] = [];
  #silentSamples = 0;

  constructor(output: PacedOutput, options: CodedOptions) {
    this.#output = output;
    this.#silenceToCut = (options.silentBlocks ?? SILENT_BLOCKS) * BLOCK_SAMPLES;
    this.#blocksPerPartial = options.blocksPerPartial ?? BLOCKS_PER_PARTIAL;
  }

  write(audio: Buffer): undefined {
    for (const piece of this.#scanner.push(audio)) {
      if (piece.kind === 'block') this.#block(piece.number, piece.startSample);
      else {
        this.#silentSamples += piece.samples;
        if (this.#silentSamples >= this.#silenceToCut) this.#cut();
      }
    }
  }

  end(): void {
    this.#cut();
    this.#output.end();
  }

  abort(): void {
    this.#output.abort();
  }

  stats(): Readonly<Record<string, number>> {
    const { blocks, noiseSamples, resyncs } = this.#scanner;
    return { blocks, noiseSamples, resyncs };
  }

  #block(number: number, startSample: number): void {
    this.#silentSamples = 0;
    if (this.#words.length === 0) this.#resultId = randomUUID();
    const endSample = startSample + BLOCK_SAMPLES;
    this.#words.push({ content: `b${number}`, type: 'word', startSample, endSample, confidence: 0.99 });
    if (this.#words.length >= MAX_UTTERANCE_BLOCKS) this.#cut();
    else if ((this.#words.length - 1) % this.#blocksPerPartial === 0) this.#output.say(this.#heard(true));
  }

  #cut(): void {
    if (this.#words.length === 0) return;
    this.#output.say(this.#heard(false));
    this.#words = [];
  }

  #heard(isPartial: boolean): Heard {
    return {
      resultId: this.#resultId,
      isPartial,
      startSample: this.#words[0]?.startSample ?? 0,
      endSample: this.#words.at(-1)?.endSample ?? 0,
      words: isPartial ? [...this.#words] : this.#words,
    };
  }
}

/** Hears coded blocks and says their numbers: `b17` for block 17. */
export function codedRecogniser(options: CodedOptions, random: Random): Recogniser {
  const latency = { ...DEFAULT_LATENCY, ...options.latency };
  return {
    check(parameters) {
      if (parameters['media-encoding'] !== 'pcm') throw badRequest('The coded recogniser hears only pcm.');
    },
    open: (_request, sink: HearingSink) => new CodedStream(new PacedOutput(sink, latency, random), options),
  };
}
