import { Writable } from 'node:stream';
import { afterEach, describe, expect, it } from 'vitest';
import { Budgets } from '../../../src/limits/budgets.ts';
import { createLogger } from '../../../src/log.ts';
import { createMetrics } from '../../../src/metrics/metrics.ts';
import type { Batch, Ledger } from '../../../src/store/ledger.ts';
import { MemoryLedger } from '../../../src/store/memory-ledger.ts';
import { StoreUnavailableError } from '../../../src/store/store.ts';

const ANN = { id: 'ann', tenant: 'acme', limits: {} };
const BOB = { ...ANN, id: 'bob' };
const BOUNDS = {
  tenantDailyBilledSeconds: 0,
  tenantDailyAudioSeconds: 0,
  userDailyAudioSeconds: 0,
  budgetWarnShare: 0.8,
};
const refused = expect.objectContaining({ code: 'budget_exceeded', retryAfterMs: expect.any(Number) });

/** A ledger that can be away, and lose answers. */
class PatchyLedger implements Ledger {
  readonly ledger = new MemoryLedger();
  available = true;
  losesAnswers = false;

  book(batch: Batch) {
    return this.#call(() => this.ledger.book(batch));
  }

  read(tenant: string, users: readonly string[]) {
    return this.#call(() => this.ledger.read(tenant, users));
  }

  async #call<T>(call: () => Promise<T>): Promise<T> {
    if (!this.available) throw new StoreUnavailableError('away');
    const answer = await call();
    if (this.losesAnswers) throw new StoreUnavailableError('no answer');
    return answer;
  }
}

const open: Budgets[] = [];
afterEach(async () => {
  for (const one of open.splice(0)) await one.close();
});

function budgetsWith(bounds: Partial<typeof BOUNDS>, ledger = new PatchyLedger()) {
  const metrics = createMetrics();
  const lines: string[] = [];
  const log = createLogger(
    'warn',
    new Writable({
      write(line: Buffer, _encoding, done) {
        lines.push(line.toString());
        done();
      },
    }),
  );
  const budgets = new Budgets({ ledger, bounds: { ...BOUNDS, ...bounds }, metrics, log });
  open.push(budgets);
  return { budgets, ledger, lines, metrics };
}

