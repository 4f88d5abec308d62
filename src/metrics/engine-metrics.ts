import type { Registry } from 'prom-client';
import { declaringIn, RESULT_LATENCY_BUCKETS } from './declaring.ts';
import { createQuotaMetrics } from './quota-metrics.ts';

/** What may become of an attempt to open a stream; the other words are codes of errors. */
export const OPEN_OUTCOMES = [
  'ok',
  'aborted',
  'bad_request',
  'engine_unavailable',
  'engine_rejected',
  'internal',
  'quota_exhausted',
  'unsupported_encoding',
  'unsupported_language',
] as const;
const BREAK_CODES = ['engine_unavailable', 'engine_rejected', 'internal', 'quota_exhausted'] as const;
const STREAM_ENDS = ['stopped', 'parked', 'retired', 'broken', 'stalled'] as const;
/** Seconds. A break costs a stream's opening at least; after GATEWAY_RECOVERY_TIMEOUT_MS the session fails. */
const FAILOVER_BUCKETS = [0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];

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

/** What sessions measure of the engine that they use. */
export function createStreamMetrics(registry: Registry) {
  const { counter, gauge, histogram } = declaringIn(registry);
  return {
    engineStreams: gauge('engine_streams', 'Open engine streams.', ['engine']),
    engineOpensTotal: counter('engine_opens_total', 'Attempts to open an engine stream.', ['engine', 'outcome']),
    engineStreamEndsTotal: counter(
      'engine_stream_ends_total',
      'Engine streams that are over, by how they ended; `retired` are those that were rotated because of their age.',
      ['engine', 'how'],
    ),
    engineBreaksTotal: counter('engine_breaks_total', 'Engine streams that broke in mid-session.', ['engine', 'code']),
    engineFailoverSeconds: histogram(
      'engine_failover_seconds',
      'From the break of an engine stream until its session had another.',
      FAILOVER_BUCKETS,
      ['engine'],
    ),
    billedSecondsTotal: counter('billed_seconds_total', 'Seconds that the engine bills, counted as it counts them.', [
      'engine',
    ]),
    trimmedSecondsTotal: counter(
      'trimmed_seconds_total',
      'Seconds of silence that an engine was not given because the session asked for that.',
      ['engine'],
    ),
  };
}

/** The samples of an engine's metrics before anything has happened, so that `rate()` sees the first event. */
export function beginEngineSeries(metrics: ReturnType<typeof createStreamMetrics>, engine: string): void {
  metrics.engineStreams.inc({ engine }, 0);
  for (const outcome of OPEN_OUTCOMES) metrics.engineOpensTotal.inc({ engine, outcome }, 0);
  for (const how of STREAM_ENDS) metrics.engineStreamEndsTotal.inc({ engine, how }, 0);
  for (const code of BREAK_CODES) metrics.engineBreaksTotal.inc({ engine, code }, 0);
  metrics.engineFailoverSeconds.zero({ engine });
  metrics.billedSecondsTotal.inc({ engine }, 0);
  metrics.trimmedSecondsTotal.inc({ engine }, 0);
}
