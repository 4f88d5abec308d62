import { AudioSourceError } from './audio-source.ts';
import { EXIT, type ExitStatus } from './exit.ts';
import type { TranscriptView } from './transcript-view.ts';

/** How long an interrupted command waits for the last finals, in milliseconds. */
const INTERRUPT_GRACE_MS = 5_000;

/** What Ctrl-C has to know of the transcription that runs. */
interface Interruptible {
  /** Whether a session has started: before that there are no finals to wait for. */
  hasStarted(): boolean;
  /** Asks for the last finals. */
  stop(): void;
}

/**
 * How the stream command ends. Whatever happens first, an event or a signal, settles the exit status; once interrupted
 * it is that of an interrupted command, whatever becomes of the last finals.
 */
export class Ending {
  readonly #view: TranscriptView;
  readonly #running: Interruptible;
  readonly #status = Promise.withResolvers<ExitStatus>();
  readonly #sending = new AbortController();
  #interrupted = false;

  constructor(view: TranscriptView, running: Interruptible) {
    this.#view = view;
    this.#running = running;
  }

  /** Aborted when no more audio is to be sent. */
  get sending(): AbortSignal {
    return this.#sending.signal;
  }

  finish(status: ExitStatus): void {
    this.#status.resolve(this.#interrupted ? EXIT.interrupted : status);
  }

  /** The audio could not be read, or not be sent; after the sending was stopped that is no news. */
  sendingFailed(error: unknown): void {
    if (this.#sending.signal.aborted) return;
    this.#view.note(error instanceof AudioSourceError ? error.message : `Sending failed: ${(error as Error).message}.`);
    this.finish(EXIT.usage);
  }

  /** Resolves with the exit status; until then it listens to Ctrl-C. */
  async wait(): Promise<ExitStatus> {
    const onInterrupt = () => this.#interrupt();
    process.on('SIGINT', onInterrupt);
    try {
      return await this.#status.promise;
    } finally {
      this.#sending.abort();
      process.off('SIGINT', onInterrupt);
    }
  }

  /** The first Ctrl-C stops the sending and waits for the last finals, the second one does not wait. */
  #interrupt(): void {
    const waits = this.#running.hasStarted() && !this.#interrupted;
    this.#interrupted = true;
    this.#sending.abort();
    if (!waits) {
      this.#status.resolve(EXIT.interrupted);
      return;
    }
    this.#view.note('Interrupted: waiting for the last finals. Press Ctrl-C again to leave them.');
    this.#running.stop();
    setTimeout(() => this.#status.resolve(EXIT.interrupted), INTERRUPT_GRACE_MS).unref();
  }
}
