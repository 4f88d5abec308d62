import { type ChildProcess, fork } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { tmpdir } from 'node:os';
import { dirname, extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { GatewayError, toGatewayError } from '../../errors.ts';
import type { Installation } from './installation.ts';
import { LocalStream } from './local-stream.ts';
import type { FromRecogniser, ToRecogniser } from './messages.ts';
import { removePrivateModel } from './private-model.ts';

/** A start takes about 1 s; a process that is not ready after this will not become so. */
const LOAD_TIMEOUT_MS = 30_000;
/** Kept of what a process writes to its standard error: enough for a native fault's message. */
const STDERR_TAIL_CHARACTERS = 4_096;
/** How often streams are looked at within the time that makes a process count as hung. */
const HANG_TICKS = 20;

export interface RecogniserProcessOptions {
  readonly installation: Installation;
  /** Hertz. */
  readonly sampleRate: number;
  /** Native calls at once, each on a thread of its own. */
  readonly threads: number;
  /** Speech to measure the cost on; without it nothing is measured. */
  readonly calibrationAudio: Buffer | undefined;
  /** A process that owes an answer for this long, in milliseconds, is killed. */
  readonly hangTimeoutMs: number;
}

export interface RecogniserProcessListener {
  /** A stream was opened or closed. */
  streamsChanged(): void;
  /** A stream broke, and its session can be expected to open another. */
  sessionBroken(): void;
  /** Audio was decoded `lagMs` milliseconds after it was given. */
  processed(lagMs: number): void;
}

/** How a process ended. */
export interface RecogniserExit {
  readonly exitCode: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly hung: boolean;
}

/** One recogniser process that has loaded its model. A fault in native code ends it, and nothing else. */
export class RecogniserProcess {
  /** Resolves when the process is gone and its streams have broken. Never rejects. */
  readonly exited: Promise<RecogniserExit>;
  /** Seconds of processor time per second of speech, if measured. */
  cpuPerAudioSecond: number | undefined;
  readonly #child: ChildProcess;
  readonly #listener: RecogniserProcessListener;
  readonly #streams = new Map<number, LocalStream>();
  /**
   * Streams whose `open` the process has not answered, also those that were aborted meanwhile. It makes one recogniser
   * at a time, so all of them wait for the same native call.
   */
  readonly #opening = new Set<number>();
  #stalledOpenTicks = 0;
  #nextStream = 1;
  #hung = false;
  #stderr = '';
  readonly #stderrEnded = Promise.withResolvers<void>();

  private constructor(child: ChildProcess, exited: Promise<RecogniserExit>, listener: RecogniserProcessListener) {
    this.#child = child;
    this.exited = exited;
    this.#listener = listener;
  }

  /**
   * Starts a process and waits until its model is loaded.
   * @throws GatewayError `engine_unavailable` with the reason for the operator, when it fails or `signal` aborts
   */
  static async launch(
    options: RecogniserProcessOptions,
    listener: RecogniserProcessListener,
    signal: AbortSignal,
  ): Promise<RecogniserProcess> {
    signal.throwIfAborted();
    const child = spawn(options);
    const exit = Promise.withResolvers<RecogniserExit>();
    const recogniser = new RecogniserProcess(child, exit.promise, listener);
    recogniser.#watch(exit.resolve, options.hangTimeoutMs);
    const privateDirectory = options.installation.isBundledModel
      ? join(tmpdir(), `transcribe-gateway-model-${randomUUID()}`)
      : undefined;
    try {
      await recogniser.#load(options, privateDirectory, signal);
      return recogniser;
    } catch (error) {
      child.kill('SIGKILL');
      await recogniser.exited;
      // The process removes it itself, unless it died while it loaded.
      if (privateDirectory !== undefined) removePrivateModel(privateDirectory);
      throw withLastWords(toGatewayError(error), await recogniser.lastWords());
    }
  }

  get pid(): number {
    return this.#child.pid ?? -1;
  }

  /** Streams that are open or opening, also those that were given up while the process still has to open them. */
  get openStreams(): number {
    let givenUp = 0;
    for (const id of this.#opening) if (!this.#streams.has(id)) givenUp++;
    return this.#streams.size + givenUp;
  }

  /** Age in milliseconds of the oldest audio that is not decoded yet, over all streams. */
  get lagMs(): number {
    const now = performance.now();
    let oldest = 0;
    for (const stream of this.#streams.values()) oldest = Math.max(oldest, stream.lagMs(now));
    return oldest;
  }

  open(): LocalStream {
    const id = this.#nextStream++;
    const stream = new LocalStream({
      audio: (audio) => this.#send({ type: 'audio', stream: id, audio }),
      end: () => this.#send({ type: 'end', stream: id }),
      abort: () => this.#send({ type: 'abort', stream: id }),
      closed: (brokenBy) => {
        this.#streams.delete(id);
        if (brokenBy?.retryable) this.#listener.sessionBroken();
        this.#listener.streamsChanged();
      },
      processed: (lagMs) => this.#listener.processed(lagMs),
    });
    this.#streams.set(id, stream);
    this.#opening.add(id);
    this.#send({ type: 'open', stream: id });
    this.#listener.streamsChanged();
    return stream;
  }

  /**
   * The end of the standard error of a process that has exited. Native messages only: recognised text never goes there.
   */
  async lastWords(): Promise<string> {
    await this.#stderrEnded.promise;
    return this.#stderr.trim();
  }

  /**
   * Aborts its streams and kills the process. It has nothing to save, and one that is stuck or stopped would make whoever
   * asks it to go wait. Idempotent.
   */
  async stop(): Promise<void> {
    for (const stream of [...this.#streams.values()]) stream.abort();
    this.#child.kill('SIGKILL');
    await this.exited;
  }

  async #load(
    options: RecogniserProcessOptions,
    privateDirectory: string | undefined,
    signal: AbortSignal,
  ): Promise<void> {
    const loaded = Promise.withResolvers<number | undefined>();
    this.#child.on('message', (message) => this.#receive(message as FromRecogniser, loaded));
    const fail = (reason: string) => loaded.reject(new GatewayError('engine_unavailable', reason));
    const abort = () => fail('The engine was closed while a recogniser process started.');
    const timer = setTimeout(() => fail('A recogniser process did not load its model in time.'), LOAD_TIMEOUT_MS);
    signal.addEventListener('abort', abort, { once: true });
    void this.exited.then(({ exitCode, signal: by }) =>
      fail(`A recogniser process ended while it started (exit code ${exitCode}, signal ${by}).`),
    );
    this.#send({
      type: 'load',
      libraryPath: options.installation.libraryPath,
      modelPath: options.installation.modelPath,
      privateDirectory,
      sampleRate: options.sampleRate,
      threads: options.threads,
      calibrationAudio: options.calibrationAudio,
    });
    try {
      this.cpuPerAudioSecond = await loaded.promise;
    } finally {
      clearTimeout(timer);
      signal.removeEventListener('abort', abort);
    }
  }

  #watch(resolveExit: (exit: RecogniserExit) => void, hangTimeoutMs: number): void {
    // Ticks, not elapsed time: when our own process was stopped or blocked, the children are not to blame.
    const watchdog = setInterval(() => this.#killIfHung(), hangTimeoutMs / HANG_TICKS);
    watchdog.unref();
    const finish = (exitCode: number | null, signal: NodeJS.Signals | null) => {
      clearInterval(watchdog);
      for (const stream of [...this.#streams.values()]) {
        stream.break(
          new GatewayError('engine_unavailable', 'The recogniser process of this stream ended.', { retryable: true }),
        );
      }
      resolveExit({ exitCode, signal, hung: this.#hung });
    };
    this.#child.on('exit', finish);
    // The process could not be spawned: then there is no 'exit'. Other errors (a failed kill or send) change nothing.
    this.#child.on('error', (error) => {
      if (this.#child.pid !== undefined) return;
      this.#stderr = error.message;
      this.#stderrEnded.resolve();
      finish(null, null);
    });
    // 'exit' can come while the last output is still in the pipe.
    this.#child.on('close', () => this.#stderrEnded.resolve());
    this.#child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr = (this.#stderr + text).slice(-STDERR_TAIL_CHARACTERS);
    });
  }

  #killIfHung(): void {
    this.#stalledOpenTicks = this.#opening.size > 0 ? this.#stalledOpenTicks + 1 : 0;
    let stalledTicks = this.#stalledOpenTicks;
    for (const stream of this.#streams.values()) stalledTicks = Math.max(stalledTicks, stream.tick());
    if (stalledTicks < HANG_TICKS) return;
    this.#hung = true;
    this.#child.kill('SIGKILL');
  }

  #receive(message: FromRecogniser, loaded: PromiseWithResolvers<number | undefined>): void {
    switch (message.type) {
      case 'ready':
        loaded.resolve(message.cpuPerAudioSecond);
        break;
      case 'loadFailed':
        loaded.reject(
          new GatewayError('engine_unavailable', `A recogniser process could not load the model: ${message.reason}.`, {
            retryable: false,
          }),
        );
        break;
      case 'stream':
        this.#openAnswered(message.stream);
        this.#streams.get(message.stream)?.receive(message.report);
        break;
      default:
        message satisfies never;
    }
  }

  /** Any report of a stream says that it is not being opened any more. */
  #openAnswered(stream: number): void {
    if (!this.#opening.delete(stream)) return;
    this.#stalledOpenTicks = 0;
    if (!this.#streams.has(stream)) this.#listener.streamsChanged();
  }

  #send(message: ToRecogniser): void {
    if (!this.#child.connected) return;
    // A failed send means that the process is going: 'exit' follows and breaks the streams.
    this.#child.send(message, undefined, {}, () => {});
  }
}

/** Adds what the native code said, which names the cause more often than we can. For the operator, like the rest. */
function withLastWords(error: GatewayError, lastWords: string): GatewayError {
  if (lastWords === '') return error;
  const { code, message, retryable } = error;
  return new GatewayError(code, `${message} Its last words: ${lastWords}`, { retryable, cause: error });
}

function spawn(options: RecogniserProcessOptions): ChildProcess {
  // Source in development, compiled in the package: the entry lies beside this file and ends as it does.
  const entry = fileURLToPath(new URL(`./recogniser${extname(import.meta.url)}`, import.meta.url));
  return fork(entry, [], {
    serialization: 'advanced',
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    // Nothing is inherited: an inspector's port can be bound once, and loaders of a test runner are not wanted.
    execArgv: [],
    env: {
      // On Windows the library finds the three DLLs beside it here. Node adds what Windows itself requires.
      PATH: dirname(options.installation.libraryPath),
      UV_THREADPOOL_SIZE: String(options.threads),
    },
  });
}
