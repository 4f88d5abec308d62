/**
 * The block account: what became of every block of coded audio that was sent.
 *
 * Usage: `console.log(formatAccount(reconcile({expected, finals, gaps})))`; `isClean` says whether all was well.
 */
import type { PlacedBlock } from './coded-audio.ts';

/** Audio that was reported as lost, in samples of the same timeline as the blocks'; the end is not included. */
interface ReportedGap {
  readonly fromSample: number;
  readonly toSample: number;
}

export interface ReconcileInput {
  /** Every block that was sent, in order. */
  readonly expected: readonly PlacedBlock[];
  /** The texts of the finals in the order in which they came: `b1 b2 b3`. */
  readonly finals: readonly string[];
  readonly gaps: readonly ReportedGap[];
}

export interface BlockAccount {
  readonly sent: number;
  /** Different blocks that finals named. */
  readonly heard: number;
  /** Blocks that no final named and that touch a reported gap. */
  readonly coveredByGap: readonly number[];
  /** Blocks that no final named and no gap reported: silent loss. */
  readonly lost: readonly number[];
  /** Blocks that were named again, once for each time after the first. */
  readonly doubled: readonly number[];
  /** Blocks that were first named after a later block. */
  readonly reordered: readonly number[];
  /** Blocks that were named but never sent. */
  readonly invented: readonly number[];
  /** Words that are no block. */
  readonly foreignWords: number;
}

function touches(block: PlacedBlock, gap: ReportedGap): boolean {
  return block.startSample < gap.toSample && gap.fromSample < block.endSample;
}

export function reconcile({ expected, finals, gaps }: ReconcileInput): BlockAccount {
  const sent = new Set(expected.map((block) => block.number));
  const heard = new Set<number>();
  const doubled: number[] = [];
  const reordered: number[] = [];
  const invented: number[] = [];
  let foreignWords = 0;
  let highest = 0;
  for (const word of finals.flatMap((text) => text.split(/\s+/).filter((part) => part !== ''))) {
    const number = /^b(\d+)$/.test(word) ? Number(word.slice(1)) : undefined;
    if (number === undefined) foreignWords += 1;
    else if (!sent.has(number)) invented.push(number);
    else if (heard.has(number)) doubled.push(number);
    else {
      if (number < highest) reordered.push(number);
      highest = Math.max(highest, number);
      heard.add(number);
    }
  }
  const missing = expected.filter((block) => !heard.has(block.number));
  const covered = missing.filter((block) => gaps.some((gap) => touches(block, gap)));
  const coveredNumbers = new Set(covered.map((block) => block.number));
  return {
    sent: expected.length,
    heard: heard.size,
    coveredByGap: [...coveredNumbers],
    lost: missing.map((block) => block.number).filter((number) => !coveredNumbers.has(number)),
    doubled,
    reordered,
    invented,
    foreignWords,
  };
}

/** Nothing lost without a gap, nothing doubled, moved or made up. */
export function isClean(account: BlockAccount): boolean {
  const faults = [account.lost, account.doubled, account.reordered, account.invented];
  return faults.every((list) => list.length === 0) && account.foreignWords === 0;
}

/** Rising numbers as ranges, `3-7, 12`, cut off after some. */
function ranges(numbers: readonly number[], atMost = 8): string {
  const out: { first: number; last: number }[] = [];
  for (const number of numbers) {
    const last = out.at(-1);
    if (last !== undefined && number === last.last + 1) last.last = number;
    else out.push({ first: number, last: number });
  }
  const shown = out.slice(0, atMost).map(({ first, last }) => (first === last ? `${first}` : `${first}-${last}`));
  return shown.join(', ') + (out.length > atMost ? ', …' : '');
}

/** The account as text, for the log of a test or a soak. */
export function formatAccount(account: BlockAccount): string {
  const lines: (readonly [string, number, string])[] = [
    ['sent', account.sent, ''],
    ['heard', account.heard, ''],
    ['covered by gap', account.coveredByGap.length, ranges(account.coveredByGap)],
    ['lost', account.lost.length, ranges(account.lost)],
    ['doubled', account.doubled.length, ranges(account.doubled)],
    ['reordered', account.reordered.length, ranges(account.reordered)],
    ['invented', account.invented.length, ranges(account.invented)],
    ['foreign words', account.foreignWords, ''],
  ];
  const body = lines.map(([name, count, detail]) =>
    `  ${name.padEnd(15)}${String(count).padStart(8)}  ${detail}`.trimEnd(),
  );
  return [`block account (20 ms each): ${isClean(account) ? 'clean' : 'NOT CLEAN'}`, ...body].join('\n');
}
