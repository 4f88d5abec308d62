import { collectDefaultMetrics, Registry } from 'prom-client';
import { ERROR_CODES, type ErrorCode } from '../protocol/error-codes.ts';
import { declaringIn, PREFIX } from './declaring.ts';
import { createLimitMetrics } from './limit-metrics.ts';
import { createQuotaMetrics } from './quota-metrics.ts';
import { createServerMetrics } from './server-metrics.ts';

/** Seconds. From a fast partial to the slowest final that an engine is known for. */
const RESULT_LATENCY_BUCKETS = [0.05, 0.1, 0.25, 0.5, 0.75, 1, 1.5, 2, 3, 5, 10];

/** What engines measure, in the process that they run in: a gateway's, or the primary's of workers that share one. */
export function createEngineMetrics(registry: Registry) {
  const { counter, gauge, histogram } = declaringIn(registry);
  return {
    localRecognisers: gauge('local_recognisers', 'Live recogniser processes of the local engine.'),
    localRecogniserExitsTotal: counter('local_recogniser_exits_total', 'Recogniser processes that ended unasked.'),
    localCapacitySessions: gauge('local_capacity_sessions', 'Sessions that the local engine takes at once.'),
    localLagSeconds: histogram(
      'local_lag_seconds',
      'From the writing of audio to the local engine until it was decoded.',
      RESULT_LATENCY_BUCKETS,
    ),
    awsPoolState: gauge(
      'aws_pool_state',
      'Whether an AWS pool entry is in use: 0 yes, 1 on trial, 2 set aside.',
      ['entry'],
      'max',
    ),
    awsOpensTotal: counter('aws_opens_total', 'Attempts to open a stream in an AWS pool entry.', ['entry', 'outcome']),
    ...createQuotaMetrics(registry),
  };
}

export type EngineMetrics = ReturnType<typeof createEngineMetrics>;

/** Seconds. A commit is a call to Redis; while that is away, finals are sent as they are. */
const DELIVERY_BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5];

const PROTOCOLS = ['1', '2'] as const;
const CODES = Object.keys(ERROR_CODES) as ErrorCode[];
/** Why nothing of a session is left in a process. */
const END_REASONS = [
  ...(['client_stop', 'draining', 'token_expired', 'duration_exceeded', 'budget_exceeded'] as const),
  ...(['disconnected', 'error'] as const),
  ...(['expired', 'taken_over', 'handed_over'] as const),
] as const;

/**
 * Every metric of the gateway, declared once. Labels are bounded: never a session, a user or an address.
 * Names follow the Prometheus conventions: base units, `_total` for counters.
 */
