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
import { Backoff } from './backoff.ts';
import { now } from './clock.ts';
import type { Coverage } from './coverage.ts';
import { errorOf, TranscriptionError } from './errors.ts';
import type { Queued, Retry } from './events.ts';
import { Link, type LinkEvents } from './link.ts';
import type { Settings } from './options.ts';
import type { AudioRing } from './ring.ts';
import { Sender } from './sender.ts';
import { ClientSession, type SessionOutput } from './session.ts';
import { Tokens } from './tokens.ts';

/** A connection that has held for so long resets the backoff, in milliseconds. */
const HEALTHY_MS = 5_000;
/** Resumes in a row that did not mend what they were for; then the session is given up and a new one started. */
const MAX_VAIN_RESUMES = 3;

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

export interface ConductorOutput extends SessionOutput {
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
  readonly #backoff: Backoff;
  readonly #tokens: Tokens;
  #phase: Phase = 'idle';
  #link: Link | undefined;
  #limits: Partial<ConnectionLimits> = {};
  #session: ClientSession | undefined;
  #sessions = 0;
  #entries = 0;
  /** The highest used; starts and resumes share one count. */
  #attempt = 0;
  #stopping = false;
  #vainResumes = 0;
  #downSince = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #healthyTimer: ReturnType<typeof setTimeout> | undefined;

  constructor(options: ConductorOptions) {
    const { coverage, output, ring, settings } = options;
    this.#options = options;
    this.#backoff = new Backoff(settings.backoff);
    this.#tokens = new Tokens(settings.token);
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
    return this.#sessions;
  }

  begin(): void {
    this.#downSince = now();
    void this.#connect();
  }

  /** Audio was added to the ring. */
  audioArrived(): void {
    this.#session?.forgetSilence(this.sender.received);
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
        if (this.#isOurs(event) && this.#session?.result(event) === false) this.#skipped();
        else if (!event.is_partial) this.#noteEntry(event);
      },
      transcription_gap: (event) => {
        if (this.#isOurs(event) && this.#session?.gap(event) === false) this.#skipped();
        else this.#noteEntry(event);
      },
      audio_ack: (event) => {
        this.#session?.acknowledged(event);
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
    if (this.#session !== undefined) {
      ring.pinned = true;
      this.#link?.emit('resume_transcription', this.#session.resumeMessage(this.#attempt));
      return;
    }
    const message = { ...settings.start, start_key: startKey, attempt: this.#attempt, acks: true };
    this.#link?.emit('start_transcription', message);
  }

  #started(event: StartedEvent): void {
    if (this.#phase !== 'asking' && this.#phase !== 'queued') return;
    const session = this.#sessionOf(event);
    session.sawEpoch(event.epoch);
    const timeline = session.timeline ?? session.begin();
    this.#goLive(timeline.base.chunks + 1);
  }

  #queued(event: QueuedEvent): void {
    if (this.#phase !== 'asking' && this.#phase !== 'queued') return;
    this.#sessionOf(event).sawEpoch(event.epoch);
    this.#link?.settle();
    this.#options.ring.pinned = false;
    this.#moveTo('queued');
    this.#options.output.queued({ position: event.position, etaMs: event.eta_ms });
  }

  #resumed(event: ResumedEvent): void {
    const session = this.#session;
    if (session === undefined || !this.#isOurs(event)) return;
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
    const { link, session } = { link: this.#link, session: this.#session };
    if (link === undefined || session?.timeline === undefined) return;
    ring.pinned = false;
    link.settle();
    this.#tokens.accepted();
    this.#moveTo('live');
    this.#healthyTimer = setTimeout(() => this.#healthy(), HEALTHY_MS);
    this.sender.attach(link, session.timeline, from, session.resumable, this.#limits);
  }

  #sessionOf(event: { session_id?: string; resume_token?: string; epoch?: number }): ClientSession {
    if (this.#session !== undefined && this.#session.id === event.session_id) return this.#session;
    const { coverage, output, ring, settings } = this.#options;
    this.#sessions += 1;
    this.#session = new ClientSession({
      id: event.session_id,
      resumeToken: event.resume_token,
      epoch: event.epoch,
      ring,
      coverage,
      ...settings.format,
      entriesBefore: this.#entries,
      output: {
        partial: (partial) => output.partial(partial),
        entry: (entry) => {
          this.#entries = entry.seq;
          output.entry(entry);
        },
      },
    });
    return this.#session;
  }

  #isOurs(event: { session_id?: string }): boolean {
    return event.session_id === undefined || event.session_id === this.#session?.id;
  }

  /** A live entry shows that the connection works; replayed ones come before the session does. */
  #noteEntry(event: { replayed?: boolean }): void {
    if (this.#phase === 'live' && event.replayed !== true) this.#healthy();
  }

  #healthy(): void {
    this.#backoff.reset();
    this.#vainResumes = 0;
  }

  #skipped(): void {
    this.#resumeForRepair('The gateway skipped an entry.');
  }

