import type { Socket } from 'socket.io';
import type { Engine } from '../engines/engine.ts';
import { GatewayError, toGatewayError } from '../errors.ts';
import type { Logger } from '../log.ts';
import type { Metrics } from '../metrics/metrics.ts';
import { samplesToMs } from '../protocol/audio.ts';
import type { Ack, ClientToServerEvents, ProtocolVersion, ServerToClientEvents } from '../protocol/events.ts';
import { parseAudioChunk, parseStart } from '../protocol/payloads.ts';
import type { SessionRegistry } from '../session/registry.ts';
import type { Session, SessionEnd, SessionGap, SessionSink } from '../session/session.ts';
import { Presenter, type SessionFacts } from './presenter.ts';
import { SendQueue } from './send-queue.ts';

type GatewaySocket = Socket<ClientToServerEvents, ServerToClientEvents>;

export interface ConnectionOptions {
  readonly socket: GatewaySocket;
  readonly protocol: ProtocolVersion;
  readonly registry: SessionRegistry;
  readonly engine: Engine;
  readonly limits: { readonly backlogMs: number };
  readonly metrics: Metrics;
  readonly log: Logger;
}

/** The session of this connection, with the acknowledgements that wait for it. */
interface Running {
  readonly session: Session;
  startAck: Ack;
  stopAck: Ack | undefined;
}

/**
 * One Socket.IO socket: turns its events into calls of its session, and what the session says into events. It has at
 * most one session at a time and any number in a row. No rule of the business lives here.
 */
export class Connection {
  readonly #options: ConnectionOptions;
  readonly #presenter: Presenter;
  readonly #sendQueue: SendQueue;
  #running: Running | undefined;

  constructor(options: ConnectionOptions) {
    this.#options = options;
    this.#presenter = new Presenter(options.protocol, options.socket.id);
    this.#sendQueue = new SendQueue(options.socket.conn, (waiting) => this.#cut(waiting));
  }

  /** Greets the client and listens to it until it is gone. */
  serve(): void {
    const { limits, socket } = this.#options;
    socket.on('start_transcription', (...args: unknown[]) => this.#handle(args, (data, ack) => this.#start(data, ack)));
    socket.on('audio_chunk', (...args: unknown[]) => this.#handle(args, (data, ack) => this.#audio(data, ack)));
    socket.on('stop_transcription', (...args: unknown[]) => this.#handle(args, (_, ack) => this.#stop(ack)));
    socket.on('disconnect', () => {
      this.#sendQueue.close();
      this.#running?.session.abort();
    });
    socket.emit('connected', this.#presenter.connected(limits));
  }

  #start(data: unknown, ack: Ack): void {
    const { engine, log, protocol, registry } = this.#options;
    const request = parseStart(data, protocol);
    if (this.#running !== undefined) {
      const detail = this.#running.session.stopping
        ? 'is still stopping; wait for transcription_stopped'
        : 'is running';
      throw new GatewayError('session_exists', `A session ${detail}.`);
    }
    const session = registry.create(request, protocol, log, (sessionId) =>
      this.#sink({
        sessionId,
        languageCode: request.languageCode,
        engine: engine.capabilities.name,
        sampleRate: request.sampleRate,
      }),
    );
    this.#running = { session, startAck: ack, stopAck: undefined };
    void session.run();
  }

  #audio(data: unknown, ack: Ack): void {
    const running = this.#require('audio_chunk');
    running.session.push(parseAudioChunk(data, running.session.format));
    // A sender that is faster than speech is paced by waiting for this.
    void running.session.room().then(() => ack({ ok: true, session_id: running.session.id }));
  }

