/** The account of a rolling restart, as text. */
import { quantile } from './quantile.ts';
import { type BlockAccount, isClean } from './reconcile.ts';
import type { RollingReport } from './rolling-restart.ts';

/** Every word that was taken is in one final, nothing else went wrong, and every gateway ended in good order. */
export function isWhole({ accounts, problems, rolls, speakers }: RollingReport): boolean {
  const isOrderly = rolls.every(({ exit, inWord }) => exit === 0 && inWord === speakers.length);
  return isOrderly && problems.length === 0 && [...accounts[1], ...accounts[2]].every(isClean);
}

export function formatRolling(report: RollingReport): string {
  const { problems, tailsMs } = report;
  const tails = tailsMs.filter((tail) => tail > 0);
  return [
    'version  sessions   moves  blocks    lost  doubled  pause: median   longest',
    versionRow(report, 2),
    versionRow(report, 1),
    '',
    'gateway  exit  seconds  clients     in mid-word  connects a second: even pace  in 2 s  busiest',
    ...rollRows(report),
    '',
    `version 1: words said while the end was on its way in ${tails.length} of ${tailsMs.length} sessions, at most ${ms(tails, 1)}`,
    ...problems.map((problem) => `problem: ${problem}`),
  ].join('\n');
}

function versionRow({ accounts, moves, pausesMs }: RollingReport, version: 1 | 2): string {
  const all = accounts[version];
  const sum = (of: (account: BlockAccount) => number) => all.reduce((total, one) => total + of(one), 0);
  return [
    String(version).padEnd(9),
    String(all.length).padStart(8),
    String(moves[version]).padStart(8),
    String(sum(({ sent }) => sent)).padStart(8),
    String(sum(({ lost }) => lost.length)).padStart(8),
    String(sum(({ doubled }) => doubled.length)).padStart(9),
    ms(pausesMs[version], 0.5).padStart(15),
    ms(pausesMs[version], 1).padStart(10),
  ].join('');
}

function rollRows({ rolls, speakers }: RollingReport): string[] {
  return rolls.map(({ busiestSecond, clients, exit, inWord, peakRate, seconds, steadyRate }, n) =>
    [
      String(n + 1).padEnd(9),
      String(exit).padStart(4),
      seconds.toFixed(1).padStart(9),
      String(clients).padStart(9),
      `${inWord} of ${speakers.length}`.padStart(16),
      steadyRate.toFixed(1).padStart(30),
      peakRate.toFixed(1).padStart(8),
      String(busiestSecond).padStart(9),
    ].join(''),
  );
}

function ms(list: readonly number[], share: number): string {
  return `${Math.round(quantile(list, share) ?? 0)} ms`;
}
