import { frameBytes } from '../protocol/audio.ts';
import type { StoppedEvent } from '../protocol/events.ts';
import { type AudioData, AudioInput } from './audio-input.ts';
import { now } from './clock.ts';
import { Conductor } from './conductor.ts';
import { Coverage } from './coverage.ts';
import { Emitter } from './emitter.ts';
import { EntryReaders } from './entry-reader.ts';
import { TranscriptionError } from './errors.ts';
import type { Entry, Summary, TranscriptionEvents, TranscriptionState } from './events.ts';
import type { Phase } from './lifeline.ts';
import { type Settings, settingsOf, type TranscriptionOptions } from './options.ts';
import { promiseParts } from './promise-parts.ts';
import { randomKey } from './random.ts';
import { AudioRing } from './ring.ts';
import { gapRange } from './timeline.ts';

/**
 * One transcription, from `start` to `stop`, over as many connections and sessions of the gateway as it takes.
 *
 * ```ts
 * const transcription = createTranscription({ url, token: () => fetchToken(), language: 'en-US' });
 * transcription.on('partial', ({ text }) => show(text));
 * transcription.on('final', ({ text }) => append(text));
 * await transcription.start();
 * microphone.ondata = (samples) => transcription.send(samples, { sampleRate: 48_000 });
 * const summary = await transcription.stop();
 * ```
 */
export class Transcription extends Emitter<TranscriptionEvents> implements AsyncIterable<Entry> {
  readonly #settings: Settings;
  readonly #input: AudioInput;
  readonly #ring: AudioRing;
  readonly #coverage: Coverage;
  readonly #conductor: Conductor;
  readonly #started = promiseParts<void>();
  readonly #ended = promiseParts<Summary>();
  readonly #readers = new EntryReaders<Entry>();
  #state: TranscriptionState = 'idle';
  #wasLive = false;
  #paused = false;
  #stopping = false;
  #finals = 0;
  #gaps = 0;
  #lostSamples = 0;
  #stopListening: () => void = () => undefined;
  #outcome: { readonly error: TranscriptionError | undefined } | undefined;

