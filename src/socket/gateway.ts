import type { Server as HttpServer, IncomingMessage } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { type DefaultEventsMap, Server, type Socket } from 'socket.io';
import type { Authenticator } from '../auth/authenticator.ts';
import type { OriginPolicy } from '../auth/origin-policy.ts';
import type { Engine } from '../engines/engine.ts';
import type { DoorLimits } from '../limits/door-limits.ts';
import type { Logger } from '../log.ts';
import type { Metrics } from '../metrics/metrics.ts';
import type { ClientToServerEvents, ServerToClientEvents } from '../protocol/events.ts';
import type { DrainTerms, SessionRegistry } from '../session/registry.ts';
import type { Caller } from './auth.ts';
import { networkOf } from './client-address.ts';
import { Connection, type ConnectionTerms } from './connection.ts';
import { evacuate } from './evacuation.ts';
import { farewell } from './farewell.ts';
import { countRefusal, guard } from './guard.ts';
import type { ConnectionBounds } from './presenter.ts';
import { TcpConnections } from './tcp-connections.ts';
import { TransportGuard } from './transport-guard.ts';
import { Viewers, type ViewersOptions } from './viewers.ts';
import { QuietWebSocketServer } from './web-socket-server.ts';

/**
 * Largest Socket.IO message in bytes. Far above the largest legal chunk (one second, 43 kB as base64), so that a client
 * which sends too much at once is told so by an error and not by a closed connection.
 */
const MAX_MESSAGE_BYTES = 1_000_000;

/** What a page is told in the answer to its handshake; without the headers of CORS only its developer can read it. */
const ORIGIN_REFUSED = 'origin_refused: this web origin is not among GATEWAY_ALLOWED_ORIGINS.';

/**
 * Engine.IO still answers by a script where `j` asks for one. A page of any origin may run such a script, and its browser
 * sends no origin with the request: it would be let in, and could read what comes. No client of today asks so.
 */
const SCRIPT_REFUSED = 'bad_request: answers by a script (JSONP) are not given.';

function isScriptRequest(url: string): boolean {
  return new URL(url, 'http://localhost').searchParams.has('j');
}

/** The client of Socket.IO, in its several forms, which the same path serves. */
const CLIENT_SCRIPT = /^\/socket\.io\/socket\.io[\w.-]*\.js/;

/** Set by the guard, before a connection is served. */
interface SocketData {
  caller?: Caller;
}

export type SocketServer = Server<ClientToServerEvents, ServerToClientEvents, DefaultEventsMap, SocketData>;
type GatewaySocket = Parameters<Parameters<SocketServer['on']>[1]>[0];

interface GatewayOptions {
  readonly http: HttpServer;
  readonly registry: SessionRegistry;
  readonly engine: Engine;
  readonly limits: ConnectionBounds & ConnectionTerms & { readonly connectTimeoutMs: number };
  readonly authenticator: Authenticator;
  readonly doors: DoorLimits;
  readonly origins: OriginPolicy;
  readonly store: ViewersOptions['store'];
  readonly bus: ViewersOptions['bus'];
  /** Proxies in front that add to `X-Forwarded-For`. */
  readonly trustedProxies: number;
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
  readonly #io: SocketServer;
  readonly #viewers: Viewers;
  readonly #tcp: TcpConnections;
  /** The transports of clients; one outlives the sockets that its client opens and closes on it. */
  readonly #transports = new Map<Socket['conn'], TransportGuard>();
  readonly #connections = new Set<Connection>();
  readonly #registry: SessionRegistry;

