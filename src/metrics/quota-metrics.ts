import type { Registry } from 'prom-client';
import { declaringIn } from './declaring.ts';

/** Seconds. From no wait at all to the longest that is usual. */
const WAIT_BUCKETS = [0.01, 0.05, 0.25, 1, 2.5, 5, 10, 20, 30, 60];

/** What is known of the quota of AWS accounts, and of the line for it. */
export function createQuotaMetrics(registry: Registry) {
  const { gauge, histogram } = declaringIn(registry);
  return {
    awsQuotaStreams: gauge('aws_quota_streams', 'Streams at a time that an AWS pool entry grants.', ['entry'], 'max'),
    awsSlotsHeld: gauge('aws_slots_held', 'Of them, those in use by all gateways together.', ['entry'], 'max'),
    queueSessions: gauge('queue_sessions', 'Sessions that wait for a stream of the quota.'),
    queueWaitSeconds: histogram(
      'queue_wait_seconds',
      'From the wish for a stream until the quota had one.',
      WAIT_BUCKETS,
    ),
  };
}
