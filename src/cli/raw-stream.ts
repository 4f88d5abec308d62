import { io, type Socket } from 'socket.io-client';
import { BYTES_PER_SAMPLE, samplesToMs } from '../protocol/audio.ts';
import type { ClientToServerEvents, ServerToClientEvents } from '../protocol/events.ts';
import type { AudioSource } from './audio-source.ts';
import { cannotReach } from './cannot-reach.ts';
import { Ending } from './ending.ts';
import { EXIT, type ExitStatus } from './exit.ts';
import { atSpeedOfSpeech, chunksOf } from './pace.ts';
import type { StreamCommandOptions } from './stream-options.ts';
import type { TranscriptView } from './transcript-view.ts';

type ClientSocket = Socket<ServerToClientEvents, ClientToServerEvents>;

/** Chunks of `--fast` that may be on their way: two seconds of audio keep any engine busy. */
const FAST_WINDOW = 20;

/** One run of the command in version 1 of the protocol, event by event; a lost connection ends it. */
export class RawStream {
  readonly #source: AudioSource;
  readonly #options: StreamCommandOptions;
  readonly #view: TranscriptView;
  readonly #socket: ClientSocket;
  readonly #ending: Ending;
  #started = false;
  #stopSent = false;

  constructor(source: AudioSource, options: StreamCommandOptions, view: TranscriptView) {
    this.#source = source;
    this.#options = options;
    this.#view = view;
    const { token, url } = options;
    this.#socket = io(url, {
      autoConnect: false,
      forceNew: true,
      reconnection: false,
      ...(token !== undefined && { auth: { token } }),
    });
    this.#ending = new Ending(view, { hasStarted: () => this.#started, stop: () => this.#stop() });
  }

  async run(): Promise<ExitStatus> {
    this.#listen();
    this.#socket.connect();
    try {
      return await this.#ending.wait();
    } finally {
      this.#socket.disconnect();
    }
  }

  #listen(): void {
    const socket = this.#socket;
    const { json, language, url } = this.#options;
    if (json) socket.onAny((event, data) => process.stdout.write(`${JSON.stringify({ event, ...data })}\n`));
    socket.on('connect_error', (error) => {
      // socket.io-client gives errors of the gateway `data`, if only undefined as in version 1: it is there, and refuses.
      const isRefusal = 'data' in error;
      this.#view.note(isRefusal ? `Error: ${error.message}` : cannotReach(url, error));
      this.#ending.finish(isRefusal ? EXIT.failed : EXIT.unreachable);
    });
    socket.on('disconnect', (reason) => {
      if (reason === 'io client disconnect') return;
      this.#view.note(`The connection was lost: ${reason}.`);
      this.#ending.finish(EXIT.unreachable);
    });
    socket.on('connected', () => socket.emit('start_transcription', { language_code: language }));
    socket.on('transcription_started', (event) => {
      this.#started = true;
      this.#view.note(`Transcribing, language ${event.language_code}.`);
      this.#send().catch((error: unknown) => this.#ending.sendingFailed(error));
    });
    socket.on('transcription_result', (event) => this.#view.result(event));
    socket.on('transcription_stopped', () => this.#ending.finish(EXIT.ok));
    socket.on('error', (event) => {
      this.#view.note(`Error: ${event.message}`);
      this.#ending.finish(EXIT.failed);
    });
  }

  async #send(): Promise<void> {
    const { samples } = this.#source;
    const totalMs = samples === undefined ? undefined : samplesToMs(samples);
    const { sending } = this.#ending;
    const { fast } = this.#options;
    const waiting = new Set<Promise<void>>();
    let sent = 0;
    this.#view.progress(0, totalMs);
    const chunks = chunksOf(this.#source.audio);
    for await (const chunk of fast ? chunks : atSpeedOfSpeech(chunks, sending)) {
      if (waiting.size >= FAST_WINDOW) await Promise.race(waiting);
      // After the stop a chunk would only be answered with an error.
      if (sending.aborted) return;
      if (fast) {
        const answered = this.#emitChunk(chunk).finally(() => waiting.delete(answered));
        waiting.add(answered);
      } else this.#socket.emit('audio_chunk', { chunk });
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
      this.#ending.sending.addEventListener('abort', () => resolve(), { once: true });
      this.#socket.emit('audio_chunk', { chunk }, () => resolve());
    });
  }
}
