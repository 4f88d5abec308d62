import {
  createTranscription,
  type Final,
  type Retry,
  type Summary,
  type Transcription,
  TranscriptionError,
} from '../client/index.ts';
import { BYTES_PER_SAMPLE, CHUNK_BYTES } from '../protocol/audio.ts';
import { SPEECH_SAMPLE_FILE } from '../speech-sample.ts';
import { openAudio } from './audio-source.ts';
import { EXIT, type ExitStatus } from './exit.ts';
import { atSpeedOfSpeech, chunksOf } from './pace.ts';

/** Longest wait for a connection or an answer before the next attempt, in milliseconds. */
const MAX_SILENCE_MS = 15_000;
/** Longest wait between two attempts, in milliseconds: the time is short. */
const MAX_BACKOFF_MS = 2_000;

export interface ProbeOptions {
  readonly url: string;
  /** API key or JWT. */
  readonly token: string | undefined;
  readonly language: string;
  /** For everything, from the first attempt to connect to the last final. */
  readonly timeoutMs: number;
  /** Words that must be in the transcript, in this order and without others in between. */
  readonly expect: string | undefined;
}

/**
 * - `ok`: words came, those that were expected if any were.
 * - `unreachable`: no gateway answered.
 * - `refused`: the gateway, or whatever answers for it, ended the transcription; `code` says why.
 * - `lost_audio`: the transcript has gaps.
 * - `no_words`, `wrong_words`: it came whole and says nothing, or something else than expected.
 * - `timeout`: there was not enough time; `code` is that of the last fault, if there was one.
 */
type ProbeOutcome = 'ok' | 'unreachable' | 'refused' | 'lost_audio' | 'no_words' | 'wrong_words' | 'timeout';

/** One line of a log. Times are whole milliseconds, null where it did not come so far. It holds none of the words. */
export interface ProbeReport {
  readonly outcome: ProbeOutcome;
  /** Why, for people. */
  readonly message: string;
  /** An error code of the gateway's table, or one of the client library's own. */
  readonly code: string | null;
  /** Until the session was live. */
  readonly connect_ms: number | null;
  /** From the first audio that was sent to the first partial, and to the first final. */
  readonly first_partial_ms: number | null;
  readonly first_final_ms: number | null;
  /** The longest time from the sending of the last sample of a final to the final. */
  readonly final_latency_ms: number | null;
  readonly total_ms: number;
  readonly finals: number;
  readonly lost_ms: number;
  /** Faults that the client library got over by itself. */
  readonly retries: number;
}

/** `probe`: speaks the bundled sample, prints a line of JSON, and resolves with the exit status. */
export async function probe(options: ProbeOptions): Promise<ExitStatus> {
  const source = await openAudio(SPEECH_SAMPLE_FILE);
  try {
    const report = await runProbe(options, source.audio);
    process.stdout.write(`${JSON.stringify(report)}\n`);
    if (report.outcome === 'ok') return EXIT.ok;
    console.error(report.message);
    return report.outcome === 'unreachable' ? EXIT.unreachable : EXIT.failed;
  } finally {
    source.close();
  }
}

/** One probe. @param audio PCM, 16 bit little-endian, mono, 16 kHz. Never rejects for what a gateway does. */
export function runProbe(options: ProbeOptions, audio: AsyncIterable<Buffer>): Promise<ProbeReport> {
  return new Probe(options).run(audio);
}

/** What the end of a probe is known by, before the figures are added. */
type Verdict = Pick<ProbeReport, 'outcome' | 'message' | 'code'>;

class Probe {
  readonly #options: ProbeOptions;
  readonly #transcription: Transcription;
  readonly #sending = new AbortController();
  readonly #begin = performance.now();
  /** When each chunk was sent. */
  readonly #sentAt: number[] = [];
  readonly #texts: string[] = [];
  #connectMs: number | null = null;
  #firstPartialAt: number | undefined;
  #firstFinalAt: number | undefined;
  #finalLatencyMs: number | null = null;
  #lostMs = 0;
  #retries = 0;
  #lastFault: TranscriptionError | undefined;
  #refusedChunk: TranscriptionError | undefined;