  /** @throws TranscriptionError `no_random`; see `TranscriptionOptions.random` */
  constructor(options: TranscriptionOptions) {
    super();
    this.#settings = settingsOf(options);
    const { format, keep } = this.#settings;
    this.#input = new AudioInput(format);
    this.#ring = new AudioRing(keep, frameBytes(format));
    this.#coverage = new Coverage(format.channels);
    this.#conductor = new Conductor({
      settings: this.#settings,
      startKey: randomKey(options.random),
      ring: this.#ring,
      coverage: this.#coverage,
      output: {
        entry: (entry) => this.#entry(entry),
        partial: (partial) => this.emit('partial', partial),
        phase: (phase) => this.#phase(phase),
        retry: (retry) => this.emit('retry', retry),
        queued: (queued) => this.emit('queued', queued),
        session: (session) => this.emit('session', session),
        takenOver: (epoch) => this.emit('taken_over', { epoch }),
        warning: (error) => this.emit('error', error),
        finished: (event) => this.#finished(event),
        failed: (error) => this.#failed(error),
      },
    });
  }

  get state(): TranscriptionState {
    return this.#state;
  }

  /**
   * Connects and starts. Audio may be sent before it has resolved; it is kept. May be called once.
   * @returns resolves when the first session is live
   * @throws TranscriptionError when the transcription is over before that: a fault that no retry can mend, or `close`
   */
  start(): Promise<void> {
    if (this.#state !== 'idle') return Promise.reject(new TranscriptionError('bad_usage', 'start: called before.'));
    this.#stopListening = onNetworkBack(() => this.retryNow());
    this.#conductor.begin();
    return this.#started.promise;
  }

  /**
   * Takes audio of any length; it is sent in chunks of 100 ms. What is given while paused, or after the end, is dropped.
   * @param options `sampleRate` in hertz, if it is not the session's: an `Int16Array` or `Float32Array` is resampled
   * @throws TranscriptionError `bad_usage` for audio that cannot be understood
   */
  send(audio: AudioData, options: { readonly sampleRate?: number } = {}): void {
    if (this.#paused || this.#stopping || this.#outcome !== undefined) return;
    this.#record(this.#input.push(audio, options.sampleRate));
  }

  /** Resolves when there is room for more: for files and other sources that are faster than speech. */
  ready(): Promise<void> {
    return this.#outcome === undefined ? this.#conductor.sender.ready() : Promise.resolve();
  }

  /** For a phone call or the background: nothing is transcribed or billed, and the timeline stands still. */
  pause(): void {
    if (this.#paused || this.#stopping || this.#outcome !== undefined) return;
    this.#record(this.#input.flush());
    this.#paused = true;
    this.#conductor.pause();
    this.#updateState();
  }

  unpause(): void {
    if (!this.#paused) return;
    this.#paused = false;
    this.#conductor.unpause();
    this.#updateState();
  }

  /**
   * Does not wait for the next attempt to connect: call it when the network is back or the application is in the
   * foreground again. Browsers that tell so by `online` need no call.
   */
  retryNow(): void {
    this.#conductor.retryNow();
  }

  /**
   * Ends after the audio given so far. May be called again for the same answer.
   * @returns resolves when the last final has come, over as many reconnections as it takes
   * @throws TranscriptionError what ended the transcription before
   */
  stop(): Promise<Summary> {
    if (this.#state === 'idle') this.#failed(new TranscriptionError('closed', 'The transcription was never started.'));
    if (this.#stopping || this.#outcome !== undefined) return this.#ended.promise;
    this.#record(this.#input.flush());
    this.#stopping = true;
    this.#conductor.stop();
    return this.#ended.promise;
  }

  /** Ends at once, without waiting for what is still owed. Idempotent. */
  close(): void {
    this.#conductor.close(new TranscriptionError('closed', 'The transcription was closed.'));
  }

  /**
   * Finals and gaps in order, from now on; ends with the transcription, or throws what ended it. A reader that leaves
   * 10,000 unread gets `reader_overflow`.
   */
  [Symbol.asyncIterator](): AsyncIterableIterator<Entry, undefined> {
    return this.#readers.add();
  }

  #record(chunks: readonly Uint8Array[]): void {
    const at = now();
    for (const chunk of chunks) {
      this.#ring.push(chunk, at);
      const dropped = this.#ring.enforce(at);
      if (dropped === undefined) continue;
      this.emit('overflow', gapRange(dropped.fromSample, dropped.toSample, this.#settings.format.sampleRate));
    }
    if (chunks.length > 0) this.#conductor.audioArrived();
  }

  #entry(entry: Entry): void {
    if (entry.kind === 'final') {
      this.#finals += 1;
      this.emit('final', entry);
    } else {
      this.#gaps += 1;
      this.#lostSamples += entry.toSample - entry.fromSample;
      this.emit('gap', entry);
    }
    this.#readers.push(entry);
  }

  #phase(phase: Phase): void {
    if (phase === 'live') {
      this.#wasLive = true;
      this.#started.resolve();
    }
    this.#updateState();
  }

  #updateState(): void {
    const state = this.#stateNow();
    const previous = this.#state;
    if (state === previous) return;
    this.#state = state;
    this.emit('state', { state, previous });
  }

  #stateNow(): TranscriptionState {
    const { phase } = this.#conductor;
    if (this.#outcome !== undefined || phase === 'ended') return 'stopped';
    if (phase === 'idle') return 'idle';
    if (this.#paused) return 'paused';
    if (phase === 'live' || phase === 'queued') return phase;
    return this.#wasLive ? 'resuming' : 'connecting';
  }

  #finished(event: StoppedEvent | undefined): void {
    const { sampleRate } = this.#settings.format;
    const ms = (samples: number) => Math.floor((samples * 1000) / sampleRate);
    this.#settle(undefined);
    this.#started.resolve();
    this.#ended.resolve({
      reason: event?.reason ?? 'client_stop',
      audioMs: ms(this.#ring.end),
      finals: this.#finals,
      gaps: this.#gaps,
      lostMs: ms(this.#lostSamples),
      durable: event?.durable,
      sessions: this.#conductor.sessions,
    });
  }

  #failed(error: TranscriptionError): void {
    this.#settle(error);
    this.#started.reject(error);
    this.#ended.reject(error);
    if (error.code !== 'closed') this.emit('error', error);
  }

  #settle(error: TranscriptionError | undefined): void {
    this.#outcome = { error };
    this.#stopListening();
    this.#readers.end(error);
    this.#updateState();
  }
}

/** Makes a transcription; nothing happens until `start`. See `Transcription`. */
export function createTranscription(options: TranscriptionOptions): Transcription {
  return new Transcription(options);
}

/** Listens where the platform can tell that the network is back. Returns a function that ends it. */
function onNetworkBack(listener: () => void): () => void {
  const { addEventListener, removeEventListener } = globalThis as {
    addEventListener?: (name: string, listener: () => void) => void;
    removeEventListener?: (name: string, listener: () => void) => void;
  };
  if (typeof addEventListener !== 'function' || typeof removeEventListener !== 'function') return () => undefined;
  addEventListener.call(globalThis, 'online', listener);
  return () => removeEventListener.call(globalThis, 'online', listener);
}
