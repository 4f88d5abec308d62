import { setTimeout as delay } from 'node:timers/promises';
import { it } from 'vitest';
import type { Strike } from '../support/takeover.ts';
import { describeCluster, expectWhole } from '../support/whole.ts';

/** How long a strike that passes lasts, in milliseconds: longer than a client waits for a connection that is silent. */
const STRIKE_MS = 4_000;

describeCluster((redis) => {
  it.each<[string, Strike]>([
    [
      'Redis stands still',
      async () => {
        await redis().pause();
        await delay(STRIKE_MS);
        await redis().unpause();
      },
    ],
    [
      'Redis is away, and comes back empty',
      async () => {
        await redis().kill();
        await delay(STRIKE_MS);
        await redis().restart();
      },
    ],
    [
      'Redis is emptied, and the network is cut at the same time',
      async (pods) => {
        await redis().command('FLUSHALL');
        pods.cut();
      },
    ],
  ])('is whole when %s', async (_name, strike) => {
    await expectWhole({ redis: redis(), kills: 1, sessions: 2, seed: 5, strike });
  });
});