  constructor(options: ProbeOptions) {
    this.#options = options;
    const { language, timeoutMs, token, url } = options;
    this.#transcription = createTranscription({
      url,
      ...(token !== undefined && { token }),
      language,
      exclusive: true,
      // Each step that takes too long is to be a fault that the report can name.
      unresponsiveMs: Math.min(MAX_SILENCE_MS, timeoutMs / 2),
      socket: { timeout: Math.min(MAX_SILENCE_MS, timeoutMs) },
      backoff: { maxMs: MAX_BACKOFF_MS },
    });
  }

  async run(audio: AsyncIterable<Buffer>): Promise<ProbeReport> {
    this.#listen();
    const late = Promise.withResolvers<Verdict>();
    const timer = setTimeout(() => late.resolve(this.#late()), this.#options.timeoutMs);
    try {
      return this.#report(await Promise.race([this.#speak(audio), late.promise]));
    } finally {
      clearTimeout(timer);
      this.#sending.abort();
      this.#transcription.close();
    }
  }

  #listen(): void {
    this.#transcription.on('partial', () => {
      this.#firstPartialAt ??= performance.now();
    });
    this.#transcription.on('final', (final) => this.#final(final));
    this.#transcription.on('retry', (retry) => this.#retry(retry));
    // What ends the transcription is told by its promises too.
    this.#transcription.on('error', (error) => {
      if (error.code === 'bad_audio') this.#refusedChunk = error;
    });
  }

  #final({ endSample, text }: Final): void {
    const now = performance.now();
    this.#firstFinalAt ??= now;
    this.#texts.push(text);
    const sentAt = this.#sentAt[chunkOf(endSample)] ?? now;
    this.#finalLatencyMs = Math.max(this.#finalLatencyMs ?? 0, now - sentAt);
  }

  #retry({ error }: Retry): void {
    this.#retries += 1;
    this.#lastFault = error;
  }

  async #speak(audio: AsyncIterable<Buffer>): Promise<Verdict> {
    try {
      await this.#transcription.start();
      this.#connectMs = performance.now() - this.#begin;
      for await (const chunk of atSpeedOfSpeech(chunksOf(audio), this.#sending.signal)) {
        this.#transcription.send(chunk);
        this.#sentAt.push(performance.now());
      }
      return this.#judge(await this.#transcription.stop());
    } catch (error) {
      // After the time is up nobody asks any more: what is then said of the sending and the closing is not the verdict.
      if (error instanceof TranscriptionError) return this.#failed(error);
      if (this.#sending.signal.aborted) return this.#late();
      throw error;
    }
  }

  #judge({ lostMs, reason }: Summary): Verdict {
    this.#lostMs = lostMs;
    if (this.#refusedChunk !== undefined) return this.#failed(this.#refusedChunk);
    if (reason !== 'client_stop') return verdict('refused', `The gateway ended the transcription: ${reason}.`);
    if (lostMs > 0) return verdict('lost_audio', `The gateway lost ${lostMs} ms of the audio.`);
    const heard = wordsOf(this.#texts.join(' '));
    if (heard === '') return verdict('no_words', 'The gateway took all audio and answered without a word.');
    const expected = wordsOf(this.#options.expect ?? '');
    if (!` ${heard} `.includes(expected === '' ? '' : ` ${expected} `)) {
      return verdict('wrong_words', 'Words came back, and not those that --expect names.');
    }
    return verdict('ok', 'Words came back.');
  }

  #failed(error: TranscriptionError): Verdict {
    return verdict('refused', `The transcription ended with ${error.code}: ${error.message}`, error.code);
  }

  #late(): Verdict {
    const fault = this.#lastFault;
    const reason = fault === undefined ? '' : ` The last fault was ${fault.code}: ${fault.message}`;
    const wasNeverReached = this.#connectMs === null && (fault === undefined || fault.code === 'unreachable');
    const what = wasNeverReached
      ? `Cannot reach ${this.#options.url} within ${this.#options.timeoutMs} ms.`
      : `The words did not come within ${this.#options.timeoutMs} ms.`;
    return verdict(wasNeverReached ? 'unreachable' : 'timeout', `${what}${reason}`, fault?.code);
  }

  #report({ code, message, outcome }: Verdict): ProbeReport {
    const [firstSentAt] = this.#sentAt;
    const since = (at: number | undefined) =>
      at === undefined || firstSentAt === undefined ? null : Math.round(at - firstSentAt);
    return {
      outcome,
      message,
      code,
      connect_ms: rounded(this.#connectMs),
      first_partial_ms: since(this.#firstPartialAt),
      first_final_ms: since(this.#firstFinalAt),
      final_latency_ms: rounded(this.#finalLatencyMs),
      total_ms: Math.round(performance.now() - this.#begin),
      finals: this.#texts.length,
      lost_ms: this.#lostMs,
      retries: this.#retries,
    };
  }
}

function verdict(outcome: ProbeOutcome, message: string, code: string | null = null): Verdict {
  return { outcome, message, code };
}

function rounded(ms: number | null): number | null {
  return ms === null ? null : Math.round(ms);
}

/** The chunk that has the last sample before a position. */
function chunkOf(endSample: number): number {
  const samples = CHUNK_BYTES / BYTES_PER_SAMPLE;
  return Math.max(0, Math.ceil(endSample / samples) - 1);
}

/** Words in lower case with a space between them; engines differ in how they punctuate. */
function wordsOf(text: string): string {
  return (text.toLowerCase().match(/[\p{L}\p{N}']+/gu) ?? []).join(' ');
}
