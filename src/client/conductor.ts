import { msToSamples } from '../protocol/audio.ts';
import type {
  ConnectionLimits,
  DrainingEvent,
  ErrorEvent,
  QueuedEvent,
  ResumedEvent,
  StartedEvent,
  StoppedEvent,
  TakenOverEvent,
} from '../protocol/events.ts';
import type { Coverage } from './coverage.ts';
import { errorOf, TranscriptionError } from './errors.ts';
import type { Queued, Retry } from './events.ts';
import { Link, type LinkEvents } from './link.ts';
import type { Settings } from './options.ts';
import { Patience } from './patience.ts';
import { judge } from './refusals.ts';
import type { AudioRing } from './ring.ts';
import { Sender } from './sender.ts';
import type { SessionOutput } from './session.ts';
import { Sessions } from './sessions.ts';
import { Tokens } from './tokens.ts';

/**
 * - `idle`: nothing was begun.
 * - `waiting`: until the next attempt.
 * - `connecting`: a connection is being made.
 * - `asking`: a start or a resume was sent.
 * - `queued`: the server will say when a place is free.
 * - `live`: audio goes out.
 * - `ended`: nothing happens any more.
 */
export type Phase = 'idle' | 'waiting' | 'connecting' | 'asking' | 'queued' | 'live' | 'ended';

interface ConductorOutput extends SessionOutput {
  phase(phase: Phase): void;
  retry(retry: Retry): void;
  queued(queued: Queued): void;
  takenOver(epoch: number): void;
  warning(error: TranscriptionError): void;
  /** Once; `stopped` is undefined when the last session was gone and nothing of the audio was left. */
  finished(stopped: StoppedEvent | undefined): void;
  failed(error: TranscriptionError): void;
}

interface ConductorOptions {
  readonly settings: Settings;
  /** The same for every session: the server then ends an earlier one that it still has. */
  readonly startKey: string;
  readonly ring: AudioRing;
  readonly coverage: Coverage;
  readonly output: ConductorOutput;
}

/**
 * Keeps a session of the gateway under the audio: connects, starts or resumes, and begins again when a connection or a
 * session is lost. It has one connection at a time; a resume is always sent on a fresh one, when nothing of an earlier
 * one can be heard any more. `#moveTo` is the one writer of the phase.
 */
