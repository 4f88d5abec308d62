import { setTimeout as delay } from 'node:timers/promises';
import { io, type Socket } from 'socket.io-client';
import { BYTES_PER_SAMPLE, CHUNK_BYTES, samplesToMs } from '../protocol/audio.ts';
import type { ClientToServerEvents, ErrorEvent, ServerToClientEvents } from '../protocol/events.ts';
import { SPEECH_SAMPLE_FILE } from '../speech-sample.ts';
import { type AudioSource, AudioSourceError, openAudio } from './audio-source.ts';
import { EXIT, type ExitStatus } from './exit.ts';
import { createView, type TranscriptView } from './transcript-view.ts';

export const DEFAULT_URL = 'http://localhost:5001';

export interface StreamCommandOptions {
  readonly sample: boolean;
  readonly language: string;
  readonly url: string;
  readonly fast: boolean;
  readonly json: boolean;
  readonly protocol: '1' | '2';
}

type ClientSocket = Socket<ServerToClientEvents, ClientToServerEvents>;

/** Chunks of `--fast` that may be on their way: two seconds of audio keep any engine busy. */
const FAST_WINDOW = 20;
/** How long an interrupted command waits for the last finals, in milliseconds. */
const INTERRUPT_GRACE_MS = 5_000;

/** `stream`: sends audio as a microphone would and shows what comes back. Resolves with the exit status. */
export async function stream(file: string | undefined, options: StreamCommandOptions): Promise<ExitStatus> {
  const chosen = options.sample ? SPEECH_SAMPLE_FILE : file;
  if (chosen === undefined || (options.sample && file !== undefined)) {
    console.error('Name one file to send, - for standard input, or --sample.');
    return EXIT.usage;
  }
  let source: AudioSource;
  try {
    source = await openAudio(chosen);
  } catch (error) {
    if (!(error instanceof AudioSourceError)) throw error;
    console.error(error.message);
    return EXIT.usage;
  }
  const view = createView(process.stdout, process.stderr, options.json);
  try {
    return await new Transcription(source, options, view).run();
  } finally {
    source.close();
    view.close();
  }
}

/**
 * One run of the command. Whatever happens first, an event or a signal, settles the exit status; once interrupted it is
 * that of an interrupted command, whatever becomes of the last finals.
 */
class Transcription {
  readonly #source: AudioSource;
  readonly #options: StreamCommandOptions;
  readonly #view: TranscriptView;
  readonly #socket: ClientSocket;
  readonly #outcome = Promise.withResolvers<ExitStatus>();
  readonly #stopSending = new AbortController();
  #started = false;
  #stopSent = false;
  #interrupted = false;
  #lost = false;

