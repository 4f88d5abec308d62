import type { Registry } from 'prom-client';
import { ERROR_CODES, type ErrorCode } from '../protocol/error-codes.ts';
import { CLIENT_EVENTS, PROTOCOL_VERSIONS } from '../protocol/events.ts';
import { declaringIn } from './declaring.ts';

const CODES = Object.keys(ERROR_CODES) as ErrorCode[];
/** Seconds. From a chunk that is taken at once to a start that waits for its turn in the line. */
const EVENT_BUCKETS = [0.001, 0.005, 0.025, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];
/** Seconds: a token is checked by itself, or with keys that must be fetched, or not at all where Redis hangs. */
const HANDSHAKE_BUCKETS = [0.001, 0.005, 0.025, 0.1, 0.25, 0.5, 1, 2.5];

/** What is measured of Socket.IO connections and of the events on them. */
export function createSocketMetrics(registry: Registry) {
  const { closedCounter, counter, gauge, histogram } = declaringIn(registry);
  return {
    connections: gauge('connections', 'Open Socket.IO connections.', ['protocol']),
    connectionsTotal: closedCounter('connections_total', 'Socket.IO connections accepted.', {
      protocol: PROTOCOL_VERSIONS.map((version) => String(version)),
    }),
    connectionRefusalsTotal: closedCounter('connection_refusals_total', 'Socket.IO connections refused, by code.', {
      code: CODES,
    }),
    handshakeSeconds: histogram(
      'handshake_seconds',
      'From the wish for a Socket.IO connection until it was accepted or refused.',
      HANDSHAKE_BUCKETS,
    ),
    slowConnectionsTotal: counter('slow_connections_total', 'Connections cut because the client did not read.'),
    offendingConnectionsTotal: closedCounter(
      'offending_connections_total',
      'Connections cut because of what their client sent, by reason.',
      { reason: ['packet_flood', 'connect_flood', 'attachments', 'probe_flood', 'no_socket', 'event_flood'] },
    ),
    eventsTotal: closedCounter(
      'events_total',
      'Events of clients that were answered; with which error `errors_total` says.',
      { event: CLIENT_EVENTS, outcome: ['ok', 'error'] },
    ),
    eventSeconds: histogram(
      'event_seconds',
      'From the arrival of an event until it was answered, by event; the answer to a chunk waits for room for the next.',
      EVENT_BUCKETS,
      ['event'],
    ),
    errorsTotal: closedCounter('errors_total', 'Errors sent to clients, by code.', { code: CODES }),
  };
}
