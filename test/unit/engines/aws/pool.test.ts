import { describe, expect, it } from 'vitest';
import { AwsFailure, type FailureKind } from '../../../../src/engines/aws/failures.ts';
import { Pool, type PoolMember } from '../../../../src/engines/aws/pool.ts';
import { GatewayError } from '../../../../src/errors.ts';

const NEVER = new AbortController().signal;
const SILENT = { circuitChanged: () => undefined, tried: () => undefined };

function member(name: string, priority = 1, weight = 1): PoolMember {
  return { name, priority, weight };
}

/** Opens streams whose name is that of their entry; those of `failing` refuse. */
function start(members: readonly PoolMember[], failing: Record<string, FailureKind> = {}) {
  const pool = new Pool(members, SILENT);
  const asked: string[] = [];
  const open = () =>
    pool.open(async ({ member: { name } }) => {
      asked.push(name);
      const kind = failing[name];
      if (kind !== undefined) throw new AwsFailure(kind);
      return name;
    }, NEVER);
  return { open, asked, failing };
}

async function opened(open: () => Promise<string>, count: number): Promise<string> {
  const names = [];
  for (let n = 0; n < count; n += 1) names.push(await open());
  return names.join('');
}

describe('Pool', () => {
  it('shares streams by weight, evenly spread', async () => {
    expect(await opened(start([member('a', 1, 3), member('b', 1, 1)]).open, 8)).toBe('aabaaaba');
    expect(await opened(start([member('a'), member('b'), member('c')]).open, 6)).toBe('abcabc');
  });

  it('leaves a higher priority alone while the lower one opens streams', async () => {
    const { open } = start([member('b', 2, 100), member('a', 1)]);
    expect(await opened(open, 5)).toBe('aaaaa');
  });

  it('tries every entry of a priority, then the next priority, at once', async () => {
    const { open, asked } = start([member('a'), member('b'), member('c', 2)], { a: 'quota', b: 'unavailable' });
    expect(await open()).toBe('c');
    expect(asked).toEqual(['a', 'b', 'c']);
  });

  it('does not ask an entry again that is set aside', async () => {
    const { open, asked } = start([member('a'), member('b', 2)], { a: 'quota' });
    expect(await opened(open, 9)).toBe('bbbbbbbbb');
    expect(asked.filter((name) => name === 'a')).toHaveLength(5);
  });

  it('does not try another entry for what is refused as it is', async () => {
    const { open, asked } = start([member('a'), member('b')], { a: 'rejected' });
    await expect(open()).rejects.toMatchObject({ code: 'engine_rejected' });
    expect(asked).toEqual(['a']);
  });

  it('says the most hopeful failure of all, and says it again while all are set aside', async () => {
    const { open } = start([member('a'), member('b')], { a: 'access_denied', b: 'quota' });
    for (let n = 0; n < 8; n += 1) {
      await expect(open()).rejects.toMatchObject({ code: 'quota_exhausted', retryable: true });
    }
  });

  it('says that nothing can be retried where no entry can', async () => {
    const { open } = start([member('a'), member('b')], { a: 'access_denied', b: 'credentials_missing' });
    await expect(open()).rejects.toMatchObject({ code: 'engine_unavailable', retryable: false });
  });

  it('asks nobody else once the caller has given up', async () => {
    const controller = new AbortController();
    const asked: string[] = [];
    const pool = new Pool([member('a'), member('b')], SILENT);
    const running = pool.open(async ({ member: { name } }) => {
      asked.push(name);
      controller.abort();
      throw new AwsFailure('unavailable');
    }, controller.signal);
    await expect(running).rejects.toThrow(/abort/);
    expect(asked).toEqual(['a']);
  });

  it('tells how each attempt went', async () => {
    const told: string[] = [];
    const pool = new Pool([member('a'), member('b')], {
      circuitChanged: (entry, state) => told.push(`${entry} ${state}`),
      tried: (entry, failure) => told.push(`${entry} ${failure instanceof GatewayError ? failure.code : 'ok'}`),
    });
    await pool
      .open(async ({ member: { name } }) => {
        if (name === 'a') throw new AwsFailure('quota');
      }, NEVER)
      .catch(() => undefined);
    expect(told).toEqual(['a closed', 'b closed', 'a quota_exhausted']);
  });
});
