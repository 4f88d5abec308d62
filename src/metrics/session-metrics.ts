import type { Registry } from 'prom-client';
import { ERROR_CODES, type ErrorCode } from '../protocol/error-codes.ts';
import { PROTOCOL_VERSIONS } from '../protocol/events.ts';
import { declaringIn, RESULT_LATENCY_BUCKETS } from './declaring.ts';

/** Seconds. From an engine that answers at once to a session that had to wait for its turn in the line. */
const START_BUCKETS = [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];
/** Seconds. From a command to a working day. */
const SESSION_BUCKETS = [5, 15, 60, 300, 900, 1_800, 3_600, 14_400, 28_800];
/** Seconds. Writes join 0.1 s of audio; more is what waits for an engine that is slow, or is opened anew. */
const WAIT_BUCKETS = [0.025, 0.05, 0.1, 0.2, 0.5, 1, 2.5, 5, 10, 30];
/** Seconds. A commit is a call to Redis; while that is away, finals are sent as they are. */
const DELIVERY_BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5];
/** Seconds. From a change of networks to the whole of a resume window. */
const PAUSE_BUCKETS = [0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300];

const CODES = Object.keys(ERROR_CODES) as ErrorCode[];
/** Why nothing of a session is left in a process. */
const END_REASONS = [
  ...(['client_stop', 'draining', 'token_expired', 'duration_exceeded', 'budget_exceeded'] as const),
  ...(['disconnected', 'error'] as const),
  ...(['expired', 'taken_over', 'handed_over'] as const),
] as const;
const GAP_REASONS = ['replay_overflow', 'engine_failed', 'client_overflow'] as const;

/** What is measured of sessions: their lives, what they are given and what they say. */
export function createSessionMetrics(registry: Registry) {
  const { closedCounter, counter, gauge, histogram, readGauge, sampledGauge } = declaringIn(registry);
  return {
    sessions: gauge('sessions', 'Sessions that have not ended.'),
    sessionStates: sampledGauge(
      'session_states',
      'Sessions by what their engine stream does; `detached` are those, of whatever state, whose client is away.',
      'state',
      ['starting', 'live', 'parking', 'parked', 'reopening', 'flushing', 'detached'],
    ),
    sessionsStartedTotal: closedCounter('sessions_started_total', 'Sessions whose first engine stream opened.', {
      protocol: PROTOCOL_VERSIONS.map((version) => String(version)),
    }),
    sessionStartSeconds: histogram(
      'session_start_seconds',
      'From the wish for a session until its first engine stream was open, the wait for the quota included.',
      START_BUCKETS,
    ),
    sessionsEndedTotal: closedCounter('sessions_ended_total', 'Sessions ended, by reason.', { reason: END_REASONS }),
    sessionSeconds: histogram('session_seconds', 'How long sessions were here, whatever came after.', SESSION_BUCKETS),
    audioSecondsTotal: counter('audio_seconds_total', 'Seconds of audio accepted from clients.'),
    audioWaitSeconds: histogram(
      'audio_wait_seconds',
      'From the arrival of audio until the engine was given it: what the gateway adds on the way in.',
      WAIT_BUCKETS,
    ),
    resultsTotal: closedCounter('results_total', 'Results sent to clients.', { type: ['partial', 'final'] }),
    partialsSkippedTotal: counter('partials_skipped_total', 'Partials not sent because the client reads slowly.'),
    finalsDroppedTotal: counter('finals_dropped_total', 'Finals dropped because earlier ones cover their audio.'),
    firstPartialSeconds: histogram(
      'first_partial_seconds',
      'From the arrival of the beginning of an utterance until its first partial.',
      RESULT_LATENCY_BUCKETS,
    ),
    resultLatencySeconds: histogram(
      'result_latency_seconds',
      'From the arrival of the last sample that a result covers until the engine gave the result; without `audio_wait_seconds` it is the engine’s.',
      RESULT_LATENCY_BUCKETS,
      ['type'],
    ),
    deliverySeconds: histogram(
      'delivery_seconds',
      'From when the engine gave a final until it was committed and sent: what the gateway adds on the way out.',
      DELIVERY_BUCKETS,
    ),
    resumesTotal: closedCounter('resumes_total', 'Resumes, by `resumed`, `stopped` or the code of the refusal.', {
      outcome: ['resumed', 'stopped', ...CODES],
    }),
    resumePauseSeconds: histogram(
      'resume_pause_seconds',
      'How long a client was away before it went on, here or elsewhere, as its former worker knows: not of one that died or drained.',
      PAUSE_BUCKETS,
    ),
    entriesTotal: closedCounter(
      'entries_total',
      'Entries that journals let out: not durable are those that had to go before the store had them.',
      { kind: ['final', 'gap'], durable: ['true', 'false'] },
    ),
    entriesPending: readGauge('entries_pending', 'Entries that wait for the store.'),
    fencesTotal: closedCounter(
      'fences_total',
      'Sessions that went on elsewhere, by how their former owner heard of it: by a notice, or when the store refused a write.',
      { by: ['notice', 'write'] },
    ),
    rebuildsTotal: counter('rebuilds_total', 'Records that were written again because the store had lost them.'),
    gapsTotal: closedCounter('gaps_total', 'Gaps reported to clients, by reason.', { reason: GAP_REASONS }),
    gapSecondsTotal: closedCounter('gap_seconds_total', 'Seconds of audio lost and reported as a gap.', {
      reason: GAP_REASONS,
    }),
  };
}
