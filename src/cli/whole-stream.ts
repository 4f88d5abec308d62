import {
  createTranscription,
  type Gap,
  type Retry,
  type SessionInfo,
  type Summary,
  type Transcription,
  type TranscriptionError,
} from '../client/index.ts';
import { BYTES_PER_SAMPLE, SAMPLE_RATE, samplesToMs } from '../protocol/audio.ts';
import type { AudioSource } from './audio-source.ts';
import { cannotReach } from './cannot-reach.ts';
import { Ending } from './ending.ts';
import { EXIT, type ExitStatus } from './exit.ts';
import * as json from './json-events.ts';
import { atSpeedOfSpeech, chunksOf } from './pace.ts';
import type { StreamCommandOptions } from './stream-options.ts';
import type { TranscriptView } from './transcript-view.ts';

/** Longest wait for a connection, in milliseconds: somebody who mistyped the URL is watching. */
const CONNECT_TIMEOUT_MS = 5_000;
/** Longest wait between two attempts, in milliseconds: one command does not press a gateway that comes back. */
const MAX_BACKOFF_MS = 2_000;
/** What is kept beyond the audio of the longest absence, in milliseconds: what was not covered when it began. */
const KEEP_MS = 300_000;

/** One run of the command on the client library: lost connections and gateways that restart do not end it. */
export class WholeStream {
  readonly #source: AudioSource;
  readonly #options: StreamCommandOptions;
  readonly #view: TranscriptView;
  readonly #transcription: Transcription;
  readonly #ending: Ending;
  #session: SessionInfo | undefined;
  /** The gateway has answered, if only by a refusal. */
  #wasReached = false;
  /** When the present absence began, in milliseconds. */
  #awaySince: number | undefined;
  /** The fault that the user was told of last, in the present absence. */
  #toldOf: string | undefined;
  #chunkRefused = false;
  #sentAll = false;
  #stopAsked = false;

