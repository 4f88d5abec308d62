import { randomUUID } from 'node:crypto';
import type { Engine } from '../engines/engine.ts';
import { GatewayError } from '../errors.ts';
import type { Logger } from '../log.ts';
import type { Metrics } from '../metrics/metrics.ts';
import type { ProtocolVersion } from '../protocol/events.ts';
import type { StartRequest } from '../protocol/start-request.ts';
import { Session, type SessionLimits, type SessionSink } from './session.ts';

interface RegistryOptions {
  readonly engine: Engine;
  readonly limits: SessionLimits;
  readonly metrics: Metrics;
}

/** The sessions of this process: the one place where a session begins, and where a drain finds them all. */
export class SessionRegistry {
  readonly #options: RegistryOptions;
  readonly #sessions = new Map<string, Session>();
  #draining = false;

  constructor(options: RegistryOptions) {
    this.#options = options;
  }

  get draining(): boolean {
    return this.#draining;
  }

  /** Sessions that have not ended. */
  get size(): number {
    return this.#sessions.size;
  }

  /**
   * Begins a session; the outcome of its opening goes to the sink.
   * @param makeSink is given the new session's id
   * @throws GatewayError `draining`
   */
  create(
    request: StartRequest,
    protocol: ProtocolVersion,
    log: Logger,
    makeSink: (sessionId: string) => SessionSink,
  ): Session {
    if (this.#draining) throw new GatewayError('draining', 'This gateway is shutting down; connect again.');
    const { engine, limits, metrics } = this.#options;
    const id = randomUUID();
    const sink = makeSink(id);
    const session = new Session({
      id,
      request,
      engine,
      limits,
      metrics,
      log: log.child({ session_id: id }),
      sink: {
        started: () => {
          metrics.sessionsStartedTotal.inc({ protocol: String(protocol) });
          sink.started();
        },
        result: (result) => sink.result(result),
        gap: (gap) => sink.gap(gap),
        ended: (end) => {
          this.#sessions.delete(id);
          metrics.sessions.set(this.#sessions.size);
          metrics.sessionsEndedTotal.inc({ reason: end.reason });
          sink.ended(end);
        },
      },
    });
    this.#sessions.set(id, session);
    metrics.sessions.set(this.#sessions.size);
    return session;
  }

  /** Refuses new sessions from now on. Running ones go on until `flush`. */
  beginDrain(): void {
    this.#draining = true;
    this.#options.metrics.draining.set(1);
  }

  /** Stops every session: each gets its trailing finals. Resolves once all have ended. */
  async flush(): Promise<void> {
    const sessions = [...this.#sessions.values()];
    for (const session of sessions) session.stop('draining');
    await Promise.all(sessions.map((session) => session.ended));
  }

  /** Ends what is left at the deadline of a drain; the sessions say what is lost by that. */
  giveUp(): void {
    for (const session of this.#sessions.values()) session.giveUp();
  }
}
