import { describe, expect, test } from 'vitest';
import { codedAudio } from '../../support/coded-audio.ts';
import { formatAccount, isClean, reconcile } from '../../support/reconcile.ts';

const { blocks: expected } = codedAudio({ utterances: 1, blocks: 10, silentBlocks: 0 });
const words = (...numbers: number[]) => numbers.map((number) => `b${number}`).join(' ');

describe('the block account', () => {
  test('is clean when every block was heard once, in order', () => {
    const account = reconcile({ expected, finals: [words(1, 2, 3), '', words(4, 5, 6, 7, 8, 9, 10)], gaps: [] });
    expect(account).toMatchObject({ sent: 10, heard: 10, lost: [], doubled: [], reordered: [] });
    expect(isClean(account)).toBe(true);
    expect(formatAccount(account)).toContain('clean');
  });

  test('tells lost from reported, to the sample', () => {
    const finals = [words(1, 2, 3, 9, 10)];
    const gaps = [{ fromSample: 4 * 320 + 319, toSample: 6 * 320 + 1 }];
    const account = reconcile({ expected, finals, gaps });
    expect(account).toMatchObject({ coveredByGap: [5, 6, 7], lost: [4, 8] });
    expect(isClean(account)).toBe(false);
  });

  test('does not let a gap excuse a block that was heard, or one that only borders on it', () => {
    const gaps = [{ fromSample: 2 * 320, toSample: 3 * 320 }];
    expect(reconcile({ expected, finals: [words(1, 3)], gaps })).toMatchObject({ coveredByGap: [], heard: 2 });
    expect(reconcile({ expected, finals: [words(1, 3)], gaps }).lost).toContain(2);
  });

  test('finds doubled, reordered, invented and foreign words', () => {
    const account = reconcile({ expected, finals: [words(1, 2, 2, 5), words(4, 1, 99), 'hello'], gaps: [] });
    expect(account).toMatchObject({ doubled: [2, 1], reordered: [4], invented: [99], foreignWords: 1 });
    expect(isClean(account)).toBe(false);
    expect(formatAccount(account)).toMatch(/NOT CLEAN[\s\S]*lost +6 {2}3, 6-10/);
  });
});
