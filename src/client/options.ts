import type { ManagerOptions, SocketOptions } from 'socket.io-client';
import { SAMPLE_RATE } from '../protocol/audio.ts';
import type { StartOptions } from '../protocol/client-messages.ts';
import type { BackoffOptions } from './backoff.ts';
import type { RandomSource } from './random.ts';
import type { RingBounds } from './ring.ts';

/** What is left of the options of `socket.io-client`: when to connect, and as whom, is the library's to decide. */
export type SocketChoices = Partial<
  Omit<ManagerOptions & SocketOptions, 'auth' | 'autoConnect' | 'forceNew' | 'reconnection'>
>;

/** How to reach the gateway, for transcriptions and watches alike. */
export interface LineOptions {
  /** The gateway, such as `https://speech.example.com`. */
  readonly url: string;
  /**
   * A JWT or an API key, or a function that gets one. The function is asked at the start and again whenever the gateway
   * says `unauthorized`, so it should not answer from a cache for ever.
   */
  readonly token?: string | (() => string | Promise<string>);
  readonly backoff?: BackoffOptions;
  /** Longest silence of the gateway while it owes an answer before the connection counts as dead, in milliseconds. */
  readonly unresponsiveMs?: number;
  /** For `socket.io-client`. The default transport is WebSocket alone, which needs no sticky load balancer. */
  readonly socket?: SocketChoices;
}

export interface TranscriptionOptions extends LineOptions {
  /** BCP 47 tag; the gateway's default is `en-US`. Not with `identifyLanguage`. */
  readonly language?: string;
  /** Let the engine find out the language: once (`true` or `'one'`) or all along (`'several'`). */
  readonly identifyLanguage?: true | 'one' | 'several';
  /** Two or more languages to choose from, with `identifyLanguage`. */
  readonly languageOptions?: readonly string[];
  readonly preferredLanguage?: string;
  /** Hertz of the session; default 16,000. `send` resamples what has another rate. */
  readonly sampleRate?: number;
  /** 2: interleaved, each channel transcribed by itself. Default 1. */
  readonly channels?: 1 | 2;
  readonly speakerLabels?: boolean;
  readonly partialStability?: 'low' | 'medium' | 'high';
  /** A name, or one for each language. */
  readonly vocabulary?: string | readonly string[];
  readonly vocabularyFilter?: {
    readonly name: string | readonly string[];
    readonly method?: 'mask' | 'remove' | 'tag';
  };
  readonly languageModel?: string;
  /** List personal data in `entities`. */
  readonly contentIdentification?: true | 'pii';
  /** Replace personal data in the text. */
  readonly redaction?: true | 'pii';
  readonly entityTypes?: readonly string[];
  readonly transcriptFormat?: 'written' | 'spoken';
  /** The engine need not hear the middle of pauses, which costs less; only where the gateway's operator allows it. */
  readonly trimSilence?: boolean;
  readonly translateTo?: string | readonly string[];
  readonly wordItems?: boolean;

  /** What is kept for a resume at most; default 10 MB and 5 minutes. Beyond it the oldest is dropped (`overflow`). */
  readonly keep?: { readonly bytes?: number; readonly ageMs?: number };
  /**
   * `true`: no other device can hold the resume token of this transcription, so that a `taken_over` can only come from
   * our own lost connection and the session is claimed back. Default `false`: a `taken_over` is final.
   */
  readonly exclusive?: boolean;
  /** Source of random bytes, where the platform has no `crypto.getRandomValues`. */
  readonly random?: RandomSource;
}

/** 5 minutes at 16 kHz are 9.6 MB. */
const KEEP: RingBounds = { bytes: 10_000_000, ageMs: 300_000 };
const UNRESPONSIVE_MS = 15_000;

/** Options with their defaults. */
export interface LineSettings {
  readonly url: string;
  readonly token: LineOptions['token'];
  readonly backoff: BackoffOptions;
  readonly unresponsiveMs: number;
  readonly socket: SocketChoices;
}

export interface Settings extends LineSettings {
  readonly start: StartOptions;
  readonly format: { readonly sampleRate: number; readonly channels: 1 | 2 };
  readonly keep: RingBounds;
  readonly exclusive: boolean;
}

export function lineSettingsOf(options: LineOptions): LineSettings {
  const { backoff = {}, socket = {}, token, unresponsiveMs = UNRESPONSIVE_MS, url } = options;
  return { url, token, backoff, unresponsiveMs, socket };
}

export function settingsOf(options: TranscriptionOptions): Settings {
  const { channels = 1, exclusive = false, keep, sampleRate = SAMPLE_RATE } = options;
  return {
    ...lineSettingsOf(options),
    start: startOptions(options),
    format: { sampleRate, channels },
    keep: { ...KEEP, ...keep },
    exclusive,
  };
}

/** The fields of `start_transcription`, by their names on the wire; what was not given is left out. */
function startOptions(options: TranscriptionOptions): StartOptions {
  const fields = {
    language_code: options.language,
    identify_language: options.identifyLanguage,
    language_options: options.languageOptions,
    preferred_language: options.preferredLanguage,
    encoding: 'pcm',
    sample_rate: options.sampleRate,
    channels: options.channels,
    speaker_labels: options.speakerLabels,
    partial_stability: options.partialStability,
    vocabulary: options.vocabulary,
    vocabulary_filter: options.vocabularyFilter,
    language_model: options.languageModel,
    content_identification: options.contentIdentification,
    redaction: options.redaction,
    entity_types: options.entityTypes,
    transcript_format: options.transcriptFormat,
    trim_silence: options.trimSilence,
    translate_to: options.translateTo,
    word_items: options.wordItems,
  } as const satisfies Record<keyof StartOptions, unknown>;
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as StartOptions;
}
