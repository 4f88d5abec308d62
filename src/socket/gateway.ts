import type { Server as HttpServer } from 'node:http';
import type { Socket as TcpSocket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { Server } from 'socket.io';
import type { Engine } from '../engines/engine.ts';
import type { Logger } from '../log.ts';
import type { Metrics } from '../metrics/metrics.ts';
import type { ClientToServerEvents, ServerToClientEvents } from '../protocol/events.ts';
import type { SessionRegistry } from '../session/registry.ts';
import { readHandshake } from './auth.ts';
import { Connection } from './connection.ts';

/**
 * Largest Socket.IO message in bytes. Far above the largest legal chunk (one second, 43 kB as base64), so that a client
 * which sends too much at once is told so by an error and not by a closed connection.
 */
const MAX_MESSAGE_BYTES = 1_000_000;

interface GatewayOptions {
  readonly http: HttpServer;
  readonly registry: SessionRegistry;
  readonly engine: Engine;
  readonly limits: { readonly backlogMs: number };
  readonly metrics: Metrics;
  readonly log: Logger;
}

/**
 * How long a close waits for clients to take what was written to them, in milliseconds. A client whose network is gone
 * would be waited for in vain.
 */
const LAST_WORDS_MS = 500;

/** The public side: one Socket.IO server, a `Connection` for each socket. */
export class SocketGateway {
  readonly #io: Server<ClientToServerEvents, ServerToClientEvents>;
  /** TCP connections, WebSockets included. */
  readonly #tcp = new Set<TcpSocket>();
  /** Resolved by each connection's transport once it is closed. */
  readonly #closing = new Set<Promise<void>>();

  constructor(options: GatewayOptions) {
    const { metrics } = options;
    this.#io = new Server(options.http, {
      path: '/socket.io',
      serveClient: true,
      maxHttpBufferSize: MAX_MESSAGE_BYTES,
      // With a client that compresses it halves the sessions of a core and takes ten times the memory.
      perMessageDeflate: false,
      // Web apps of other origins work as they did with the original server.
      cors: { origin: '*' },
    });
    options.http.on('connection', (socket: TcpSocket) => {
      this.#tcp.add(socket);
      socket.once('close', () => this.#tcp.delete(socket));
    });
    this.#io.on('connection', (socket) => {
      const { protocol } = readHandshake(socket.handshake);
      const labels = { protocol: String(protocol) };
      metrics.connections.inc(labels);
      metrics.connectionsTotal.inc(labels);
      socket.on('disconnect', () => metrics.connections.dec(labels));
      const closed = new Promise<void>((resolve) => {
        socket.conn.once('close', () => resolve());
      }).finally(() => this.#closing.delete(closed));
      this.#closing.add(closed);
      const log = options.log.child({ connection_id: socket.id });
      new Connection({ ...options, socket, protocol, log }).serve();
    });
  }

  /**
   * Closes every socket, after what was written to it, and then the HTTP server. The wait is needed because
   * `Server.close` throws away what a connection has not sent yet: the trailing finals.
   */
  async close(): Promise<void> {
    this.#io.disconnectSockets(true);
    await Promise.race([Promise.all(this.#closing), delay(LAST_WORDS_MS, undefined, { ref: false })]);
    const closed = this.#io.close();
    await Promise.race([closed, delay(LAST_WORDS_MS, undefined, { ref: false })]);
    // A client whose network is gone answers no closing handshake; waiting for it would outlast the drain.
    for (const socket of this.#tcp) socket.destroy();
    await closed;
  }
}