export function createMetrics() {
  const registry = new Registry();
  const { closedCounter, counter, gauge, histogram, sampledGauge } = declaringIn(registry);

  return {
    registry,
    connections: gauge('connections', 'Open Socket.IO connections.', ['protocol']),
    connectionsTotal: closedCounter('connections_total', 'Socket.IO connections accepted.', { protocol: PROTOCOLS }),
    slowConnectionsTotal: counter('slow_connections_total', 'Connections cut because the client did not read.'),
    offendingConnectionsTotal: closedCounter(
      'offending_connections_total',
      'Connections cut because of what their client sent, by reason.',
      { reason: ['packet_flood', 'connect_flood', 'attachments', 'probe_flood', 'no_socket', 'event_flood'] },
    ),
    sessions: gauge('sessions', 'Sessions that have not ended.'),
    sessionStates: sampledGauge(
      'session_states',
      'Sessions by what their engine stream does; `detached` are those, of whatever state, whose client is away.',
      'state',
      ['starting', 'live', 'parking', 'parked', 'reopening', 'flushing', 'detached'],
    ),
    sessionsStartedTotal: closedCounter('sessions_started_total', 'Sessions whose first engine stream opened.', {
      protocol: PROTOCOLS,
    }),
    sessionsEndedTotal: closedCounter('sessions_ended_total', 'Sessions ended, by reason.', { reason: END_REASONS }),
    audioSecondsTotal: counter('audio_seconds_total', 'Seconds of audio accepted from clients.'),
    resultsTotal: closedCounter('results_total', 'Results sent to clients.', { type: ['partial', 'final'] }),
    partialsSkippedTotal: counter('partials_skipped_total', 'Partials not sent because the client reads slowly.'),
    finalsDroppedTotal: counter('finals_dropped_total', 'Finals dropped because earlier ones cover their audio.'),
    resultLatencySeconds: histogram(
      'result_latency_seconds',
      'From the arrival of the last sample that a result covers until the engine gave the result.',
      RESULT_LATENCY_BUCKETS,
      ['type'],
    ),
    deliverySeconds: histogram(
      'delivery_seconds',
      'From when the engine gave a final until it was committed and sent: what the gateway adds.',
      DELIVERY_BUCKETS,
    ),
    resumesTotal: closedCounter('resumes_total', 'Resumes, by `resumed`, `stopped` or the code of the refusal.', {
      outcome: ['resumed', 'stopped', ...CODES],
    }),
    errorsTotal: closedCounter('errors_total', 'Errors sent to clients, by code.', {
      code: CODES,
    }),
    engineStreams: gauge('engine_streams', 'Open engine streams.', ['engine']),
    engineOpensTotal: counter('engine_opens_total', 'Attempts to open an engine stream.', ['engine', 'outcome']),
    engineStreamEndsTotal: counter('engine_stream_ends_total', 'Engine streams that are over, by how they ended.', [
      'engine',
      'how',
    ]),
    engineBreaksTotal: counter('engine_breaks_total', 'Engine streams that broke in mid-session.', ['engine', 'code']),
    gapSecondsTotal: closedCounter('gap_seconds_total', 'Seconds of audio lost and reported as a gap.', {
      reason: ['replay_overflow', 'engine_failed', 'client_overflow'],
    }),
    ...createEngineMetrics(registry),
    ...createServerMetrics(registry),
    billedSecondsTotal: counter('billed_seconds_total', 'Seconds that the engine bills, counted as it counts them.', [
      'engine',
    ]),
    trimmedSecondsTotal: counter(
      'trimmed_seconds_total',
      'Seconds of silence that an engine was not given because the session asked for that.',
      ['engine'],
    ),
    viewers: gauge('viewers', 'Watches of sessions, one for each viewer and session.'),
    viewerReadsTotal: closedCounter('viewer_reads_total', 'Reads of journals for viewers, by outcome.', {
      outcome: ['read', 'unknown', 'forbidden', 'unavailable'],
    }),
    viewerPartialsSkippedTotal: counter(
      'viewer_partials_skipped_total',
      'Partials not sent to a viewer because an earlier one was still on its way.',
    ),
    liveMessagesTotal: closedCounter(
      'live_messages_total',
      'Messages to the workers of viewers, by whether Redis took them.',
      { outcome: ['published', 'lost'] },
    ),
    ...createLimitMetrics(registry),
    draining: gauge('draining', '1 while the gateway drains.', [], 'max'),
  };
}

export type Metrics = ReturnType<typeof createMetrics>;

/** What the primary of a cluster measures itself, its process included; beside the sums over its workers. */
export function createClusterMetrics() {
  const registry = new Registry();
  const { counter, gauge } = declaringIn(registry);
  collectDefaultMetrics({ register: registry });
  return {
    registry,
    workerUp: gauge(
      'worker_up',
      'With GATEWAY_WORKERS: 1 if the worker answered this scrape, 0 if it is blocked or being replaced.',
      ['worker'],
    ),
    workerExitsTotal: counter('worker_exits_total', 'With GATEWAY_WORKERS: workers that ended.'),
  };
}

export type ClusterMetrics = ReturnType<typeof createClusterMetrics>;

/** Adds the process and Node metrics; they use timers and native hooks, so only a whole gateway wants them. */
export function collectProcessMetrics(metrics: Metrics): void {
  collectDefaultMetrics({ register: metrics.registry });
}

/** The gateway's own metrics as rows of a Markdown table, for the README. */
export async function metricsTable(...registries: readonly Registry[]): Promise<string> {
  const all = (await Promise.all(registries.map((registry) => registry.getMetricsAsJSON()))).flat();
  const rows = all
    .filter((metric) => metric.name.startsWith(PREFIX))
    .map((metric) => `| \`${metric.name}\` | ${String(metric.type)} | ${metric.help} |`);
  return ['| metric | type | meaning |', '|---|---|---|', ...rows].join('\n');
}