describe('Budgets', () => {
  it('asks the store nothing where there is no budget', () => {
    const { budgets } = budgetsWith({});
    expect(budgets.account(ANN).admit()).toBeUndefined();
  });

  it.each<[string, Partial<typeof BOUNDS>, { readonly audio?: number; readonly billed?: number }]>([
    ['the tenant has used its billed seconds', { tenantDailyBilledSeconds: 15 }, { billed: 15 }],
    ['the tenant has used its audio', { tenantDailyAudioSeconds: 20 }, { audio: 20_000 }],
    ['the user has used its audio', { userDailyAudioSeconds: 20 }, { audio: 20_000 }],
  ])('refuses new sessions until the day ends when %s', async (_case, bounds, { audio = 0, billed = 0 }) => {
    const { budgets, ledger } = budgetsWith(bounds);
    const account = budgets.account(ANN);
    await account.admit();
    account.audio(audio);
    if (billed > 0) account.billed(billed);
    account.close();
    await budgets.close();
    // Another worker.
    const elsewhere = budgetsWith(bounds, ledger).budgets;
    await expect(elsewhere.account(ANN).admit()).rejects.toEqual(refused);
    await elsewhere
      .account(ANN)
      .admit()
      ?.catch(({ retryAfterMs }) => expect(retryAfterMs).toBeLessThanOrEqual(86_400_000));
    const isOfUser = 'userDailyAudioSeconds' in bounds;
    const another = elsewhere.account(BOB).admit();
    await (isOfUser ? another : expect(another).rejects.toEqual(refused));
  });

  it('takes the limit of the token instead of its own', async () => {
    const { budgets, ledger } = budgetsWith({ userDailyAudioSeconds: 10 });
    const generous = { ...ANN, limits: { dailySeconds: 60 } };
    budgets.account(ANN).audio(20_000);
    await budgets.close();
    const { budgets: later } = budgetsWith({ userDailyAudioSeconds: 10 }, ledger);
    await later.account(generous).admit();
    await expect(later.account(ANN).admit()).rejects.toEqual(refused);
  });

  it('tells running sessions once when the budget is used up, also by those of other workers', async () => {
    const { budgets, ledger } = budgetsWith({ tenantDailyBilledSeconds: 30 });
    let told = 0;
    const account = budgets.account(ANN);
    account.onSpent(() => told++);
    account.billed(15);
    await budgets.close();
    expect(told).toBe(0);
    const elsewhere = budgetsWith({}, ledger).budgets;
    elsewhere.account(BOB).billed(14);
    await elsewhere.close();
    account.billed(1);
    await budgets.close();
    // Used up, but not exceeded: the last second may be one that is being spoken.
    expect(told).toBe(0);
    account.billed(1);
    await budgets.close();
    account.billed(1);
    await budgets.close();
    expect(told).toBe(1);
  });

  it('warns once a day before a budget is used up, and names nobody', async () => {
    const { budgets, lines, metrics } = budgetsWith({ tenantDailyBilledSeconds: 100 });
    const account = budgets.account(ANN);
    for (const seconds of [79, 2, 2]) {
      account.billed(seconds);
      await budgets.close();
    }
    const { values } = await metrics.budgetWarningsTotal.get();
    expect(values.filter(({ value }) => value > 0)).toMatchObject([
      { labels: { limit: 'billed_seconds_per_tenant' }, value: 1 },
    ]);
    expect(lines).toHaveLength(1);
    expect(lines[0]).toContain('nearly used up');
    expect(lines.join()).not.toMatch(/acme|ann/);
  });

  it('lets sessions begin while the store is away, and books afterwards what they used', async () => {
    const { budgets, ledger, metrics } = budgetsWith({ tenantDailyBilledSeconds: 100 });
    ledger.available = false;
    const account = budgets.account(ANN);
    await account.admit();
    const { values } = await metrics.limitFallbacksTotal.get();
    expect(values.filter(({ value }) => value > 0)).toMatchObject([{ labels: { limit: 'billed_seconds_per_tenant' } }]);
    account.billed(15);
    account.audio(12_000);
    await budgets.close();
    ledger.available = true;
    await budgets.close();
    expect(await ledger.read('acme', ['ann'])).toMatchObject({ billedSeconds: 15, audioMs: 12_000, users: [12_000] });
  });

  it('holds what it knows by itself to the budget while the store is away', async () => {
    const { budgets, ledger } = budgetsWith({ tenantDailyBilledSeconds: 20 });
    ledger.available = false;
    let told = 0;
    const account = budgets.account(ANN);
    account.onSpent(() => told++);
    account.billed(25);
    await budgets.close();
    expect(told).toBe(1);
    await expect(budgets.account(ANN).admit()).rejects.toMatchObject({ code: 'budget_exceeded' });
  });

  it('counts what was used once, though answers are lost', async () => {
    const { budgets, ledger } = budgetsWith({});
    const account = budgets.account(ANN);
    ledger.losesAnswers = true;
    for (let n = 0; n < 3; n++) {
      account.billed(10);
      await budgets.close();
    }
    ledger.losesAnswers = false;
    await budgets.close();
    expect(await ledger.read('acme', [])).toMatchObject({ billedSeconds: 30 });
  });

  it('counts for a tenant that it had forgotten as for any other', async () => {
    const { budgets, ledger } = budgetsWith({});
    for (let round = 0; round < 2; round++) {
      const account = budgets.account(ANN);
      account.billed(10);
      account.close();
      await budgets.close();
      for (let n = 0; n < 1_100; n++) budgets.account({ ...ANN, tenant: `other ${round} ${n}` }).close();
    }
    expect(await ledger.read('acme', [])).toMatchObject({ billedSeconds: 20 });
  });

  it('books more users than one call takes', async () => {
    const { budgets, ledger } = budgetsWith({});
    const users = Array.from({ length: 250 }, (_, n) => `user ${n}`);
    for (const id of users) budgets.account({ ...ANN, id }).audio(10_000);
    await budgets.close();
    const used = await ledger.read('acme', users);
    expect(used.users).toEqual(users.map(() => 10_000));
    expect(used.audioMs).toBe(2_500_000);
  });

  it('counts the rest of a session with its end, to the millisecond', async () => {
    const { budgets, ledger } = budgetsWith({});
    const account = budgets.account(ANN);
    for (let n = 0; n < 3; n++) account.audio(4_000 / 3);
    account.close();
    await budgets.close();
    expect(await ledger.read('acme', ['ann'])).toMatchObject({ audioMs: 4_000, users: [4_000] });
  });
});
