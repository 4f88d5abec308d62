import type { FastifyInstance } from 'fastify';
import { GatewayError } from '../errors.ts';
import type { Budgets } from '../limits/budgets.ts';
import { StoreUnavailableError } from '../store/store.ts';
import type { FindAsker } from './asker.ts';

const DAY_MS = 86_400_000;
/** Suggested while the store is away, in milliseconds. */
const RETRY_AFTER_MS = 2_000;

/** `GET /v1/usage`: what the tenant of an administrator has used today, and what it may. */
export function addUsageRoute(http: FastifyInstance, findAsker: FindAsker, budgets: Budgets): void {
  http.get('/v1/usage', async (request, reply) => {
    const asker = await findAsker(request, 'admin');
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
