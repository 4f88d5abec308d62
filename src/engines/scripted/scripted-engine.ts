import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { GatewayError } from '../../errors.ts';
import { BYTES_PER_SAMPLE, SAMPLE_RATE } from '../../protocol/audio.ts';
import type {
  Engine,
  EngineCapabilities,
  EngineItem,
  EngineResult,
  EngineStream,
  EngineStreamOptions,
} from '../engine.ts';
import { ResultQueue } from '../result-queue.ts';
import { assertSupported } from '../supported.ts';

/** One thing that a scripted stream does once it has been given the audio up to `atSample`. */
export type ScriptStep =
  | {
      readonly do: 'partial' | 'final';
      readonly atSample: number;
      readonly text: string;
      readonly fromSample?: number;
      readonly channel?: number;
    }
  | { readonly do: 'delay'; readonly atSample: number; readonly ms: number }
  /** Neither takes audio nor answers until the stream is aborted. */
  | { readonly do: 'hang'; readonly atSample: number }
  /** Ends the results without an error, as an engine does whose connection was closed cleanly. */
  | { readonly do: 'end-early'; readonly atSample: number }
  | { readonly do: 'fail'; readonly atSample: number; readonly error: GatewayError };

/**
 * What a stream does, in the order of `atSample`. When the stream is ended the steps go on, up to the first that says
 * something about audio which was never given.
 */
export interface Script {
  readonly open?: { readonly delayMs?: number; readonly error?: GatewayError };
  readonly steps: Iterable<ScriptStep>;
}

export interface ScriptedEngineOptions {
  readonly capabilities?: Partial<EngineCapabilities>;
  /** Makes the script of the nth stream of this engine, counted from 0. */
  readonly script: (nth: number, options: EngineStreamOptions) => Script;
}

const CAPABILITIES: EngineCapabilities = {
  name: 'scripted',
  languages: ['en-US', 'de-DE'],
  sampleRates: [SAMPLE_RATE],
  features: [],
  settleMs: 0,
  realTime: false,
  maxStreamMs: undefined,
};

/** For each second of audio a partial and a final, without end: what `GATEWAY_ENGINE=scripted` says. */
export function* repeatingScript(): Generator<ScriptStep> {
  for (let second = 1; ; second++) {
    const begin = (second - 1) * SAMPLE_RATE;
    const text = `second ${second}`;
    yield { do: 'partial', atSample: begin + SAMPLE_RATE / 2, fromSample: begin, text };
    yield { do: 'final', atSample: begin + SAMPLE_RATE, fromSample: begin, text };
  }
}

/** An engine that hears nothing and does what a script says: for tests of everything around an engine. */
export class ScriptedEngine implements Engine {
  readonly capabilities: EngineCapabilities;
  readonly #options: ScriptedEngineOptions;
  readonly #streams = new Set<ScriptedStream>();
  #opened = 0;
  #closed = false;

  constructor(options: ScriptedEngineOptions) {
    this.#options = options;
    this.capabilities = { ...CAPABILITIES, ...options.capabilities };
  }

  /** Streams open now. */
  get openStreams(): number {
    return this.#streams.size;
  }

  async open(options: EngineStreamOptions, signal: AbortSignal): Promise<EngineStream> {
    signal.throwIfAborted();
    if (this.#closed) throw new GatewayError('engine_unavailable', 'The engine is closed.', { retryable: false });
    assertSupported(this.capabilities, options);
    const script = this.#options.script(this.#opened++, options);
    if (script.open?.delayMs !== undefined) await delay(script.open.delayMs, undefined, { signal });
    if (script.open?.error !== undefined) throw script.open.error;
    const stream = new ScriptedStream(script.steps, options.channels, () => this.#streams.delete(stream));
    this.#streams.add(stream);
    return stream;
  }

  async close(): Promise<void> {
    this.#closed = true;
    for (const stream of this.#streams) stream.abort();
  }
}

class ScriptedStream implements EngineStream {
  readonly results = new ResultQueue(Number.POSITIVE_INFINITY, () => this.abort());
  readonly #steps: Iterator<ScriptStep>;
  readonly #frameBytes: number;
  readonly #onClose: () => void;
  readonly #aborted = new AbortController();
  #next: ScriptStep | undefined;
  #given = 0;
  #ended = false;
  #resultId: string = randomUUID();
  #utteranceStart = 0;
  /** Steps are carried out one after the other, whoever asks. */
  #turn: Promise<void> = Promise.resolve();

  constructor(steps: Iterable<ScriptStep>, channels: number, onClose: () => void) {
    this.#frameBytes = channels * BYTES_PER_SAMPLE;
    this.#steps = steps[Symbol.iterator]();
    this.#advance();
    this.#onClose = onClose;
  }

  async write(audio: Buffer): Promise<void> {
    if (this.results.closed || this.#ended) return;
    this.#given += audio.length / this.#frameBytes;
    await this.#runTo(this.#given);
  }

  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    void this.#runTo(Number.POSITIVE_INFINITY).then(() => this.#close());
  }

  abort(): void {
    this.#aborted.abort();
    this.results.discard();
    this.#onClose();
  }

  #close(error?: GatewayError): void {
    this.results.close(error);
    this.#onClose();
  }

  #runTo(position: number): Promise<void> {
    this.#turn = this.#turn.then(async () => {
      for (let step = this.#next; step !== undefined; step = this.#next) {
        if (step.atSample > position || this.results.closed) return;
        if ('text' in step && (step.fromSample ?? this.#utteranceStart) >= this.#given) return;
        this.#advance();
        await this.#carryOut(step);
      }
    });
    return this.#turn;
  }

  #advance(): void {
    const { done, value } = this.#steps.next();
    this.#next = done === true ? undefined : value;
  }

  async #carryOut(step: ScriptStep): Promise<void> {
    switch (step.do) {
      case 'partial':
      case 'final':
        this.#say(step);
        return;
      case 'delay':
        await delay(step.ms, undefined, { signal: this.#aborted.signal }).catch(() => undefined);
        return;
      case 'hang':
        await new Promise((resolve) => this.#aborted.signal.addEventListener('abort', resolve, { once: true }));
        return;
      case 'end-early':
        this.#close();
        return;
      case 'fail':
        this.#close(step.error);
    }
  }

  #say(step: Extract<ScriptStep, { text: string }>): void {
    const { channel, text } = step;
    const isPartial = step.do === 'partial';
    const fromSample = step.fromSample ?? this.#utteranceStart;
    const endSample = Math.min(step.atSample, this.#given);
    const result: EngineResult = {
      resultId: this.#resultId,
      isPartial,
      text,
      startSample: fromSample,
      endSample,
      confidence: 1,
      items: wordsOf(text, fromSample, endSample),
      ...(channel !== undefined && { channel }),
    };
    this.results.push(result);
    if (isPartial) return;
    this.#resultId = randomUUID();
    this.#utteranceStart = endSample;
  }
}

/** Words share the range evenly. */
function wordsOf(text: string, from: number, to: number): EngineItem[] {
  const words = text.split(' ').filter((word) => word !== '');
  const at = (n: number) => from + Math.floor(((to - from) * n) / words.length);
  return words.map((content, n) => ({
    content,
    type: 'word',
    startSample: at(n),
    endSample: at(n + 1),
    confidence: 1,
  }));
}
