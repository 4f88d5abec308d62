import type { FastifyInstance } from 'fastify';
import { bearerToken } from '../auth/bearer.ts';
import type { Door } from '../auth/index.ts';
import { assertScope } from '../auth/principal.ts';
import { GatewayError } from '../errors.ts';
import type { Budgets } from '../limits/budgets.ts';
import { StoreUnavailableError } from '../store/store.ts';

const DAY_MS = 86_400_000;
/** Suggested while the store is away, in milliseconds. */
const RETRY_AFTER_MS = 2_000;

/** `GET /v1/usage`: what the tenant of an administrator has used today, and what it may. */
export function addUsageRoute(http: FastifyInstance, { authenticator }: Door, budgets: Budgets): void {
  http.get('/v1/usage', async ({ headers }, reply) => {
    const asker = await authenticator.authenticate(bearerToken(headers.authorization));
    assertScope(asker, 'admin', 'GET /v1/usage');
    reply.header('cache-control', 'no-store');
    try {
      const { audioMs, billedSeconds, day, endsInMs } = await budgets.usage(asker);
      const { tenantDailyAudioSeconds, tenantDailyBilledSeconds } = budgets.bounds;
      return {
        day: new Date(day * DAY_MS).toISOString().slice(0, 10),
        ends_in_ms: endsInMs,
        billed_seconds: { used: billedSeconds, budget: tenantDailyBilledSeconds || null },
        audio_seconds: { used: audioMs / 1000, budget: tenantDailyAudioSeconds || null },
      };
    } catch (error) {
      if (!(error instanceof StoreUnavailableError)) throw error;
      throw new GatewayError('store_unavailable', 'What was used is not known while the store is away.', {
        retryAfterMs: RETRY_AFTER_MS,
        cause: error,
      });
    }
  });
}