  /** Something does not fit and a resume says what we have. If that does not help, the session is not worth more. */
  #resumeForRepair(reason: string): void {
    const error = new TranscriptionError('internal', reason);
    this.#vainResumes += 1;
    if (this.#vainResumes > MAX_VAIN_RESUMES) this.#gone(error);
    else this.#lost(error);
  }

  #stopped(event: StoppedEvent): void {
    const session = this.#session;
    if (session === undefined || !this.#isOurs(event)) return;
    const { ring, settings } = this.#options;
    // What a session received before it was stopped has its entries now.
    const base = session.timeline?.base.samples ?? ring.oldest.offset;
    const heard = base + Math.ceil((((event.audio_ms ?? 0) + 1) * settings.format.sampleRate) / 1000);
    if (this.#stopping && (this.sender.stopSent || heard >= ring.end)) {
      this.#finish(event);
      return;
    }
    if (event.reason !== 'draining') {
      this.#finish(event);
      return;
    }
    session.completed(Math.max(this.sender.received, heard - settings.format.sampleRate / 1000));
    this.#gone(new TranscriptionError('draining', 'The gateway is shutting down and has ended the session.'));
  }

  #draining(event: DrainingEvent): void {
    // Without resume it is better to stay: the server sends the last finals itself.
    if (this.#session?.resumable !== true) return;
    const within = Math.max(0, event.reconnect_within_ms);
    const delay = Math.random() * Math.min(within, event.jitter_ms ?? within);
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#disconnect();
      void this.#connect();
    }, delay);
  }

  #takenOver(event: TakenOverEvent): void {
    const session = this.#session;
    // A notice about an epoch that is not above ours is about an owner before us.
    if (session === undefined || !this.#isOurs(event) || event.epoch <= session.epoch) return;
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
    const error = errorOf(event);
    if (this.#session !== undefined && !this.#isOurs(event)) return;
    switch (error.code) {
      case 'chunk_gap':
        if (event.expected !== undefined) this.sender.goBackTo(event.expected);
        return;
      case 'bad_audio':
        return;
      case 'audio_rate_exceeded':
      case 'rate_exceeded':
        // The reply to the chunk says the same, and which chunk it is.
        if (this.#phase !== 'live') this.#lost(error);
        return;
      case 'no_session':
      case 'resume_expired':
        this.#gone(error);
        return;
      case 'resume_refused':
        this.#resumeRefused(error, event.attempt);
        return;
      case 'unauthorized':
        this.#unauthorized(error);
        return;
      default:
        this.#lost(error);
    }
  }

  /** Only an attempt of our own that came late may be outbid: anything above ours is another device. */
  #resumeRefused(error: TranscriptionError, attempt: number | undefined): void {
    const own = attempt !== undefined && attempt <= this.#attempt;
    if (!own && !(attempt !== undefined && this.#options.settings.exclusive)) {
      this.#fail(error);
      return;
    }
    this.#attempt = Math.max(this.#attempt, attempt);
    this.#retry(error);
  }

  #unauthorized(error: TranscriptionError): void {
    if (this.#tokens.refuse()) this.#retry(error);
    else this.#fail(error);
  }

  /** The session does not exist any more: the next one gets what is not covered. */
  #gone(error: TranscriptionError): void {
    this.#session = undefined;
    this.#vainResumes = 0;
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
    const { coverage, output, ring, settings } = this.#options;
    if (this.#session?.resumable !== true) this.#session = undefined;
    if (this.#session === undefined && this.#stopping && coverage.position >= ring.end) {
      this.#finish(undefined);
      return;
    }
    if (now() - this.#downSince > (settings.backoff.giveUpAfterMs ?? Infinity)) {
      this.#fail(error);
      return;
    }
    const delayMs = this.#backoff.next(error.retryAfterMs);
    this.#moveTo('waiting');
    this.#timer = setTimeout(() => void this.#connect(), delayMs);
    output.retry({ error, delayMs });
  }

  #disconnect(): void {
    clearTimeout(this.#timer);
    clearTimeout(this.#healthyTimer);
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
    if (this.#phase === 'live' || this.#phase === 'queued') this.#downSince = now();
    this.#phase = phase;
    this.#options.output.phase(phase);
  }
}
