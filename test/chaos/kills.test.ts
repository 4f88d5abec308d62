import { it } from 'vitest';
import { describeCluster, expectWhole } from '../support/whole.ts';

describeCluster((redis) => {
  it('is whole when owners are killed at random moments, and within commits, acknowledgements, claims and replays', async () => {
    await expectWhole({
      redis: redis(),
      kills: 2,
      deaths: 5,
      sessions: 2,
      seed: 11,
      failpoints:
        'commit.before=0.05,commit.after=0.05,ack.before=0.02,ack.after=0.02,claim.before=0.1,claim.after=0.1,replay=0.2',
    });
  });
});
