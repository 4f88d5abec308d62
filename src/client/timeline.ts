import { samplesToMs } from '../protocol/audio.ts';
import type { GapEvent, ResultEntity, ResultEvent, ResultItem } from '../protocol/events.ts';
import type { Entity, Final, Gap, Item, PartialResult } from './events.ts';

/** What the transcription had before a session: the session's own counts begin after it. */
export interface SessionBase {
  /** Chunks. */
  readonly chunks: number;
  readonly samples: number;
  readonly entries: number;
}

type WireRange = Pick<ResultEvent, 'start_sample' | 'end_sample' | 'start_ms' | 'end_ms'>;

/** Moves the numbers and positions of one session of the gateway to those of the whole transcription, and back. */
export class Timeline {
  readonly base: SessionBase;
  readonly #sampleRate: number | undefined;

  /** @param sampleRate hertz; undefined where it is not known, for a session that begins at zero */
  constructor(base: SessionBase, sampleRate: number | undefined) {
    this.base = base;
    this.#sampleRate = sampleRate;
  }

  /** A position of the transcription as the session counts it; what lies before the session is its beginning. */
  sessionSample(sample: number): number {
    return Math.max(0, sample - this.base.samples);
  }

  partial(event: ResultEvent): PartialResult {
    return { kind: 'partial', ...this.#result(event) };
  }

  /** @param seq of the session */
  final(event: ResultEvent, seq: number): Final {
    return {
      kind: 'final',
      seq: this.base.entries + seq,
      durable: event.durable !== false,
      replayed: event.replayed === true,
      ...this.#result(event),
    };
  }

  /** @param seq of the session */
  gap(event: GapEvent, seq: number): Gap {
    return {
      kind: 'gap',
      seq: this.base.entries + seq,
      ...this.#gapPositions(event),
      reason: event.reason,
      replayed: event.replayed === true,
    };
  }

  #result(event: ResultEvent) {
    return {
      text: event.text,
      resultId: event.result_id,
      ...this.#positions(event),
      ...given({
        languageCode: event.language_code,
        languageScores: event.language_scores?.map(({ language_code, score }) => ({
          languageCode: language_code,
          score,
        })),
        channel: event.channel,
        speaker: event.speaker,
        confidence: event.confidence,
        items: event.items?.map((item) => this.#item(item)),
        entities: event.entities?.map((entity) => this.#entity(entity)),
        translations: event.translations,
      }),
    };
  }

  #item(item: ResultItem): Item {
    const { confidence, content, filtered, speaker, stable, type } = item;
    return { content, type, ...this.#positions(item), ...given({ confidence, speaker, stable, filtered }) };
  }

  #entity(entity: ResultEntity): Entity {
    const { category, confidence, content, type } = entity;
    return { category, type, content, ...this.#positions(entity), ...given({ confidence }) };
  }

  #positions({ end_ms, end_sample = 0, start_ms, start_sample = 0 }: WireRange) {
    const startSample = this.base.samples + start_sample;
    const endSample = this.base.samples + end_sample;
    return { startSample, endSample, startMs: this.#ms(startSample, start_ms), endMs: this.#ms(endSample, end_ms) };
  }

  #gapPositions({ from_ms, from_sample, to_ms, to_sample }: GapEvent) {
    const fromSample = this.base.samples + from_sample;
    const toSample = this.base.samples + to_sample;
    return { fromSample, toSample, fromMs: this.#ms(fromSample, from_ms), toMs: this.#ms(toSample, to_ms) };
  }

  /** @param said the session's own figure, which counts from the session's beginning */
  #ms(sample: number, said = 0): number {
    return this.#sampleRate === undefined ? said : samplesToMs(sample, this.#sampleRate);
  }
}

/** A range with its milliseconds. */
export function gapRange(fromSample: number, toSample: number, sampleRate: number) {
  return {
    fromSample,
    toSample,
    fromMs: samplesToMs(fromSample, sampleRate),
    toMs: samplesToMs(toSample, sampleRate),
  };
}

type Given<T> = { [Key in keyof T]?: Exclude<T[Key], undefined> };

/** Leaves out what is undefined: absent fields are absent for `in` and for JSON. */
function given<T extends object>(fields: T): Given<T> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as Given<T>;
}
