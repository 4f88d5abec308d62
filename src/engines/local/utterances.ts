import { randomUUID } from 'node:crypto';
import { msToSamples } from '../../protocol/audio.ts';
import type { EngineItem, EngineResult } from '../engine.ts';
import type { VoskUtterance } from './vosk.ts';

/** Kaldi sets a word's end before its last sound has faded; without a pad a replay would repeat that rest. */
const WORD_END_PAD_MS = 150;
/**
 * An utterance that is cut by its length (20 s) ends in the middle of speech, and the next word may follow at once. The
 * pad is taken only from silence: what lies between the last word and the audio given, less what the decoder has
 * not looked at yet. An utterance that silence ends (0.5 s of it at least) always has room for the whole pad.
 */
const DECODER_DELAY_MS = 350;
/** A word may have begun in the last moments of what seemed silent: those are not given up yet. */
const SILENCE_SAFETY_MS = 500;

/**
 * Turns the recogniser's replies for one stream into results of the engine contract: gives ids, converts seconds to
 * samples, and keeps finals in order. libvosk's times count from the recogniser's first sample over all utterances,
 * also when it drops its feature pipeline after ten minutes (observed over 13 minutes: offsets stay within 30 ms).
 */
export class Utterances {
  readonly #sampleRate: number;
  #resultId: string | undefined;
  #previousEnd = 0;
  #shownText = '';

  constructor(sampleRate: number) {
    this.#sampleRate = sampleRate;
  }

  /** A partial, if it says something new. `processed` is the number of samples decoded so far. */
  partial(text: string, processed: number): EngineResult | undefined {
    if (text === '' || text === this.#shownText) return undefined;
    this.#shownText = text;
    this.#resultId ??= randomUUID();
    return {
      resultId: this.#resultId,
      isPartial: true,
      text,
      startSample: this.#previousEnd,
      endSample: Math.max(processed, this.#previousEnd),
    };
  }

  /**
   * The final of an utterance that ended after `processed` samples. An empty one frees audio, and is left out when it
   * would free none; it is kept when partials were shown, which it takes back. `flushed`: no audio will follow.
   */
  final(utterance: VoskUtterance, processed: number, flushed: boolean): EngineResult | undefined {
    const resultId = this.#resultId;
    this.#resultId = undefined;
    this.#shownText = '';
    const words = utterance.result ?? [];
    const [first] = words;
    const last = words.at(-1);
    if (first === undefined || last === undefined || utterance.text === '') {
      return this.#silence(resultId, processed, flushed);
    }
    const items = words.map((word): EngineItem => {
      const startSample = this.#clamp(word.start * this.#sampleRate, processed);
      return {
        startSample,
        endSample: Math.max(startSample, this.#clamp(word.end * this.#sampleRate, processed)),
        content: word.word,
        type: 'word',
        confidence: Math.min(1, Math.max(0, word.conf)),
      };
    });
    const startSample = this.#clamp(first.start * this.#sampleRate, processed);
    const lastWordEnd = Math.max(startSample, this.#clamp(last.end * this.#sampleRate, processed));
    const endSample = this.#clamp(lastWordEnd + this.#pad(processed - lastWordEnd, flushed), processed);
    this.#previousEnd = endSample;
    const confidence = items.reduce((sum, item) => sum + (item.confidence ?? 0), 0) / items.length;
    return {
      resultId: resultId ?? randomUUID(),
      isPartial: false,
      text: utterance.text,
      startSample,
      endSample,
      confidence,
      items,
    };
  }

  #silence(resultId: string | undefined, processed: number, flushed: boolean): EngineResult | undefined {
    const startSample = this.#previousEnd;
    const safety = flushed ? 0 : msToSamples(SILENCE_SAFETY_MS, this.#sampleRate);
    const endSample = Math.max(startSample, processed - safety);
    if (endSample === startSample && resultId === undefined) return undefined;
    this.#previousEnd = endSample;
    return { resultId: resultId ?? randomUUID(), isPartial: false, text: '', startSample, endSample };
  }

  #pad(trailing: number, flushed: boolean): number {
    const pad = msToSamples(WORD_END_PAD_MS, this.#sampleRate);
    if (flushed) return pad;
    return Math.max(0, Math.min(pad, trailing - msToSamples(DECODER_DELAY_MS, this.#sampleRate)));
  }

  /** A whole sample, not before the previous final's end and not beyond the audio given. */
  #clamp(sample: number, processed: number): number {
    return Math.min(Math.max(Math.round(sample), this.#previousEnd), processed);
  }
}
