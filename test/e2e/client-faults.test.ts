import { afterEach, describe, expect, it } from 'vitest';
import { seededRandom } from '../../src/emulator/random.ts';
import { type Fault, type ModelOptions, type Moment, ProtocolModel } from '../support/protocol-model.ts';
import { formatAccount, isClean } from '../support/reconcile.ts';
import { accountOf, orderFaults, recorded, speak, speech } from '../unit/client/spoken.ts';

const models: ProtocolModel[] = [];

afterEach(async () => {
  for (const model of models.splice(0)) await model.close();
});

async function modelWith(options: ModelOptions = {}): Promise<ProtocolModel> {
  const model = await ProtocolModel.listen(options);
  models.push(model);
  return model;
}

/** Faults at random moments, some of each kind, until their number is used up. */
function randomFaults(seed: number, faults: readonly Fault[], atMost: number): (moment: Moment) => Fault | undefined {
  const random = seededRandom(seed);
  let left = atMost;
  return (moment) => {
    const rate = moment === 'chunk' ? 0.03 : 0.25;
    if (left === 0 || random() > rate) return undefined;
    const fault = faults[Math.floor(random() * faults.length)];
    if (moment !== 'chunk' && (fault === 'refuse' || fault === 'lose')) return undefined;
    left -= 1;
    return fault;
  };
}

const KINDS: Readonly<Record<string, readonly Fault[]>> = {
  'lost connections': ['cut'],
  'killed owners': ['die'],
  'refused and lost chunks': ['refuse', 'lose'],
  'forgotten sessions': ['forget'],
  'all of these': ['cut', 'cut', 'die', 'die', 'forget', 'refuse', 'lose'],
};

describe('every block is heard once and in order', () => {
  for (const [name, faults] of Object.entries(KINDS)) {
    for (const seed of [1, 2, 3, 4, 5, 6]) {
      it(`with ${name}, seed ${seed}`, async () => {
        const model = await modelWith({ fault: randomFaults(seed, faults, 14), limits: { unacked_ms: 20_000 } });
        const { client, entries, retries } = recorded({ url: model.url });
        const audio = speech(seed);
        void client.start();
        await speak(client, audio.pcm);
        const summary = await client.stop();
        const account = accountOf(audio, entries);
        expect(
          isClean(account),
          `${formatAccount(account)}\n${retries.map((one) => one.error.message).join('\n')}`,
        ).toBe(true);
        expect(account.coveredByGap).toEqual([]);
        expect(orderFaults(audio, entries)).toEqual([]);
        expect(model.violations).toEqual([]);
        expect(summary).toMatchObject({ gaps: 0, audioMs: Math.floor(audio.pcm.length / 32) });
      });
    }
  }
});
