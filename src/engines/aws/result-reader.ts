import { randomUUID } from 'node:crypto';
import type { Alternative, Entity, Item, Result, TranscriptEvent } from '@aws-sdk/client-transcribe-streaming';
import type { StartRequest } from '../../protocol/start-request.ts';
import type { EngineEntity, EngineItem, EngineResult } from '../engine.ts';

/** Audio of a stream, in samples of one channel. */
interface GivenAudio {
  /** Given to the SDK: no result can lie beyond it. */
  readonly taken: number;
  /**
   * Of it, what has left for the service for certain. The connection hears late that something has left, and the service
   * may have answered for more.
   */
  readonly sent: number;
}

/**
 * Makes results of the engine contract of the events of one stream. Times come as seconds, with milliseconds at most;
 * they are rounded to samples and held between the final before and the audio given, so that no rounding makes finals
 * overlap.
 */
export class ResultReader {
  readonly #request: StartRequest;
  /** End of the last final of each channel, in samples. */
  readonly #finalEnds: number[] = [];
  /** Samples that had been sent when the event before this one came. */
  #answered = 0;

  constructor(request: StartRequest) {
    this.#request = request;
  }

  /**
   * @returns the results of the event; for an event without any, the word that the service answers. Such an event does
   *   not say of which audio it speaks, and may have been on its way for long: it stands for the audio before the event
   *   before it, and the first one, which comes before any audio is heard, for none.
   */
  read(event: TranscriptEvent, { sent, taken }: GivenAudio): EngineResult[] {
    const results = event.Transcript?.Results ?? [];
    const answered = this.#answered;
    this.#answered = sent;
    if (results.length > 0) return results.map((result) => this.#result(result, taken));
    return [{ resultId: randomUUID(), isPartial: true, text: '', startSample: answered, endSample: answered }];
  }

  #result(result: Result, taken: number): EngineResult {
    const channel = channelOf(result);
    const range = this.#range(result, this.#finalEnds[channel] ?? 0, taken);
    const isPartial = result.IsPartial ?? false;
    if (!isPartial) this.#finalEnds[channel] = range.endSample;
    const [best] = result.Alternatives ?? [];
    const items = best?.Items?.map((item) => this.#item(item, range));
    const confidence = meanConfidence(items ?? []);
    return {
      resultId: result.ResultId ?? randomUUID(),
      isPartial,
      text: best?.Transcript ?? '',
      ...range,
      ...(confidence !== undefined && { confidence }),
      ...(items !== undefined && items.length > 0 && { items }),
      ...(this.#request.channels > 1 && { channel }),
      ...this.#language(result),
      ...this.#entities(best, range),
    };
  }

  #item(item: Item, within: Range): EngineItem {
    return {
      ...this.#range(item, within.startSample, within.endSample),
      content: item.Content ?? '',
      type: item.Type === 'punctuation' ? 'punctuation' : 'word',
      ...(item.Confidence !== undefined && { confidence: item.Confidence }),
      ...(item.Speaker !== undefined && { speaker: item.Speaker }),
      ...(item.Stable !== undefined && { stable: item.Stable }),
      // Every item has the field: it says something only where a filter was asked for.
      ...(this.#request.vocabularyFilter !== undefined && { filtered: item.VocabularyFilterMatch ?? false }),
    };
  }

  #language(result: Result): Pick<EngineResult, 'languageCode' | 'languageScores'> {
    if (this.#request.identify === undefined) return {};
    const scores = result.LanguageIdentification?.map(({ LanguageCode, Score }) => ({
      languageCode: LanguageCode ?? '',
      score: Score ?? 0,
    }));
    return {
      ...(result.LanguageCode !== undefined && { languageCode: result.LanguageCode }),
      ...(scores !== undefined && { languageScores: scores }),
    };
  }

  #entities(best: Alternative | undefined, within: Range): Pick<EngineResult, 'entities'> {
    if (best?.Entities === undefined) return {};
    const entities = best.Entities.map(
      (entity): EngineEntity => ({
        ...this.#range(entity, within.startSample, within.endSample),
        category: entity.Category ?? '',
        type: entity.Type ?? '',
        content: entity.Content ?? '',
        ...(entity.Confidence !== undefined && { confidence: entity.Confidence }),
      }),
    );
    return { entities };
  }

  #range(
    { StartTime = 0, EndTime = 0 }: Pick<Result | Item | Entity, 'StartTime' | 'EndTime'>,
    from: number,
    to: number,
  ): Range {
    const startSample = clamp(StartTime * this.#request.sampleRate, from, to);
    return { startSample, endSample: clamp(EndTime * this.#request.sampleRate, startSample, to) };
  }
}

interface Range {
  readonly startSample: number;
  readonly endSample: number;
}

/** A whole sample from `low` on, and up to `high` where that leaves one. */
function clamp(sample: number, low: number, high: number): number {
  return Math.max(low, Math.min(Math.round(sample), high));
}

/** `ch_1` is 1; results of a stream with one channel say `ch_0`, or nothing. */
function channelOf({ ChannelId }: Result): number {
  return Number(ChannelId?.match(/^ch_(\d)$/)?.[1] ?? 0);
}

/** The mean over the words that have one: partials come without, and so do punctuation marks. */
function meanConfidence(items: readonly EngineItem[]): number | undefined {
  const known = items.flatMap(({ type, confidence }) =>
    type === 'word' && confidence !== undefined ? [confidence] : [],
  );
  return known.length === 0 ? undefined : known.reduce((sum, one) => sum + one, 0) / known.length;
}
