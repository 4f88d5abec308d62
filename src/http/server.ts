import { createServer, type Server } from 'node:http';
import helmet from '@fastify/helmet';
import Fastify, { type FastifyInstance } from 'fastify';
import type { Door } from '../auth/index.ts';
import type { OriginPolicy } from '../auth/origin-policy.ts';
import { GatewayError } from '../errors.ts';
import type { Budgets } from '../limits/budgets.ts';
import type { DoorLimits } from '../limits/door-limits.ts';
import type { Logger } from '../log.ts';
import type { Metrics } from '../metrics/metrics.ts';
import { VERSION } from '../version.ts';
import { findAskerBy } from './asker.ts';
import type { Certificate } from './certificate.ts';
import { answerError } from './errors.ts';
import { lookAtRequests, type RequestTimes, serverOptions } from './limits.ts';
import { addTokenRoute } from './tokens.ts';
import { addUsageRoute } from './usage.ts';

/** Largest body in bytes: requests here are a few fields. */
const MAX_BODY_BYTES = 16_384;

/**
 * Pages from here may load and connect to what is here, and nothing else. Without the directive of Helmet's that turns
 * every request into HTTPS: there may be none.
 */
const CONTENT_POLICY = {
  'default-src': ["'self'"],
  'base-uri': ["'none'"],
  'form-action': ["'self'"],
  'frame-ancestors': ["'self'"],
  'object-src': ["'none'"],
};

export interface HttpServerOptions {
  readonly door: Door;
  readonly doors: DoorLimits;
  /** See `countedAddress`. */
  readonly trustedProxies: number;
  readonly budgets: Budgets;
  readonly origins: OriginPolicy;
  /** TLS ends here; otherwise in front, or nowhere. */
  readonly certificate: Certificate | undefined;
  readonly times: RequestTimes;
  /** It never listens, because something else accepts its connections. */
  readonly isHandedConnections: boolean;
  readonly metrics: Pick<Metrics, 'httpRequestsTotal' | 'httpRequestSeconds'>;
  readonly log: Logger;
}

/** The public HTTP server. Socket.IO shares its port; `/` tells whoever opens it in a browser what is here. */
export async function createHttpServer(options: HttpServerOptions): Promise<FastifyInstance> {
  const { budgets, certificate, door, isHandedConnections, log, metrics, origins, times } = options;
  const findAsker = findAskerBy({ ...options, authenticator: door.authenticator });
  const http = Fastify({
    bodyLimit: MAX_BODY_BYTES,
    serverFactory: (handler): Server =>
      certificate?.createServer(handler, serverOptions(times)) ?? createServer(serverOptions(times), handler),
  });
  if (isHandedConnections) lookAtRequests(http.server);
  await http.register(helmet, { contentSecurityPolicy: { useDefaults: false, directives: CONTENT_POLICY } });
  http.addHook('onRequest', async ({ headers }) => {
    if (!origins.allows(headers)) throw new GatewayError('origin_refused', 'This web origin is not allowed.');
  });
  http.addHook('onRoute', ({ url }) => {
    for (const status of ['200', '500']) metrics.httpRequestsTotal.inc({ route: url, status }, 0);
  });
  http.addHook('onResponse', async ({ routeOptions }, { elapsedTime, statusCode }) => {
    // Not by the address that was asked for, of which there is no end.
    const route = routeOptions.url ?? 'none';
    metrics.httpRequestsTotal.inc({ route, status: String(statusCode) });
    metrics.httpRequestSeconds.observe({ route }, elapsedTime / 1000);
  });
  http.setErrorHandler((error: Error, request, reply) => answerError(error, request, reply, log));
  http.get('/', async () => ({
    service: 'transcribe-gateway',
    version: VERSION,
    protocols: [1, 2],
    socket_io_path: '/socket.io',
    socket_io_client: '/socket.io/socket.io.js',
  }));
  addTokenRoute(http, findAsker, door.mint);
  addUsageRoute(http, findAsker, budgets);
  return http;
}
