import { afterAll, describe, expect, it } from 'vitest';
import { hasPassed, runDrill } from '../support/drill.ts';
import { DRILLS } from '../support/drills.ts';
import { killAll } from '../support/process.ts';
import { NO_PROMETHEUS } from '../support/prometheus.ts';
import { NO_REDIS } from '../support/redis.ts';

/** Of `npm run bench:drills`, which has them all, those that are over soon. */
const SHORT = ['TranscribeGatewayAllDown', 'TranscribeGatewayStoreAway', 'TranscribeGatewayWorkerSilent'];
const DRILL_MS = 200_000;

const drills = DRILLS.filter(({ alerts }) => SHORT.some((alert) => alert in alerts));

afterAll(killAll);

describe.skipIf(NO_REDIS || NO_PROMETHEUS)('the alerts of a live stack', () => {
  it('are drilled here, some of them', () => {
    expect(drills).toHaveLength(SHORT.length);
  });

  it.concurrent.each(drills)(
    'fire when $fault, and are over when that is mended',
    { timeout: DRILL_MS },
    async (drill) => {
      const results = await runDrill(drill);
      expect(results.map(({ alert }) => alert)).toEqual(Object.keys(drill.alerts));
      expect(results.filter((result) => !hasPassed(result))).toEqual([]);
    },
  );
});
