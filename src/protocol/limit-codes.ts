import type { ErrorCode } from './error-codes.ts';

/** Every limit that refuses, as the metrics call it, with the code that a client gets. */
export const LIMITS = {
  sessions_per_user: 'sessions_exceeded',
  sessions_per_tenant: 'sessions_exceeded',
  sessions_per_token: 'sessions_exceeded',
  queue_length: 'quota_exhausted',
  queue_timeout: 'quota_exhausted',
  memory_pressure: 'overloaded',
  event_loop_pressure: 'overloaded',
  session_audio: 'duration_exceeded',
  audio_speed: 'audio_rate_exceeded',
  events_per_connection: 'rate_exceeded',
  billed_seconds_per_tenant: 'budget_exceeded',
  audio_seconds_per_tenant: 'budget_exceeded',
  audio_seconds_per_user: 'budget_exceeded',
  connections_per_address: 'connections_exceeded',
  connects_per_address: 'rate_exceeded',
  auth_failures_per_address: 'rate_exceeded',
  resume_failures_per_address: 'rate_exceeded',
  resume_failures_per_connection: 'rate_exceeded',
} as const satisfies Record<string, ErrorCode>;

export type LimitName = keyof typeof LIMITS;
