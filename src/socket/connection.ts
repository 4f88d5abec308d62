import { setTimeout as delay } from 'node:timers/promises';
import type { Socket } from 'socket.io';
import type { Authenticator } from '../auth/authenticator.ts';
import { assertLanguages, assertScope, isOfTenants } from '../auth/principal.ts';
import type { Engine } from '../engines/engine.ts';
import { GatewayError, toGatewayError } from '../errors.ts';
import type { DoorLimits } from '../limits/door-limits.ts';
import { EventGate } from '../limits/event-gate.ts';
import { Guesses } from '../limits/guesses.ts';
import { refusal } from '../limits/refusal.ts';
import type { Logger } from '../log.ts';
import type { Metrics } from '../metrics/metrics.ts';
import type { Ack, ClientEvent, ClientToServerEvents, ErrorEvent, ServerToClientEvents } from '../protocol/events.ts';
import { parseAudioChunk, parseStart } from '../protocol/payloads.ts';
import { parseChunkNumber, parseResume, parseStartTerms, parseStop } from '../protocol/resume-request.ts';
import { languagesOf, type StartRequest } from '../protocol/start-request.ts';
import { parseTokenRefresh } from '../protocol/token-refresh.ts';
import { parseUnwatch, parseWatch } from '../protocol/watch-request.ts';
import type { OwnedSession } from '../session/owned-session.ts';
import type { DrainTerms, SessionRegistry } from '../session/registry.ts';
import { isSessionId } from '../store/session-id.ts';
import { answerTo } from './answer.ts';
import type { Caller } from './auth.ts';
import { ConnectionView } from './connection-view.ts';
import type { Guest, Tie } from './evacuation.ts';
import { farewell } from './farewell.ts';
import { type ConnectionBounds, Presenter } from './presenter.ts';
import { SendQueue } from './send-queue.ts';
import { Tenure } from './tenure.ts';
import { cutTransport } from './transport-guard.ts';
import type { Viewers } from './viewers.ts';
import { Watches } from './watches.ts';

type GatewaySocket = Socket<ClientToServerEvents, ServerToClientEvents>;

export interface ConnectionOptions {
  readonly socket: GatewaySocket;
  readonly caller: Caller;
  readonly registry: SessionRegistry;
  readonly engine: Engine;
  readonly limits: ConnectionBounds & ConnectionTerms;
  readonly authenticator: Authenticator;
  readonly doors: DoorLimits;
  readonly viewers: Viewers;
  readonly metrics: Metrics;
  readonly log: Logger;
}

export interface ConnectionTerms {
  readonly tokenGraceMs: number;
  /** Chunks of audio in the long run; see `EventGate`. */
  readonly eventsPerSecond: number;
  readonly silenceTrimmingTenants: readonly string[] | undefined;
}

/** How long a client may take its last finals, in milliseconds, before its connection is closed in any case. */
const LAST_WORDS_MS = 5_000;
/** Over how many milliseconds clients spread that are asked to move. */
const MOVING_JITTER_MS = 200;

/** The session of this connection, with the acknowledgements that wait for it. */
interface Running {
  /** Both undefined while a resume is under way. */
  view: ConnectionView | undefined;
  session: OwnedSession | undefined;
  readonly startAck: Ack;
  /** A client may repeat its stop. */
  readonly stopAcks: Ack[];
}

type Handler = (data: unknown, ack: Ack) => void | Promise<void>;

/**
 * One Socket.IO socket: turns its events into calls of its session. What the session says goes out by its view. It has
 * at most one session at a time and any number in a row. No rule of the business lives here.
 */
export class Connection implements Guest {
  readonly #options: ConnectionOptions;
  readonly #presenter: Presenter;
  readonly #sendQueue: SendQueue;
  #running: Running | undefined;
  readonly #watches: Watches;
  readonly #events: EventGate;
  readonly #gone = Promise.withResolvers<void>();
  #isDeparting = false;
  readonly #tenure: Tenure;
  readonly #guesses: Guesses;
  /** The token has ended and no other has come: with what runs still, the connection ends. */
  #isOver = false;

