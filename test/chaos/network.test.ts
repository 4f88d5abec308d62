import { setTimeout as delay } from 'node:timers/promises';
import { expect, it } from 'vitest';
import type { Strike } from '../support/takeover.ts';
import { describeCluster, expectWhole } from '../support/whole.ts';

/** How long a strike that passes lasts, in milliseconds: longer than a client waits for a connection that is silent. */
const STRIKE_MS = 4_000;

describeCluster((redis) => {
  it.each<[string, Strike]>([
    ['the network is cut', async (pods) => pods.cut()],
    ['connections carry nothing any more and nobody is told', async (pods) => pods.swallow()],
    [
      'the owner stands still while another takes over, and then wakes up',
      async (pods, owner) => {
        const child = pods.gateway(owner)?.child;
        child?.kill('SIGSTOP');
        await delay(STRIKE_MS);
        child?.kill('SIGCONT');
      },
    ],
    [
      'the owner is drained',
      async (pods, owner) => {
        const gateway = pods.gateway(owner);
        gateway?.child.kill('SIGTERM');
        expect(await gateway?.exited).toBe(0);
      },
    ],
  ])('is whole when %s', async (_name, strike) => {
    await expectWhole({ redis: redis(), kills: 1, sessions: 2, seed: 5, strike });
  });
});
