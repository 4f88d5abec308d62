import type { Registry } from 'prom-client';
import { declaringIn } from './declaring.ts';

/** Seconds: from a request that is refused at once to one that waits for the keys of an issuer. */
const REQUEST_BUCKETS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5];
/** Seconds: a call to a Redis near by takes less than a millisecond, and none more than GATEWAY_REDIS_TIMEOUT_MS. */
const CALL_BUCKETS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5];

/** What is measured of HTTP routes and of Redis. */
export function createServerMetrics(registry: Registry) {
  const { counter, gauge, histogram } = declaringIn(registry);
  return {
    httpRequestsTotal: counter(
      'http_requests_total',
      'HTTP requests other than those of Socket.IO, by route and status.',
      ['route', 'status'],
    ),
    httpRequestSeconds: histogram('http_request_seconds', 'How long they took, by route.', REQUEST_BUCKETS, ['route']),
    storeAvailable: gauge('store_available', '1 while the session store can be reached.', [], 'min'),
    storeCallSeconds: histogram('store_call_seconds', 'How long a call to Redis took, by call.', CALL_BUCKETS, [
      'call',
    ]),
    storeFailuresTotal: counter(
      'store_failures_total',
      'Calls to Redis that had no answer, or were not made because it is away, by call.',
      ['call'],
    ),
  };
}