  constructor(source: AudioSource, options: StreamCommandOptions, view: TranscriptView) {
    this.#source = source;
    this.#options = options;
    this.#view = view;
    const giveUpAfterMs = options.giveUpAfter * 1000;
    const keepMs = giveUpAfterMs + KEEP_MS;
    this.#transcription = createTranscription({
      url: options.url,
      ...(options.token !== undefined && { token: options.token }),
      language: options.language,
      // The token of the session never leaves this process.
      exclusive: true,
      keep: { ageMs: keepMs, bytes: (keepMs / 1000) * SAMPLE_RATE * BYTES_PER_SAMPLE },
      backoff: { maxMs: MAX_BACKOFF_MS, giveUpAfterMs },
      socket: { timeout: CONNECT_TIMEOUT_MS },
    });
    this.#ending = new Ending(view, { hasStarted: () => this.#session !== undefined, stop: () => this.#stop() });
  }

  async run(): Promise<ExitStatus> {
    this.#listen();
    this.#transcription.start().then(
      () => this.#send().catch((error: unknown) => this.#ending.sendingFailed(error)),
      // The error event has told it.
      () => undefined,
    );
    try {
      return await this.#ending.wait();
    } finally {
      this.#transcription.close();
    }
  }

  #listen(): void {
    const transcription = this.#transcription;
    transcription.on('session', (session) => this.#live(session));
    transcription.on('partial', (partial) => this.#result(partial));
    transcription.on('final', (final) => this.#result(final));
    transcription.on('gap', (gap) => this.#gap(gap));
    transcription.on('retry', (retry) => this.#away(retry));
    transcription.on('error', (error) => this.#failed(error));
    transcription.on('queued', (queued) => {
      this.#wasReached = true;
      this.#print(json.queuedEvent(queued));
      this.#view.note(`The gateway has no free place; ours in its queue is ${queued.position}.`);
    });
    transcription.on('overflow', (overflow) => {
      this.#print(json.overflowEvent(overflow));
      this.#view.note(`Audio from ${overflow.fromMs} to ${overflow.toMs} ms could not be kept any longer.`);
    });
    transcription.on('state', ({ state }) => {
      if (state === 'resuming') this.#awaySince ??= performance.now();
      // It may be the gateway that ended it.
      if (state === 'stopped') this.#stop();
    });
  }

  #live(session: SessionInfo): void {
    this.#print(json.sessionEvent(session));
    if (this.#session === undefined) {
      this.#view.note(`Transcribing, language ${session.languageCode ?? this.#options.language}.`);
    } else {
      const seconds = ((performance.now() - (this.#awaySince ?? performance.now())) / 1000).toFixed(1);
      // A move without a fault is what a gateway asks for that shuts down.
      const how = this.#toldOf === undefined ? 'The gateway shuts down; resumed on another connection' : 'Resumed';
      this.#view.note(`${how} after ${seconds} s${session.resumed ? '' : ', in a new session'}.`);
    }
    this.#session = session;
    this.#wasReached = true;
    this.#awaySince = undefined;
    this.#toldOf = undefined;
  }

  #away(retry: Retry): void {
    const { error } = retry;
    if (!this.#wasReached && isAbsence(error)) {
      // Before the first answer it is a wrong URL, or a gateway that was not started; waiting mends neither.
      this.#view.note(cannotReach(this.#options.url, error.cause ?? error));
      this.#ending.finish(EXIT.unreachable);
      return;
    }
    this.#wasReached = true;
    this.#print(json.retryEvent(retry));
    if (this.#toldOf === error.code) return;
    this.#toldOf = error.code;
    if (isAbsence(error)) this.#view.note(`Connection lost, resuming. ${error.message}`);
    else this.#view.note(`Waiting for the gateway. ${describe(error)}`);
  }

  #result(result: Parameters<typeof json.resultEvent>[0]): void {
    this.#print(json.resultEvent(result, this.#session?.id));
    this.#view.result({ text: result.text, is_partial: result.kind === 'partial' });
  }

  #gap(gap: Gap): void {
    this.#print(json.gapEvent(gap, this.#session?.id));
    this.#view.note(`Audio from ${gap.fromMs} to ${gap.toMs} ms was lost: ${gap.reason}.`);
  }

  #failed(error: TranscriptionError): void {
    this.#print(json.errorEvent(error));
    if (error.code === 'bad_audio') {
      this.#chunkRefused = true;
      this.#view.note(`Error ${describe(error)}`);
      return;
    }
    // A fault that could pass is the end only where it did not pass in time.
    const gaveUp = error.retryable ? `Gave up after ${this.#options.giveUpAfter} s. ` : '';
    const advice = error.code === 'unsupported_server' ? ' Use --protocol 1.' : '';
    this.#view.note(`${gaveUp}Error ${describe(error)}${advice}`);
    this.#ending.finish(isAbsence(error) ? EXIT.unreachable : EXIT.failed);
  }

  async #send(): Promise<void> {
    const { samples } = this.#source;
    const totalMs = samples === undefined ? undefined : samplesToMs(samples);
    const { sending } = this.#ending;
    const { fast } = this.#options;
    let sent = 0;
    this.#view.progress(0, totalMs);
    const chunks = chunksOf(this.#source.audio);
    for await (const chunk of fast ? chunks : atSpeedOfSpeech(chunks, sending)) {
      if (fast) await this.#transcription.ready();
      if (sending.aborted) return;
      this.#transcription.send(chunk);
      sent += chunk.length / BYTES_PER_SAMPLE;
      this.#view.progress(samplesToMs(sent), totalMs);
    }
    this.#sentAll = true;
    this.#stop();
  }

  /** Asks for the last finals and ends with them. Idempotent. */
  #stop(): void {
    if (this.#stopAsked) return;
    this.#stopAsked = true;
    this.#transcription.stop().then(
      (summary) => this.#finished(summary),
      // The error event has told it.
      () => undefined,
    );
  }

  #finished(summary: Summary): void {
    this.#print(json.stoppedEvent(summary, this.#session?.id));
    if (!this.#sentAll && !this.#ending.sending.aborted) {
      this.#view.note(`The gateway ended the transcription: ${summary.reason}.`);
    }
    const isWhole = this.#sentAll && summary.gaps === 0 && !this.#chunkRefused;
    this.#ending.finish(isWhole ? EXIT.ok : EXIT.failed);
  }

  #print(event: json.JsonEvent): void {
    if (this.#options.json) process.stdout.write(`${JSON.stringify(event)}\n`);
  }
}

/** The gateway is not there, as against one that says no. */
function isAbsence(error: TranscriptionError): boolean {
  return error.code === 'unreachable' || error.code === 'no_answer';
}

function describe(error: TranscriptionError): string {
  const connection = error.connectionId === undefined ? '' : ` (connection ${error.connectionId})`;
  return `${error.code}: ${error.message}${connection}`;
}
