/** Makes of what was heard the result that AWS would send, with every parameter of the stream applied. */
import { type AccountResources, filterNames, type StreamParameters } from './parameters.ts';
import { findPersonalData, type PersonalData } from './personal-data.ts';
import type { Heard, HeardWord } from './recognisers/recogniser.ts';

/** Trailing words of a partial that may still change, by stability level: an assumption, AWS publishes none. */
const UNSTABLE_WORDS = { high: 1, medium: 3, low: 6 } as const;
/** Score of the language that was identified; the other options share the rest. */
const MAIN_LANGUAGE_SCORE = 0.9;
/** What takes the place of redacted words. */
const REDACTED = '[PII]';
const MASKED = '***';

interface Item {
  StartTime: number;
  EndTime: number;
  Type: 'pronunciation' | 'punctuation';
  Content: string;
  VocabularyFilterMatch: boolean;
  Speaker?: string;
  Confidence?: number;
  Stable?: boolean;
}

interface Entity {
  StartTime: number;
  EndTime: number;
  Category: 'PII';
  Type: string;
  Content: string;
  Confidence: number;
}

/** The wire's own names. Source: the API reference, "Result". */
export interface TranscriptResult {
  ResultId: string;
  StartTime: number;
  EndTime: number;
  IsPartial: boolean;
  Alternatives: { Transcript: string; Items: Item[]; Entities?: Entity[] }[];
  ChannelId: string;
  LanguageCode?: string;
  LanguageIdentification?: { LanguageCode: string; Score: number }[];
}

/** Joins words as they are written: no space before a punctuation mark. */
function joinText(words: readonly Pick<HeardWord, 'content' | 'type'>[]): string {
  return words
    .map((word, index) => (index === 0 || word.type === 'punctuation' ? word.content : ` ${word.content}`))
    .join('');
}

/** Words of the filters a stream asks for, in lower case. */
function filteredWords(parameters: StreamParameters, account: AccountResources): ReadonlySet<string> {
  const words = filterNames(parameters).flatMap((name) => account.vocabularyFilters?.[name] ?? []);
  return new Set(words.map((word) => word.toLowerCase()));
}

type MarkedWord = HeardWord & { readonly filtered: boolean };

/** The results of one channel of one stream. */
export class TranscriptMaker {
  readonly #parameters: StreamParameters;
  readonly #channel: number;
  readonly #filtered: ReadonlySet<string>;
  #resultId: string | undefined;
  /** Number of the utterance, from 0: speakers, and languages where several are identified, take turns by it. */
  #utterance = -1;

  /** @param channel from 0 */
  constructor(parameters: StreamParameters, account: AccountResources, channel: number) {
    this.#parameters = parameters;
    this.#channel = channel;
    this.#filtered = filteredWords(parameters, account);
  }

  make(heard: Heard): TranscriptResult {
    if (heard.resultId !== this.#resultId) {
      this.#resultId = heard.resultId;
      this.#utterance += 1;
    }
    const filtered = this.#filter(heard.words);
    // Personal data is found at the level of the segment: partials show it. Source: the API reference.
    const found = heard.isPartial ? [] : this.#personalData(filtered);
    const words = this.#parameters['content-redaction-type'] ? redact(filtered, found) : filtered;
    const entities = found.map((entry) => this.#entity(entry, filtered));
    return {
      ResultId: heard.resultId,
      StartTime: this.#seconds(heard.startSample),
      EndTime: this.#seconds(heard.endSample),
      IsPartial: heard.isPartial,
      Alternatives: [
        {
          Transcript: joinText(words),
          Items: words.map((word, index) => this.#item(word, words.length - index, heard.isPartial)),
          ...(this.#wantsPersonalData() && { Entities: entities }),
        },
      ],
      ChannelId: `ch_${this.#channel}`,
      ...this.#language(),
    };
  }

  #filter(words: readonly HeardWord[]): MarkedWord[] {
    const marked = words.map((word) => ({ ...word, filtered: this.#filtered.has(word.content.toLowerCase()) }));
    switch (this.#parameters['vocabulary-filter-method']) {
      case 'tag':
        return marked;
      case 'remove':
        return marked.filter((word) => !word.filtered);
      default:
        return marked.map((word) => (word.filtered ? { ...word, content: MASKED } : word));
    }
  }

  #wantsPersonalData(): boolean {
    return Boolean(this.#parameters['content-redaction-type'] ?? this.#parameters['content-identification-type']);
  }

  #personalData(words: readonly HeardWord[]): PersonalData[] {
    return this.#wantsPersonalData() ? findPersonalData(words, this.#parameters['pii-entity-types']) : [];
  }

  #entity({ start, end, type }: PersonalData, words: readonly HeardWord[]): Entity {
    const run = words.slice(start, end);
    return {
      StartTime: this.#seconds(run[0]?.startSample ?? 0),
      EndTime: this.#seconds(run.at(-1)?.endSample ?? 0),
      Category: 'PII',
      Type: type,
      Content: this.#parameters['content-redaction-type'] ? REDACTED : joinText(run),
      Confidence: 1,
    };
  }

  /** @param fromEnd 1 for the last word */
  #item(word: MarkedWord, fromEnd: number, isPartial: boolean): Item {
    const { 'enable-partial-results-stabilization': stabilises, 'partial-results-stability': level = 'high' } =
      this.#parameters;
    return {
      StartTime: this.#seconds(word.startSample),
      EndTime: this.#seconds(word.endSample),
      Type: word.type === 'word' ? 'pronunciation' : 'punctuation',
      Content: word.content,
      VocabularyFilterMatch: word.filtered,
      ...(this.#parameters['show-speaker-label'] && { Speaker: String(this.#utterance % 2) }),
      ...(!isPartial && word.confidence !== undefined && { Confidence: word.confidence }),
      ...(stabilises && { Stable: !isPartial || fromEnd > UNSTABLE_WORDS[level] }),
    };
  }

  #language(): Pick<TranscriptResult, 'LanguageCode' | 'LanguageIdentification'> {
    const options = this.#parameters['language-options'] ?? [];
    const turn = this.#parameters['identify-multiple-languages'] ? this.#utterance % options.length : 0;
    const main = this.#parameters['preferred-language'] ?? options[turn];
    if (main === undefined) return {};
    const rest = (1 - MAIN_LANGUAGE_SCORE) / (options.length - 1);
    return {
      LanguageCode: main,
      LanguageIdentification: options
        .map((code) => ({ LanguageCode: code, Score: code === main ? MAIN_LANGUAGE_SCORE : Number(rest.toFixed(3)) }))
        .sort((a, b) => b.Score - a.Score),
    };
  }

  /** Seconds with the millisecond precision of AWS. */
  #seconds(sample: number): number {
    return Math.round((sample * 1000) / this.#parameters['sample-rate']) / 1000;
  }
}

/** Puts one mark in the place of each run of personal data. */
function redact(words: readonly MarkedWord[], found: readonly PersonalData[]): MarkedWord[] {
  return words.flatMap((word, index) => {
    const run = found.find((entry) => index >= entry.start && index < entry.end);
    if (run === undefined) return [word];
    if (index !== run.start) return [];
    return [{ ...word, content: REDACTED, endSample: words[run.end - 1]?.endSample ?? word.endSample }];
  });
}
