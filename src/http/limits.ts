import type { Server, ServerOptions } from 'node:http';

/** At least this often Node looks at how long its requests take, in milliseconds. Its own would be half a minute. */
const LOOK_MS = 5_000;
/** By how much a request may be late, as a share of the time that it has. */
const LATENESS = 0.25;

/** How long clients may take, in milliseconds; see the settings of the same names. */
export interface RequestTimes {
  readonly headersTimeoutMs: number;
  readonly requestTimeoutMs: number;
}

/**
 * The options of every HTTP server that strangers reach: by itself Node leaves a minute to those that send no headers, and
 * five to those that send a body byte by byte. The size of headers is bounded by Node, to 16 kB.
 */
export function serverOptions({ headersTimeoutMs, requestTimeoutMs }: RequestTimes): ServerOptions {
  return {
    headersTimeout: headersTimeoutMs,
    requestTimeout: Math.max(headersTimeoutMs, requestTimeoutMs),
    connectionsCheckingInterval: Math.min(LOOK_MS, headersTimeoutMs * LATENESS),
  };
}

/**
 * Lets a server that never listens, because it is handed its connections, look at how long requests take: Node begins to
 * do so when it listens. Before anything else is attached to it.
 */
export function lookAtRequests(server: Server): void {
  server.emit('listening');
}