  #stop(ack: Ack): void {
    const running = this.#require('stop_transcription');
    if (running.session.stopping)
      throw new GatewayError('no_session', 'stop_transcription: the session is already stopping.');
    running.stopAck = ack;
    running.session.stop('client_stop');
  }

  #require(event: string): Running {
    if (this.#running === undefined)
      throw new GatewayError('no_session', `${event}: no session runs; start one first.`);
    return this.#running;
  }

  #sink(facts: SessionFacts): SessionSink {
    const { log: connectionLog, socket } = this.#options;
    const log = connectionLog.child({ session_id: facts.sessionId });
    return {
      started: () => {
        log.info({ language_code: facts.languageCode, engine: facts.engine }, 'session started');
        socket.emit('transcription_started', this.#presenter.started(facts));
        this.#running?.startAck({ ok: true, session_id: facts.sessionId });
      },
      result: (result) => {
        if (!this.#mayEmit(result.isPartial)) return;
        this.#options.metrics.resultsTotal.inc({ type: result.isPartial ? 'partial' : 'final' });
        socket.emit('transcription_result', this.#presenter.result(facts, result));
      },
      gap: (gap) => this.#gap(facts, gap),
      ended: (end) => {
        log.info(
          { reason: end.reason, audio_ms: samplesToMs(end.samples, facts.sampleRate), finals: end.finals },
          'session ended',
        );
        this.#ended(facts, end);
      },
    };
  }

  #gap(facts: SessionFacts, gap: SessionGap): void {
    const event = this.#presenter.gap(facts, gap);
    if (event !== undefined) {
      this.#options.socket.emit('transcription_gap', event);
      return;
    }
    const ms = (samples: number) => samplesToMs(samples, facts.sampleRate);
    const message = `Audio from ${ms(gap.fromSample)} to ${ms(gap.toSample)} ms was lost and is not transcribed.`;
    this.#emitError(new GatewayError('engine_unavailable', message));
  }

  #ended(facts: SessionFacts, end: SessionEnd): void {
    const running = this.#running;
    // Cleared first: whoever hears of the end may start the next session at once.
    this.#running = undefined;
    if (end.reason === 'disconnected') return;
    if (end.error === undefined) {
      this.#options.socket.emit('transcription_stopped', this.#presenter.stopped(facts, end));
      running?.stopAck?.({ ok: true, session_id: facts.sessionId });
      return;
    }
    const error = this.#emitError(end.error, facts.sessionId);
    // An acknowledgement is given once; the start's has been, unless the session never opened.
    running?.startAck({ ok: false, error });
    running?.stopAck?.({ ok: false, error });
  }

  /** False for a partial that would only pile up. */
  #mayEmit(isPartial: boolean): boolean {
    if (!isPartial || !this.#sendQueue.isLong) return true;
    this.#options.metrics.partialsSkippedTotal.inc();
    return false;
  }

  /** The client reads nothing any more: what waits for it is thrown away with the connection. */
  #cut(waitingPackets: number): void {
    const { log, metrics, socket } = this.#options;
    log.warn({ waiting_packets: waitingPackets }, 'client does not read; connection cut');
    metrics.slowConnectionsTotal.inc();
    socket.disconnect();
    // Not `disconnect(true)`, which would wait for the client to take what it does not take.
    socket.conn.close(true);
  }

  #handle(args: unknown[], act: (data: unknown, ack: Ack) => void): void {
    const ack = this.#ackOf(args);
    try {
      act(typeof args[0] === 'function' ? undefined : args[0], ack);
    } catch (thrown) {
      const error = toGatewayError(thrown);
      ack({ ok: false, error: this.#emitError(error, this.#running?.session.id) });
    }
  }

  #emitError(error: GatewayError, sessionId?: string) {
    const { log, metrics, socket } = this.#options;
    if (error.code === 'internal') log.error({ err: error, session_id: sessionId }, 'internal fault');
    else log.debug({ code: error.code, session_id: sessionId }, 'error sent to client');
    metrics.errorsTotal.inc({ code: error.code });
    const event = this.#presenter.error(error, sessionId);
    socket.emit('error', event);
    return event;
  }

  /** The client's callback, answered at most once; version 1 gets the empty answer of the original server. */
  #ackOf(args: unknown[]): Ack {
    const callback = args.at(-1);
    let answered = typeof callback !== 'function';
    return (reply) => {
      if (answered) return;
      answered = true;
      const answer = callback as Ack;
      if (this.#options.protocol === 1) answer();
      else answer(reply);
    };
  }
}
