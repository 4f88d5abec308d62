import { expect, it } from 'vitest';
import { isCommitted, isProvisional, type Name, SplitBrain } from '../support/split-brain.ts';
import { CUTS, type Cut } from '../support/tcp-gate.ts';
import { describeCluster } from '../support/whole.ts';

const CUT = Object.keys(CUTS) as Cut[];

/** A is cut off and goes on for a client that is at B by now. It hears the same audio, and more. */
async function part(split: SplitBrain, how: Cut): Promise<void> {
  split.cut('a', how);
  await split.hears('a', isProvisional);
  split.leaves();
  await split.goesTo('b');
  await split.overhears('a', isProvisional);
  await split.hears('b', isCommitted);
  await split.isMisled('a');
}

describeCluster((redis) => {
  it.concurrent.each(CUT)(
    'fences an owner that was cut off (%s) and said to its client what it could not commit, while that went on elsewhere',
    async (how) => {
      await SplitBrain.run(redis(), async (split) => {
        await part(split, how);
        await split.heal('a');
        await split.isFenced('a');
        await split.isStored();
        // Nor does it matter that it has been there already.
        await split.goesTo('a');
        await split.isFenced('b');
      });
    },
  );

  it.concurrent.each(CUT)('gives entries once that an owner which was cut off (%s) said into the void', async (how) => {
    await SplitBrain.run(redis(), async (split) => {
      split.cut('a', how);
      await split.hears('a', isProvisional);
      split.phone.deafen();
      await split.overhears('a', isProvisional);
      await split.goesTo('b');
      await split.hears('b', isCommitted);
      await split.heal('a');
      await split.isFenced('a');
    });
  });

  it.concurrent.each(CUT)(
    'sends a client away that comes where the store is cut off (%s), and goes on with it at its owner',
    async (how) => {
      await SplitBrain.run(redis(), async (split) => {
        split.phone.echoes = true;
        split.cut('b', how);
        await split.isSentAway('b');
        await split.goesTo('a');
        await split.hears('a', isCommitted);
        await split.heal('b');
        await split.hears('a', isCommitted);
        await split.isIdle('b');
      });
    },
  );

  it.concurrent('goes on with a client at its owner when a claim arrives late from where it was sent away', async () => {
    await SplitBrain.run(redis(), async (split) => {
      split.cut('b', 'black hole');
      await split.isSentAway('b');
      await split.heal('b');
      // Nobody holds that claim.
      await split.isStored(2);
      await split.goesTo('a');
      await split.hears('a', isCommitted);
      await split.isStored();
      await split.isIdle('b');
    });
  });

  it.concurrent.each(CUT)(
    'fences the second owner too when that is cut off (%s) and its client returns to the first',
    async (how) => {
      await SplitBrain.run(redis(), async (split) => {
        split.leaves();
        await split.goesTo('b');
        await split.isFenced('a');
        split.cut('b', how);
        await split.hears('b', isProvisional);
        split.leaves();
        await split.goesTo('a');
        await split.overhears('b', isProvisional);
        await split.hears('a', isCommitted);
        await split.isMisled('b');
        await split.heal('b');
        await split.isFenced('b');
      });
    },
  );

  it.concurrent.each<[Cut, Name, Name]>([
    ['reset', 'a', 'b'],
    ['reset', 'b', 'a'],
    ['black hole', 'a', 'b'],
    ['black hole', 'b', 'a'],
    ['lost answers', 'b', 'a'],
  ])(
    'is whole when both are cut off (%s) while the client looks for its owner, and the store is there for %s first',
    async (how, first, second) => {
      await SplitBrain.run(redis(), async (split) => {
        split.cut('a', how);
        split.cut('b', how);
        await split.hears('a', isProvisional);
        await split.isSentAway('b');
        await split.goesTo('a');
        expect(split.phone.counts.withoutStore).toBe(1);
        await split.hears('a', isProvisional);
        await split.heal(first);
        await split.hears('a', () => true);
        await split.heal(second);
        await split.hears('a', isCommitted);
        await split.isIdle('b');
      });
    },
  );

  it.concurrent('is whole when both are cut off, and the store is there first for a gateway that the client goes to', async () => {
    await SplitBrain.run(redis(), async (split) => {
      split.cut('a', 'black hole');
      split.cut('b', 'black hole');
      await split.hears('a', isProvisional);
      await split.isSentAway('b');
      await split.goesTo('a');
      split.leaves();
      await split.heal('b');
      await split.goesTo('b');
      await split.hears('b', isCommitted);
      await split.heal('a');
      await split.isFenced('a');
    });
  });

  it.concurrent('does not attach a client without the store to an owner of whose successor it knows', async () => {
    await SplitBrain.run(redis(), async (split) => {
      await part(split, 'reset');
      split.cut('b', 'reset');
      await split.hears('b', isProvisional);
      split.leaves();
      await split.isSentAway('a');
      await split.goesTo('b');
      expect(split.phone.counts.withoutStore).toBe(1);
      await split.hears('b', isProvisional);
      await split.heal('a');
      await split.heal('b');
      await split.isFenced('a');
    });
  });

  it.concurrent('does not attach a client without the store to an owner that does not know all that it knows', async () => {
    await SplitBrain.run(redis(), async (split) => {
      split.cut('a', 'reset');
      // B has the session from now on, and the client does not hear of it.
      await split.phone.turnTo('b', true);
      await split.isStored(2);
      await split.goesTo('a');
      await split.hears('a', isProvisional);
      split.cut('b', 'reset');
      await split.isSentAway('b');
      await split.heal('b');
      await split.goesTo('b');
      await split.hears('b', isCommitted);
      await split.heal('a');
      await split.isFenced('a');
    });
  });

  it.concurrent.each(CUT)(
    'is whole when the store comes back empty, and an owner that was passed over (%s) makes the record anew',
    async (how) => {
      await SplitBrain.run(redis(), async (split) => {
        await part(split, how);
        split.cut('b', how);
        await split.hears('b', isProvisional);
        await split.flush();
        await split.heal('a');
        // A network that only delays may deliver what it was told of the claim as well.
        if (how !== 'black hole') await split.isStored(1);
        await split.heal('b');
        await split.isStored();
        await split.isFenced('a');
      });
    },
  );

  it.concurrent('is whole when the client goes to an owner that was passed over and made a lost record anew', async () => {
    await SplitBrain.run(redis(), async (split) => {
      await part(split, 'reset');
      split.cut('b', 'reset');
      await split.hears('b', isProvisional);
      await split.flush();
      await split.heal('a');
      await split.isStored(1);
      split.leaves();
      await split.goesTo('a');
      await split.hears('a', isCommitted);
      await split.isStored();
      await split.heal('b');
      await split.isFenced('b');
    });
  });
});