  constructor(options: GatewayOptions) {
    this.#registry = options.registry;
    this.#io = new Server(options.http, {
      path: '/socket.io',
      serveClient: true,
      connectTimeout: options.limits.connectTimeoutMs,
      maxHttpBufferSize: MAX_MESSAGE_BYTES,
      // With a client that compresses it halves the sessions of a core and takes ten times the memory.
      perMessageDeflate: false,
      wsEngine: QuietWebSocketServer,
      cors: { origin: (origin, decide) => decide(null, options.origins.allows({ origin })) },
      allowRequest: ({ headers, url = '' }, decide) => {
        if (isScriptRequest(url)) {
          decide(SCRIPT_REFUSED, false);
          return;
        }
        const isAllowed = options.origins.allows(headers);
        if (!isAllowed) countRefusal(options.metrics, 'origin_refused');
        decide(isAllowed ? null : ORIGIN_REFUSED, isAllowed);
      },
      // Names the connection to a load balancer, which can then match `sid` of the requests that follow. No client keeps
      // it: the tabs of a browser would share the newest one, and it would say nothing that the query does not.
      cookie: { name: 'io', path: '/socket.io/', maxAge: 0 },
    });
    const { bus, engine, limits, log, metrics, store } = options;
    const { resumeWindowMs } = limits;
    this.#viewers = new Viewers(
      { store, bus, resumeWindowMs, engineName: engine.capabilities.name, metrics, log },
      this.#io,
    );
    this.#tcp = new TcpConnections(options.http, () => metrics.slowConnectionsTotal.inc());
    this.#io.engine.on('connection', (transport: Socket['conn']) => {
      const transportGuard = new TransportGuard({
        transport,
        idleMs: limits.connectTimeoutMs,
        onOffence: (reason) => {
          // Not by its id of Engine.IO, which is all that a poll needs.
          log.info({ reason }, 'client does what no client does; connection cut');
          metrics.offendingConnectionsTotal.inc({ reason });
        },
      });
      this.#transports.set(transport, transportGuard);
      transport.once('close', () => this.#transports.delete(transport));
    });
    options.http.prependListener('request', withoutCompression);
    this.#io.use(this.#onePerTransport(guard(options)));
    this.#io.on('connection', (socket) => {
      try {
        this.#serve(socket, options);
      } catch (error) {
        // One client's handshake must not end the process that serves all others.
        options.log.error({ err: error, connection_id: socket.id }, 'connection could not be served');
        socket.disconnect(true);
      }
    });
  }

  /**
   * Sends every client off, and with it its session.
   * @param windowMs over which they are spread, in milliseconds
   * @returns once no client and no session is left, or the signal is given
   */
  async evacuate(windowMs: number, terms: DrainTerms, signal: AbortSignal): Promise<void> {
    const registry = this.#registry;
    await evacuate({
      guests: this.#connections,
      sweep: () => registry.sweep(terms),
      windowMs,
      terms,
      signal,
    });
  }

  /** Connections whose every request must reach this process: those that poll. */
  get pollers(): number {
    return [...this.#transports.keys()].filter(({ transport }) => transport.name === 'polling').length;
  }

  /** Lends the server to what gives it connections, where it does not listen itself. */
  handTo(source: (server: SocketServer) => void): void {
    source(this.#io);
  }

  /**
   * Closes every connection that is left, after what was written to it, and then the HTTP server. The wait is needed
   * because `Server.close` throws away what a connection has not sent yet: the trailing finals.
   */
  async close(): Promise<void> {
    await Promise.all([...this.#transports.keys()].map((transport) => farewell(transport, LAST_WORDS_MS)));
    const closed = this.#io.close();
    await Promise.race([closed, delay(LAST_WORDS_MS, undefined, { ref: false })]);
    // A client whose network is gone answers no closing handshake; waiting for it would outlast the drain.
    this.#tcp.destroyAll();
    await closed;
  }

  /** Asks only the one socket that a transport carries at a time. */
  #onePerTransport(ask: ReturnType<typeof guard>) {
    return (socket: GatewaySocket, next: (error?: Error) => void): void => {
      const transportGuard = this.#transports.get(socket.conn);
      if (transportGuard?.take() !== true) {
        // Nobody hears it, but Socket.IO forgets the socket.
        next(new Error('A transport carries one socket at a time.'));
        return;
      }
      socket.on('disconnect', () => transportGuard.free());
      ask(socket, (error) => {
        if (error !== undefined) transportGuard.free();
        next(error);
      });
    };
  }

  #serve(socket: GatewaySocket, options: GatewayOptions): void {
    const { caller } = socket.data;
    if (caller === undefined) throw new TypeError('a connection that was not asked who it is');
    const { connections, connectionsTotal } = options.metrics;
    const labels = { protocol: caller.protocol === 2 ? '2' : '1' } as const;
    connections.inc(labels);
    connectionsTotal.inc(labels);
    socket.on('disconnect', () => connections.dec(labels));
    const log = options.log.child({ connection_id: socket.id });
    // Enough to see whether the number of proxies is right, and not who it is.
    const network = caller.address === undefined ? undefined : networkOf(caller.address);
    log.debug({ protocol: caller.protocol, client_network: network }, 'client connected');
    const connection = new Connection({ ...options, socket, caller, viewers: this.#viewers, log });
    this.#connections.add(connection);
    socket.on('disconnect', () => this.#connections.delete(connection));
    connection.serve();
  }
}

/** Socket.IO would compress its client anew for everybody who asks, which takes two tenths of a second of a core. */
function withoutCompression({ headers, url = '' }: IncomingMessage): void {
  if (CLIENT_SCRIPT.test(url)) delete headers['accept-encoding'];
}
