import { it } from 'vitest';
import { splits } from '../support/splits.ts';
import { describeCluster, expectWhole } from '../support/whole.ts';

describeCluster((redis) => {
  it('is whole when owners are cut off from Redis at random, and clients driven from one gateway to another', async () => {
    await expectWhole({ redis: redis(), pods: 3, kills: 2, sessions: 3, seed: 3, strike: splits(3) });
  });
});