  constructor(options: ConnectionOptions) {
    this.#options = options;
    const { caller, limits, socket } = options;
    this.#tenure = new Tenure(caller.principal, limits.tokenGraceMs, {
      expired: (graceMs) => caller.protocol === 2 && socket.emit('token_expired', { grace_ms: graceMs }),
      over: () => this.#tokenOver(),
    });
    this.#guesses = new Guesses(options.doors, caller.countedAddress);
    this.#presenter = new Presenter(options.caller.protocol, options.socket.id);
    this.#sendQueue = new SendQueue(options.socket.conn, (waiting) => this.#cutDeaf(waiting));
    this.#watches = new Watches(options.viewers, {
      socket,
      sendQueue: this.#sendQueue,
      failed: (error, sessionId) => this.#emitError(error, sessionId),
    });
    this.#events = new EventGate(limits.eventsPerSecond, performance.now());
  }

  /** Greets the client and listens to it until it is gone. */
  serve(): void {
    const { caller, limits, socket } = this.#options;
    const on = (event: ClientEvent, handler: Handler) =>
      socket.on(event, (...args: unknown[]) => void this.#handle(event, args, handler));
    on('start_transcription', (data, ack) => this.#start(data, ack));
    on('audio_chunk', (data, ack) => this.#audio(data, ack));
    on('stop_transcription', (data, ack) => this.#stop(data, ack));
    if (caller.protocol === 2) {
      on('resume_transcription', (data, ack) => this.#resume(data, ack));
      on('pause_transcription', (_, ack) => this.#pause('pause_transcription', ack));
      on('unpause_transcription', (_, ack) => this.#unpause(ack));
      on('watch_transcription', (data, ack) => this.#watch(data, ack));
      on('unwatch_transcription', (data, ack) => this.#unwatch(data, ack));
      on('refresh_token', (data, ack) => this.#refreshToken(data, ack));
    }
    socket.on('disconnect', () => {
      this.#gone.resolve();
      this.#tenure.close();
      this.#sendQueue.close();
      this.#watches.close();
      const running = this.#running;
      this.#running = undefined;
      if (running?.view !== undefined) running.session?.detach(running.view);
    });
    socket.emit('connected', this.#presenter.connected(limits));
  }

  get tie(): Tie {
    const session = this.#running?.session;
    if (session !== undefined && !this.#options.registry.isMovable(session)) return 'bound';
    return this.#options.caller.protocol === 2 ? 'movable' : 'none';
  }

  /** Sends the client to another gateway; its session goes first, so that it has heard all that there is. */
  async depart(terms: DrainTerms, turn: () => Promise<void>): Promise<void> {
    const { registry, socket } = this.#options;
    const { tie } = this;
    this.#isDeparting = true;
    if (tie === 'movable') {
      // Who has been asked spreads over little: the gateway asks one after the other.
      const { moveMs } = terms;
      socket.emit('server_draining', this.#presenter.draining(moveMs, Math.min(MOVING_JITTER_MS, moveMs / 2)));
    }
    const session = this.#running?.session;
    const hasLeft = session !== undefined && registry.leave(session, terms);
    const isAsked = tie === 'movable' && delay(terms.moveMs, undefined, { ref: false });
    await Promise.race([this.#gone.promise, hasLeft || isAsked]);
    if (socket.connected) await Promise.race([this.#gone.promise, turn()]);
    await farewell(socket.conn, LAST_WORDS_MS);
  }

  #start(data: unknown, ack: Ack): void {
    const { caller, limits, log, registry } = this.#options;
    const asked = parseStart(data, caller.protocol);
    const terms = caller.protocol === 2 ? parseStartTerms(data) : undefined;
    const { principal } = this.#tenure;
    // Asked for by the app and allowed by the operator: either may know that the other's speakers are too soft for it.
    const mayTrim = isOfTenants(principal, limits.silenceTrimmingTenants);
    const request = mayTrim ? asked : { ...asked, trimSilence: undefined };
    assertScope(principal, 'transcribe', 'start_transcription');
    assertLanguages(principal, languagesOf(request), 'start_transcription');
    this.#assertFree();
    const running: Running = { view: undefined, session: undefined, startAck: ack, stopAcks: [] };
    this.#running = running;
    try {
      running.session = registry.start(request, terms, principal, log, (sessionId) => {
        running.view = this.#view(sessionId, request);
        return running.view;
      });
    } catch (error) {
      this.#running = undefined;
      throw error;
    }
  }

  async #resume(data: unknown, ack: Ack): Promise<void> {
    const { log, registry } = this.#options;
    const request = parseResume(data);
    const { principal } = this.#tenure;
    assertScope(principal, 'transcribe', 'resume_transcription');
    const before = this.#running;
    // A client that has lost its place resumes on the connection that it has.
    if (before?.session?.id !== request.sessionId) this.#assertFree();
    const running: Running = { view: undefined, session: undefined, startAck: () => undefined, stopAcks: [] };
    this.#running = running;
    try {
      const makeView = (sessionId: string, start: StartRequest) => {
        before?.view?.mute();
        running.view = this.#view(sessionId, start);
        return running.view;
      };
      running.session = await this.#guesses.attempt(() => registry.resume(request, principal, log, makeView));
    } catch (error) {
      // Whatever it was refused for, the session that the connection had goes on.
      if (this.#running === running) this.#running = before?.session?.isGone === false ? before : undefined;
      throw error;
    }
    ack({ ok: true, session_id: request.sessionId });
    // The client left while its session was claimed: the session waits for it.
    if (this.#running !== running && running.view !== undefined) running.session?.detach(running.view);
  }

  #audio(data: unknown, ack: Ack): void {
    // It has not heard yet that this gateway has ended its session.
    if (this.#isDeparting && this.#running === undefined && this.#options.caller.protocol === 1) return;
    const session = this.#require('audio_chunk');
    const seq = this.#options.caller.protocol === 2 ? parseChunkNumber(data) : undefined;
    session.audio(seq, (format) => parseAudioChunk(data, format));
    // A sender that is faster than speech is paced by waiting for this.
    void session.room().then(() => ack({ ok: true, session_id: session.id }));
  }

  #stop(data: unknown, ack: Ack): void {
    const session = this.#require('stop_transcription');
    session.stop('client_stop', this.#options.caller.protocol === 2 ? parseStop(data) : undefined);
    this.#running?.stopAcks.push(ack);
  }

  #pause(event: string, ack: Ack): void {
    const session = this.#require(event);
    session.park();
    ack({ ok: true, session_id: session.id });
  }

  /** The stream is opened again by the audio that comes. */
  #unpause(ack: Ack): void {
    const session = this.#require('unpause_transcription');
    ack({ ok: true, session_id: session.id });
  }

  async #watch(data: unknown, ack: Ack): Promise<void> {
    const request = parseWatch(data);
    const { sessionId } = request;
    assertScope(this.#tenure.principal, 'watch', 'watch_transcription');
    this.#options.registry.assertNotDraining();
    try {
      await this.#guesses.attempt(() => this.#watches.begin(request));
    } catch (error) {
      // What is no id may be anything, such as a token in the wrong field: it does not go into the log.
      const known = isSessionId(sessionId) ? sessionId : undefined;
      ack({ ok: false, error: this.#emitError(toGatewayError(error), known) });
      return;
    }
    ack({ ok: true, session_id: sessionId });
  }

  #unwatch(data: unknown, ack: Ack): void {
    const sessionId = parseUnwatch(data);
    this.#watches.end(sessionId);
    ack({ ok: true, session_id: sessionId });
  }

  async #refreshToken(data: unknown, ack: Ack): Promise<void> {
    const { authenticator, caller, doors } = this.#options;
    const token = parseTokenRefresh(data);
    const principal = await doors.authenticate(caller.countedAddress, () => authenticator.authenticate(token));
    if (principal.id !== this.#tenure.principal.id) {
      throw new GatewayError('forbidden', 'refresh_token: the token is of another user than the one before.');
    }
    this.#tenure.renew(principal);
    ack({ ok: true });
  }

  /** A version-2 session waits for its client to come back with another token; any other is finalised first. */
  #tokenOver(): void {
    const { caller, socket } = this.#options;
    this.#isOver = true;
    const session = this.#running?.session;
    this.#emitError(new GatewayError('unauthorized', 'The token has expired.'), session?.id);
    if (caller.protocol === 2 || session === undefined) socket.disconnect(true);
    else if (!session.stopping) session.stop('token_expired');
  }

  #require(event: string): OwnedSession {
    const session = this.#running?.session;
    if (session === undefined) throw new GatewayError('no_session', `${event}: no session runs; start one first.`);
    return session;
  }

  #assertFree(): void {
    if (this.#running === undefined) return;
    const detail = this.#running.session?.stopping ? 'is still stopping; wait for transcription_stopped' : 'is running';
    throw new GatewayError('session_exists', `A session ${detail}.`);
  }

  #view(sessionId: string, { languageCode, sampleRate }: StartRequest): ConnectionView {
    const { engine, log, metrics, socket } = this.#options;
    const view: ConnectionView = new ConnectionView({
      socket,
      presenter: this.#presenter,
      sendQueue: this.#sendQueue,
      facts: { sessionId, languageCode, sampleRate, engine: engine.capabilities.name },
      metrics,
      log: log.child({ session_id: sessionId }),
      emitError: (error) => this.#emitError(error, sessionId),
      onStarted: () => this.#running?.startAck({ ok: true, session_id: sessionId }),
      onOver: (error) => this.#over(view, sessionId, error),
    });
    return view;
  }

  /** The session says nothing more here. */
  #over(view: ConnectionView, sessionId: string, error: ErrorEvent | undefined): void {
    const running = this.#running;
    if (running?.view !== view) return;
    // Cleared first: whoever hears of the end may start the next session at once.
    this.#running = undefined;
    const reply =
      error === undefined ? ({ ok: true, session_id: sessionId } as const) : ({ ok: false, error } as const);
    // An acknowledgement is given once; the start's has been, unless the session never opened.
    running.startAck(reply);
    for (const ack of running.stopAcks) ack(reply);
    // What the session says about its end is sent next.
    if (this.#isOver) setImmediate(() => this.#options.socket.disconnect(true));
  }

  /** The client reads nothing any more: what waits for it is thrown away with the connection. */
  #cutDeaf(waitingPackets: number): void {
    const { log, metrics } = this.#options;
    log.warn({ waiting_packets: waitingPackets }, 'client does not read; connection cut');
    metrics.slowConnectionsTotal.inc();
    this.#cut();
  }

  #cut(): void {
    const { socket } = this.#options;
    socket.disconnect();
    // Not `disconnect(true)`, which would wait for the client to take what it does not take.
    cutTransport(socket.conn);
  }

  async #handle(event: ClientEvent, args: unknown[], handler: Handler): Promise<void> {
    const { caller, metrics } = this.#options;
    const ack = answerTo({ event, args, protocol: caller.protocol, metrics });
    try {
      if (!this.#admits(event)) return;
      await handler(typeof args[0] === 'function' ? undefined : args[0], ack);
    } catch (thrown) {
      const error = toGatewayError(thrown);
      ack({ ok: false, error: this.#emitError(error, this.#running?.session?.id) });
    }
  }

  /**
   * @returns false if the connection is cut for it
   * @throws GatewayError `rate_exceeded` if it is one too many; a chunk's number is not used up by that
   */
  #admits(event: string): boolean {
    const { log, metrics } = this.#options;
    const verdict = this.#events.check(event === 'audio_chunk', performance.now());
    if (verdict === 'take') return true;
    const message = `${event}: too many events in a short time; this one was not taken.`;
    const waitMs = verdict === 'cut' ? undefined : verdict.waitMs;
    const error = refusal(metrics, 'events_per_connection', message, waitMs);
    if (verdict !== 'cut') throw error;
    log.warn('client sends far too many events; connection cut');
    metrics.offendingConnectionsTotal.inc({ reason: 'event_flood' });
    this.#cut();
    return false;
  }

  #emitError(error: GatewayError, sessionId?: string): ErrorEvent {
    const { log, metrics, socket } = this.#options;
    if (error.code === 'internal') log.error({ err: error, session_id: sessionId }, 'internal fault');
    else log.debug({ code: error.code, session_id: sessionId }, 'error sent to client');
    metrics.errorsTotal.inc({ code: error.code });
    const event = this.#presenter.error(error, sessionId);
    socket.emit('error', event);
    return event;
  }
}