  constructor(source: AudioSource, options: StreamCommandOptions, view: TranscriptView) {
    this.#source = source;
    this.#options = options;
    this.#view = view;
    this.#socket = io(options.url, {
      autoConnect: false,
      forceNew: true,
      reconnection: false,
      ...(options.protocol === '2' && { auth: { protocol: 2 } }),
    });
  }

  async run(): Promise<ExitStatus> {
    const onInterrupt = () => this.#interrupt();
    process.on('SIGINT', onInterrupt);
    this.#listen();
    this.#socket.connect();
    try {
      return await this.#outcome.promise;
    } finally {
      this.#stopSending.abort();
      process.off('SIGINT', onInterrupt);
      this.#socket.disconnect();
    }
  }

  #listen(): void {
    const socket = this.#socket;
    const { json, language, url } = this.#options;
    if (json) socket.onAny((event, data) => process.stdout.write(`${JSON.stringify({ event, ...data })}\n`));
    socket.on('connect_error', (error) => {
      this.#view.note(`Cannot reach ${url}: ${reasonOf(error)}. Is the gateway running? "npm start" runs one here.`);
      this.#finish(EXIT.unreachable);
    });
    socket.on('disconnect', (reason) => {
      if (reason === 'io client disconnect') return;
      this.#view.note(`The connection was lost: ${reason}.`);
      this.#finish(EXIT.unreachable);
    });
    socket.on('connected', () => socket.emit('start_transcription', { language_code: language }));
    socket.on('transcription_started', (event) => {
      this.#started = true;
      this.#view.note(`Transcribing, language ${event.language_code}.`);
      this.#send().catch((error: unknown) => this.#sendingFailed(error));
    });
    socket.on('transcription_result', (event) => this.#view.result(event));
    socket.on('transcription_gap', (event) => {
      this.#lost = true;
      this.#view.note(`Audio from ${event.from_ms} to ${event.to_ms} ms was lost: ${event.reason}.`);
    });
    socket.on('transcription_stopped', () => this.#finish(this.#lost ? EXIT.failed : EXIT.ok));
    socket.on('error', (event) => {
      this.#view.note(describe(event));
      this.#finish(EXIT.failed);
    });
  }

  #finish(status: ExitStatus): void {
    this.#outcome.resolve(this.#interrupted ? EXIT.interrupted : status);
  }

  async #send(): Promise<void> {
    const { samples } = this.#source;
    const totalMs = samples === undefined ? undefined : samplesToMs(samples);
    const begin = performance.now();
    let sent = 0;
    const waiting = new Set<Promise<void>>();
    this.#view.progress(0, totalMs);
    for await (const chunk of chunksOf(this.#source.audio)) {
      if (this.#options.fast) {
        if (waiting.size >= FAST_WINDOW) await Promise.race(waiting);
        // After the stop a chunk would only be answered with an error.
        if (this.#stopSending.signal.aborted) return;
        const answered = this.#emitChunk(chunk).finally(() => waiting.delete(answered));
        waiting.add(answered);
      } else {
        // By absolute deadlines, so that the pace does not drift with each delay.
        const due = begin + samplesToMs(sent);
        await delay(Math.max(0, due - performance.now()), undefined, { signal: this.#stopSending.signal });
        this.#socket.emit('audio_chunk', { chunk });
      }
      sent += chunk.length / BYTES_PER_SAMPLE;
      this.#view.progress(samplesToMs(sent), totalMs);
    }
    this.#stop();
  }

  /** Asks for the last finals, once: a second stop would be answered with an error and end the wait for them. */
  #stop(): void {
    if (this.#stopSent) return;
    this.#stopSent = true;
    this.#socket.emit('stop_transcription');
  }

  /** Resolves when the gateway has room for more. */
  #emitChunk(chunk: Buffer): Promise<void> {
    return new Promise((resolve) => {
      this.#stopSending.signal.addEventListener('abort', () => resolve(), { once: true });
      this.#socket.emit('audio_chunk', { chunk }, () => resolve());
    });
  }

  #sendingFailed(error: unknown): void {
    if (this.#stopSending.signal.aborted) return;
    this.#view.note(error instanceof AudioSourceError ? error.message : `Sending failed: ${reasonOf(error)}.`);
    this.#finish(EXIT.usage);
  }

  /**
   * The first Ctrl-C stops the sending and waits for the last finals, the second one does not wait. There are no finals
   * to wait for before a session has started.
   */
  #interrupt(): void {
    const waits = this.#started && !this.#interrupted;
    this.#interrupted = true;
    this.#stopSending.abort();
    if (!waits) {
      this.#outcome.resolve(EXIT.interrupted);
      return;
    }
    this.#view.note('Interrupted: waiting for the last finals. Press Ctrl-C again to leave them.');
    this.#stop();
    setTimeout(() => this.#outcome.resolve(EXIT.interrupted), INTERRUPT_GRACE_MS).unref();
  }
}

/** Cuts audio into chunks of 100 ms; the last one is what is left. */
async function* chunksOf(audio: AsyncIterable<Buffer>): AsyncGenerator<Buffer, void, undefined> {
  let pending: Buffer = Buffer.alloc(0);
  for await (const piece of audio) {
    pending = pending.length === 0 ? piece : Buffer.concat([pending, piece]);
    while (pending.length >= CHUNK_BYTES) {
      yield pending.subarray(0, CHUNK_BYTES);
      pending = pending.subarray(CHUNK_BYTES);
    }
  }
  if (pending.length > 0) yield pending;
}

function describe(event: ErrorEvent): string {
  if (event.code === undefined) return `Error: ${event.message}`;
  const ids = event.connection_id === undefined ? '' : ` (connection ${event.connection_id})`;
  return `Error ${event.code}: ${event.message}${ids}`;
}

function reasonOf(error: unknown): string {
  const { message, description } = error as { message: string; description?: { message?: string } };
  const detail = description?.message;
  return detail === undefined || detail === '' ? message : `${message} (${detail})`;
}
