import { randomUUID } from 'node:crypto';
import { DEFAULT_LATENCY, type RecogniserOptions, type ScriptedUtterance } from '../options.ts';
import type { Random } from '../random.ts';
import { PacedOutput } from './paced-output.ts';
import type { HeardWord, Recogniser, RecogniserStream } from './recogniser.ts';
import { spreadWords } from './words.ts';

export type ScriptedOptions = Extract<RecogniserOptions, { kind: 'scripted' }>;

/** Said when no script is given: something for every parameter to work on. */
const DEFAULT_SCRIPT: readonly ScriptedUtterance[] = [
  { startMs: 300, endMs: 2300, text: 'Hello, this is the transcription emulator.' },
  { startMs: 2800, endMs: 6400, text: 'Please call 5551234567 or write to jane@example.com, thank you.' },
];
const DEFAULT_REPEAT_MS = 8000;

class ScriptedStream implements RecogniserStream {
  readonly #output: PacedOutput;
  readonly #script: readonly ScriptedUtterance[];
  readonly #repeatSamples: number;
  readonly #samplesPerMs: number;
  #position = 0;
  #round = 0;
  #index = 0;
  #resultId = randomUUID();
  #wordsSaid = 0;

  constructor(output: PacedOutput, script: readonly ScriptedUtterance[], repeatMs: number, sampleRate: number) {
    this.#output = output;
    this.#script = script;
    this.#samplesPerMs = sampleRate / 1000;
    this.#repeatSamples = repeatMs * this.#samplesPerMs;
  }

  write(_audio: Buffer, samples: number): undefined {
    this.#position += samples;
    while (this.#step());
  }

  end(): void {
    const heard = this.#words().filter((word) => word.endSample <= this.#position);
    if (heard.length > 0) this.#say(heard, false);
    this.#output.end();
  }

  abort(): void {
    this.#output.abort();
  }

  stats(): Readonly<Record<string, number>> {
    return { utterances: this.#round * this.#script.length + this.#index };
  }

  /** Says what the position has reached; true if it reached an utterance's end, so that there may be more to say. */
  #step(): boolean {
    const words = this.#words();
    const heard = words.filter((word) => word.endSample <= this.#position);
    if (words.length === 0 || heard.length === 0) return false;
    if (heard.length < words.length) {
      if (heard.length > this.#wordsSaid) this.#say(heard, true);
      this.#wordsSaid = heard.length;
      return false;
    }
    this.#say(words, false);
    this.#wordsSaid = 0;
    this.#resultId = randomUUID();
    this.#index += 1;
    if (this.#index === this.#script.length && this.#repeatSamples > 0) {
      this.#index = 0;
      this.#round += 1;
    }
    return true;
  }

  /** The words of the utterance in turn, at their positions in the stream; none at the end of the script. */
  #words(): HeardWord[] {
    const utterance = this.#script[this.#index];
    if (utterance === undefined) return [];
    const shift = this.#round * this.#repeatSamples;
    return spreadWords(
      utterance.text,
      shift + utterance.startMs * this.#samplesPerMs,
      shift + utterance.endMs * this.#samplesPerMs,
    );
  }

  #say(words: readonly HeardWord[], isPartial: boolean): void {
    const startSample = words[0]?.startSample ?? 0;
    const endSample = words.at(-1)?.endSample ?? 0;
    this.#output.say({ resultId: this.#resultId, isPartial, startSample, endSample, words });
  }
}

/** Says its script as the position of the audio passes by, whatever the audio holds and however it is encoded. */
export function scriptedRecogniser(options: ScriptedOptions, random: Random): Recogniser {
  const latency = { ...DEFAULT_LATENCY, ...options.latency };
  const script = options.script ?? DEFAULT_SCRIPT;
  const repeatMs = options.repeatMs ?? (options.script === undefined ? DEFAULT_REPEAT_MS : 0);
  return {
    check: () => undefined,
    open: (request, sink) =>
      new ScriptedStream(new PacedOutput(sink, latency, random), script, repeatMs, request.sampleRate),
  };
}