export class Conductor {
  readonly sender: Sender;
  readonly #options: ConductorOptions;
  readonly #patience: Patience;
  readonly #tokens: Tokens;
  readonly #sessions: Sessions;
  #phase: Phase = 'idle';
  #link: Link | undefined;
  #limits: Partial<ConnectionLimits> = {};
  /** The highest used; starts and resumes share one count. */
  #attempt = 0;
  #stopping = false;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(options: ConductorOptions) {
    const { coverage, output, ring, settings } = options;
    this.#options = options;
    this.#patience = new Patience(settings.backoff);
    this.#tokens = new Tokens(settings.token);
    this.#sessions = new Sessions({ ring, coverage, ...settings.format, output });
    this.sender = new Sender(ring, coverage, settings.format.sampleRate, {
      hole: () => this.#resumeForRepair('A chunk that the gateway needs is not held any more.'),
      badAudio: (error) => output.warning(error),
      outOfOrder: (error) => this.#lost(error),
    });
  }

  get phase(): Phase {
    return this.#phase;
  }

  /** Sessions of the gateway so far. */
  get sessions(): number {
    return this.#sessions.count;
  }

  begin(): void {
    void this.#connect();
  }

  /** Audio was added to the ring. */
  audioArrived(): void {
    this.#sessions.current?.forgetSilence(this.sender.received);
    this.sender.pump();
  }

  /** Ends after the audio recorded so far, however many connections that takes. */
  stop(): void {
    this.#stopping = true;
    this.sender.stop();
  }

  /** Ends at once, with whatever came so far. */
  close(error: TranscriptionError): void {
    this.#link?.emit('stop_transcription');
    this.#fail(error);
  }

  async #connect(): Promise<void> {
    this.#moveTo('connecting');
    let token: string | undefined;
    try {
      token = await this.#tokens.get();
    } catch (error) {
      this.#lost(error as TranscriptionError);
      return;
    }
    if (this.#phase !== 'connecting') return;
    const { socket, unresponsiveMs, url } = this.#options.settings;
    this.#link = new Link({ url, token, socket, unresponsiveMs }, this.#events());
    this.#link.owe();
  }

  #events(): LinkEvents {
    return {
      connected: (event) => {
        this.#link?.settle();
        if (event.protocol !== 2) {
          this.#fail(new TranscriptionError('unsupported_server', 'The server speaks version 1 of the protocol only.'));
          return;
        }
        this.#limits = event.limits ?? {};
        this.#ask();
      },
      transcription_started: (event) => this.#started(event),
      transcription_queued: (event) => this.#queued(event),
      transcription_resumed: (event) => this.#resumed(event),
      transcription_result: (event) => {
        if (this.#sessions.isOurs(event) && this.#sessions.current?.result(event) === false)
          this.#resumeForRepair('The gateway skipped an entry.');
        else if (!event.is_partial) this.#noteEntry(event);
      },
      transcription_gap: (event) => {
        if (this.#sessions.isOurs(event) && this.#sessions.current?.gap(event) === false)
          this.#resumeForRepair('The gateway skipped an entry.');
        else this.#noteEntry(event);
      },
      audio_ack: (event) => {
        this.#sessions.current?.acknowledged(event);
        this.sender.pump();
      },
      transcription_stopped: (event) => this.#stopped(event),
      server_draining: (event) => this.#draining(event),
      taken_over: (event) => this.#takenOver(event),
      error: (event) => this.#refused(event),
      closed: (error) => (error.code === 'unauthorized' ? this.#unauthorized(error) : this.#lost(error)),
    };
  }

  /** Starts a session, or resumes the one there is. */
  #ask(): void {
    const { ring, settings, startKey } = this.#options;
    this.#moveTo('asking');
    this.#attempt += 1;
    this.#link?.owe();
    if (this.#sessions.current !== undefined) {
      ring.pinned = true;
      this.#link?.emit('resume_transcription', this.#sessions.current.resumeMessage(this.#attempt));
      return;
    }
    const message = { ...settings.start, start_key: startKey, attempt: this.#attempt, acks: true };
    this.#link?.emit('start_transcription', message);
  }

  #started(event: StartedEvent): void {
    if (this.#phase !== 'asking' && this.#phase !== 'queued') return;
    const session = this.#sessions.of(event);
    session.sawEpoch(event.epoch);
    const timeline = session.timeline ?? session.begin();
    this.#goLive(timeline.base.chunks + 1);
  }

  #queued(event: QueuedEvent): void {
    if (this.#phase !== 'asking' && this.#phase !== 'queued') return;
    this.#sessions.of(event).sawEpoch(event.epoch);
    this.#link?.settle();
    this.#options.ring.pinned = false;
    this.#moveTo('queued');
    this.#options.output.queued({ position: event.position, etaMs: event.eta_ms });
  }

  #resumed(event: ResumedEvent): void {
    const session = this.#sessions.current;
    if (session === undefined || !this.#sessions.isOurs(event)) return;
    session.sawEpoch(event.epoch);
    const timeline = session.timeline ?? session.begin();
    const next = timeline.base.chunks + event.next_chunk;
    const { ring } = this.#options;
    if (next > ring.last + 1) {
      // It knows chunks that were never recorded: whatever session that is, it is not this one.
      this.#gone(new TranscriptionError('resume_expired', 'The gateway resumed another session.'));
      return;
    }
    this.#goLive(next);
  }

  #goLive(from: number): void {
    const { ring } = this.#options;
    const { link, session } = { link: this.#link, session: this.#sessions.current };
    if (link === undefined || session?.timeline === undefined) return;
    ring.pinned = false;
    link.settle();
    this.#tokens.accepted();
    this.#moveTo('live');
    this.sender.attach(link, session.timeline, from, session.resumable, this.#limits);
  }

  /** A live entry shows that the connection works; replayed ones come before the session does. */
  #noteEntry(event: { replayed?: boolean }): void {
    if (this.#phase === 'live' && event.replayed !== true) this.#patience.healthy();
  }

  /** Something does not fit and a resume says what we have. If that does not help, the session is not worth more. */
  #resumeForRepair(reason: string): void {
    const error = new TranscriptionError('internal', reason);
    if (this.#patience.mayRepair()) this.#lost(error);
    else this.#gone(error);
  }

  #stopped(event: StoppedEvent): void {
    const session = this.#sessions.current;
    if (session === undefined || !this.#sessions.isOurs(event)) return;
    const { ring, settings } = this.#options;
    // What a session received before it was stopped has its entries now.
    const base = session.timeline?.base.samples ?? ring.oldest.offset;
    const heard = base + msToSamples(event.audio_ms ?? 0, settings.format.sampleRate);
    if (event.reason !== 'draining' || (this.#stopping && this.sender.stopSent)) {
      this.#finish(event);
      return;
    }
    session.completed(Math.max(this.sender.received, heard));
    this.#gone(new TranscriptionError('draining', 'The gateway is shutting down and has ended the session.'));
  }

  #draining(event: DrainingEvent): void {
    // Without resume it is better to stay: the server sends the last finals itself.
    if (this.#sessions.current?.resumable !== true) return;
    const within = Math.max(0, event.reconnect_within_ms);
    const delay = Math.random() * Math.min(within, event.jitter_ms ?? within);
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#disconnect();
      void this.#connect();
    }, delay);
  }

  #takenOver(event: TakenOverEvent): void {
    const session = this.#sessions.current;
    // A notice about an epoch that is not above ours is about an owner before us.
    if (session === undefined || !this.#sessions.isOurs(event) || event.epoch <= session.epoch) return;
    const error = new TranscriptionError('taken_over', 'Another connection goes on with the session.');
    if (this.#options.settings.exclusive) {
      session.sawEpoch(event.epoch);
      this.#lost(error);
      return;
    }
    this.#options.output.takenOver(event.epoch);
    this.#fail(error);
  }

  #refused(event: ErrorEvent): void {
    if (this.#sessions.current !== undefined && !this.#sessions.isOurs(event)) return;
    const error = errorOf(event);
    const { exclusive } = this.#options.settings;
    const verdict = judge(event, { live: this.#phase === 'live', attempt: this.#attempt, exclusive });
    switch (verdict.kind) {
      case 'nothing':
        return;
      case 'go-back':
        this.sender.goBackTo(verdict.chunk);
        return;
      case 'new-session':
        this.#gone(error);
        return;
      case 'new-token':
        this.#unauthorized(error);
        return;
      case 'retry':
        this.#attempt = Math.max(this.#attempt, verdict.attempt ?? 0);
        this.#retry(error);
        return;
      case 'fail':
        this.#fail(error);
    }
  }

  #unauthorized(error: TranscriptionError): void {
    if (this.#tokens.refuse()) this.#retry(error);
    else this.#fail(error);
  }

  /** The session does not exist any more: the next one gets what is not covered. */
  #gone(error: TranscriptionError): void {
    this.#sessions.forget();
    this.#retry(error);
  }

  #lost(error: TranscriptionError): void {
    const isOurDoing = error.code === 'taken_over';
    if (error.retryable || isOurDoing) this.#retry(error);
    else this.#fail(error);
  }

  #retry(error: TranscriptionError): void {
    if (this.#phase === 'ended') return;
    this.#disconnect();
    const { coverage, output, ring } = this.#options;
    this.#sessions.connectionLost();
    if (this.#sessions.current === undefined && this.#stopping && coverage.position >= ring.end) {
      this.#finish(undefined);
      return;
    }
    const delayMs = this.#patience.next(error);
    if (delayMs === undefined) {
      this.#fail(error);
      return;
    }
    this.#moveTo('waiting');
    this.#timer = setTimeout(() => void this.#connect(), delayMs);
    output.retry({ error, delayMs });
  }

  #disconnect(): void {
    clearTimeout(this.#timer);
    this.#patience.down();
    this.sender.detach();
    this.#link?.close();
    this.#link = undefined;
    this.#options.ring.pinned = false;
  }

  #finish(event: StoppedEvent | undefined): void {
    if (this.#end()) this.#options.output.finished(event);
  }

  #fail(error: TranscriptionError): void {
    if (this.#end()) this.#options.output.failed(error);
  }

  #end(): boolean {
    if (this.#phase === 'ended') return false;
    this.#disconnect();
    this.#moveTo('ended');
    this.sender.release();
    return true;
  }

  #moveTo(phase: Phase): void {
    if (this.#phase === phase) return;
    this.#phase = phase;
    if (phase === 'live' || phase === 'queued') this.#patience.up();
    this.#options.output.phase(phase);
  }
}
