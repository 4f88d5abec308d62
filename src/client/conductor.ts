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
import type { Queued, Retry, SessionInfo } from './events.ts';
import { Lifeline, type Phase } from './lifeline.ts';
import type { LinkEvents } from './link.ts';
import type { Settings } from './options.ts';
import { judge } from './refusals.ts';
import type { AudioRing } from './ring.ts';
import { Sender } from './sender.ts';
import type { ClientSession, SessionOutput } from './session.ts';
import { Sessions } from './sessions.ts';

/** Reasons of an end that is the session's and not the transcription's. */
const UNWANTED_ENDS = new Set(['draining', 'error']);

interface ConductorOutput extends SessionOutput {
  phase(phase: Phase): void;
  retry(retry: Retry): void;
  queued(queued: Queued): void;
  session(session: SessionInfo): void;
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
 * one can be heard any more.
 */
export class Conductor {
  readonly sender: Sender;
  readonly #options: ConductorOptions;
  readonly #line: Lifeline;
  readonly #sessions: Sessions;
  #limits: Partial<ConnectionLimits> = {};
  /** The highest used; starts and resumes share one count. */
  #attempt = 0;
  #stopping = false;
  #paused = false;

  constructor(options: ConductorOptions) {
    const { coverage, output, ring, settings } = options;
    this.#options = options;
    this.#line = new Lifeline(settings, {
      link: () => this.#events(),
      dropped: () => {
        this.sender.detach();
        ring.pinned = false;
      },
      phase: (phase) => output.phase(phase),
    });
    this.#sessions = new Sessions({ ring, coverage, ...settings.format, output });
    this.sender = new Sender(ring, coverage, settings.format.sampleRate, {
      notTaken: () => this.#resumeForRepair('The gateway does not take a chunk that it asks for.'),
      hole: () => this.#resumeForRepair('A chunk that the gateway needs is not held any more.'),
      outOfOrder: (error) => this.#lost(error),
    });
  }

  get phase(): Phase {
    return this.#line.phase;
  }

  /** Sessions of the gateway so far. */
  get sessions(): number {
    return this.#sessions.count;
  }

  begin(): void {
    this.#line.connect();
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
    // Whoever has said nothing need not wait until it could be heard.
    const { coverage, ring } = this.#options;
    if (this.phase === 'queued' && coverage.position >= ring.end) {
      this.#line.link?.emit('stop_transcription', { last_chunk: 0 });
    }
    if (this.phase === 'waiting' && this.#isIdle()) this.#finish(undefined);
  }

  /** After the audio recorded so far the session is parked. */
  pause(): void {
    this.#paused = true;
    this.sender.pause();
  }

  unpause(): void {
    this.#paused = false;
    this.sender.unpause();
    if (this.phase === 'waiting') this.#line.connect();
  }

  /** Does not wait for the next attempt. */
  retryNow(): void {
    if (this.phase === 'waiting' && !this.#isIdle()) this.#line.connect();
  }

  /** Ends at once, with whatever came so far. */
  close(error: TranscriptionError): void {
    this.#line.link?.emit('stop_transcription');
    this.#fail(error);
  }

  #events(): LinkEvents {
    return {
      connected: (event) => {
        if (this.phase !== 'connecting') return;
        this.#line.link?.settle();
        this.#limits = event.limits ?? {};
        if (event.protocol === 2) this.#ask();
        else
          this.#fail(new TranscriptionError('unsupported_server', 'The server speaks version 1 of the protocol only.'));
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
      token_expired: () => this.#line.renewToken(),
      error: (event) => this.#refused(event),
      closed: (error) => (error.code === 'unauthorized' ? this.#unauthorized(error) : this.#lost(error)),
    };
  }

  /** Starts a session, or resumes the one there is. */
  #ask(): void {
    const { ring, settings, startKey } = this.#options;
    this.#line.moveTo('asking');
    this.#attempt += 1;
    this.#line.link?.owe();
    if (this.#sessions.current !== undefined) {
      ring.pinned = true;
      this.#line.link?.emit('resume_transcription', this.#sessions.current.resumeMessage(this.#attempt));
      return;
    }
    const message = { ...settings.start, start_key: startKey, attempt: this.#attempt, acks: true };
    this.#line.link?.emit('start_transcription', message);
  }

  #started(event: StartedEvent): void {
    if (this.phase !== 'asking' && this.phase !== 'queued') return;
    const session = this.#sessions.of(event);
    session.sawEpoch(event.epoch);
    this.#announce(session, event);
    const timeline = session.timeline ?? session.begin();
    // One that had to wait when it went on already has some of it, and drops what it has.
    this.#goLive(Math.max(timeline.base.chunks + 1, this.#options.ring.oldest.number));
  }

  #queued(event: QueuedEvent): void {
    const goesOn = this.phase === 'live' && this.#sessions.isOurs(event);
    if (!goesOn && this.phase !== 'asking' && this.phase !== 'queued') return;
    this.#sessions.of(event).sawEpoch(event.epoch);
    if (goesOn) this.sender.hold();
    else this.#line.link?.settle();
    this.#options.ring.pinned = false;
    this.#line.moveTo('queued');
    this.#options.output.queued({ position: event.position, etaMs: event.eta_ms });
  }

  #resumed(event: ResumedEvent): void {
    const session = this.#sessions.current;
    if (session === undefined || !this.#sessions.isOurs(event)) return;
    session.sawEpoch(event.epoch);
    // A session that was queued until now has had no audio yet.
    const wasBegun = session.timeline !== undefined;
    const timeline = session.timeline ?? session.begin();
    const next = timeline.base.chunks + event.next_chunk;
    const { ring } = this.#options;
    if (next > ring.last + 1) {
      // It knows chunks that were never recorded: whatever session that is, it is not this one.
      this.#gone(new TranscriptionError('resume_expired', 'The gateway resumed another session.'));
      return;
    }
    this.#announce(session, event, wasBegun);
    this.#goLive(next);
  }

  #announce(session: ClientSession, event: StartedEvent | ResumedEvent, resumed = false): void {
    const { engine, language_code: languageCode, watch_token: watchToken }: Partial<StartedEvent> = event;
    this.#options.output.session({ id: session.id, watchToken, resumed, languageCode, engine });
  }

  #goLive(from: number): void {
    const { ring } = this.#options;
    const { link } = this.#line;
    const session = this.#sessions.current;
    if (link === undefined || session?.timeline === undefined) return;
    ring.pinned = false;
    link.settle();
    this.#line.moveTo('live');
    this.sender.attach(link, session.timeline, from, session.resumable, this.#limits);
  }

  /** A live entry shows that the connection works; replayed ones come before the session does. */
  #noteEntry(event: { replayed?: boolean }): void {
    if (this.phase === 'live' && event.replayed !== true) this.#line.healthy();
  }

  /** Something does not fit and a resume says what we have. If that does not help, the session is not worth more. */
  #resumeForRepair(reason: string): void {
    const error = new TranscriptionError('internal', reason);
    if (this.#line.mayRepair()) this.#lost(error);
    else this.#gone(error);
  }

  #stopped(event: StoppedEvent): void {
    const session = this.#sessions.current;
    if (session === undefined || !this.#sessions.isOurs(event)) return;
    const wanted = this.#stopping && (this.sender.stopSent || event.reason === 'client_stop');
    if (wanted ? event.reason !== 'error' : !UNWANTED_ENDS.has(event.reason ?? '')) {
      this.#finish(event);
      return;
    }
    // A session that was ended in good order has entries for all that it received; one that failed has not.
    if (event.reason === 'draining') session.completed(this.sender.received, event.audio_ms);
    this.#gone(
      new TranscriptionError('draining', 'The gateway has ended the session; the transcription goes on in another.'),
    );
  }

  #draining(event: DrainingEvent): void {
    // Without resume it is better to stay: the server sends the last finals itself.
    if (this.#sessions.current?.resumable !== true) return;
    this.#line.leave(event);
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
    const verdict = judge(event, { live: this.phase === 'live', attempt: this.#attempt, exclusive });
    switch (verdict.kind) {
      case 'nothing':
        return;
      case 'warn':
        this.#options.output.warning(error);
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
    if (this.#line.refuseToken()) this.#retry(error);
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
    if (this.phase === 'ended') return;
    this.#sessions.connectionLost();
    if (this.#isIdle()) {
      if (this.#stopping) this.#finish(undefined);
      else this.#line.rest();
      return;
    }
    const delayMs = this.#line.retry(error);
    if (delayMs === undefined) this.#fail(error);
    else this.#options.output.retry({ error, delayMs });
  }

  /** There is no session, and nothing that one would be for: neither kept audio nor any to come. */
  #isIdle(): boolean {
    const { coverage, ring } = this.#options;
    const wantsNone = this.#stopping || this.#paused;
    return wantsNone && this.#sessions.current === undefined && coverage.position >= ring.end;
  }

  #finish(event: StoppedEvent | undefined): void {
    if (this.#end()) this.#options.output.finished(event);
  }

  #fail(error: TranscriptionError): void {
    if (this.#end()) this.#options.output.failed(error);
  }

  #end(): boolean {
    const ends = this.#line.end();
    this.sender.release();
    return ends;
  }
}
