/** A storm over a gateway of this process with a victim beside it, and what is left of it all when it is over. */
import { setTimeout as delay } from 'node:timers/promises';
import type { ClientEvent } from '../../../src/protocol/events.ts';
import { formatAccount, isClean } from '../reconcile.ts';
import { type EventReach, Reach } from './reach.ts';
import { recordSessions } from './recording.ts';
import { type StormReport, storm } from './storm.ts';
import { type Holdings, Target } from './target.ts';
import { Victim, type VictimRecord } from './victim.ts';

/** Of the cases, what comes before the first account of memory, so that code is compiled and caches are full by then. */
const WARM_UP = 0.05;
const MAX_WARM_UP = 20_000;
/** For all that attackers left to lapse: sessions wait a second for their clients. */
const SETTLE_MS = 10_000;
/** Engine.IO keeps a timer so long for a poller that has left without a poll, in milliseconds. */
const LAST_TIMER_MS = 30_000;
/** For records of sessions, which live half as long again. */
const RECORDS_MS = 1_600;
/** For the connections that the last sessions had. */
const LAST_CLOSE_MS = 300;

export interface FuzzReport extends StormReport {
  readonly seconds: number;
  readonly reach: ReadonlyMap<ClientEvent, EventReach>;
  readonly victim: VictimRecord;
  readonly isPatient: boolean;
  readonly before: Holdings;
  readonly after: Holdings;
  /** Lines of the log that tell of a fault inside, and whatever is wrong with the process. */
  readonly inside: readonly string[];
}

interface FuzzOptions {
  readonly cases: number;
  readonly seed: number;
  /** Where sessions are kept; in memory without it. */
  readonly redisUrl?: string | undefined;
  /** Waits until the last timer of Engine.IO is over as well. */
  readonly isPatient: boolean;
  /** Called now and then with the number of cases that were sent. */
  readonly onProgress?: (cases: number) => void;
}

export async function fuzz({ cases, isPatient, onProgress, redisUrl, seed }: FuzzOptions): Promise<FuzzReport> {
  const target = await Target.start(redisUrl);
  try {
    const { url } = target;
    const warmUp = Math.min(MAX_WARM_UP, Math.ceil(cases * WARM_UP));
    await storm({ url, cases: warmUp, seed: -seed, other: '', reach: undefined });
    if (isPatient) await delay(LAST_TIMER_MS);
    const before = await settled(target, Number.POSITIVE_INFINITY);
    const reach = await Reach.begin();
    const victim = await Victim.begin(url);
    const begin = performance.now();
    const report = await storm({
      url,
      cases,
      seed,
      other: victim.sessionId,
      reach,
      ...(onProgress !== undefined && { onProgress }),
    });
    const seconds = (performance.now() - begin) / 1000;
    const victimRecord = await victim.end();
    const reached = await reach.end();
    if (isPatient) await delay(LAST_TIMER_MS);
    const after = await settled(target, before.handles);
    const inside = [...target.lines]
      .filter(([line]) => /^(error|fatal): /.test(line))
      .map(([line, times]) => `${line} (${times})`);
    const internal = await target.metric('errors_total', { code: 'internal' });
    const away = await target.metric('errors_total', { code: 'store_unavailable' });
    if (away > 0) inside.push(`${away} calls that the store did not carry out`);
    if (internal > 0) inside.push(`${internal} internal faults`);
    if ('polluted' in {}) inside.push('the prototype of all objects was changed');
    const { connections, faults } = report;
    return {
      isPatient,
      cases: report.cases,
      connections,
      faults,
      seconds,
      reach: reached,
      victim: victimRecord,
      before,
      after,
      inside,
    };
  } finally {
    await target.close();
  }
}

/**
 * What is held when all that clients left behind has lapsed, and sessions are served as ever.
 * @param handles those that may be left
 */
async function settled(target: Target, handles: number): Promise<Holdings> {
  const deadline = performance.now() + SETTLE_MS;
  await delay(RECORDS_MS);
  // Also makes the store forget what has expired.
  await recordSessions(target.url);
  await delay(LAST_CLOSE_MS);
  for (;;) {
    const now = await target.holdings();
    const { connections, sessions, streams, viewers } = now;
    const isSettled = connections + sessions + streams + viewers === 0 && now.handles <= handles;
    if (isSettled || performance.now() > deadline) return now;
    await delay(50);
  }
}

export function isCleanRun({ after, before, faults, inside, isPatient, reach, victim }: FuzzReport): boolean {
  const isReached = [...reach.values()].every(({ accepted, handled, refused }) => accepted * handled * refused > 0);
  return (
    faults.length + inside.length + victim.errors.length === 0 &&
    isClean(victim.account) &&
    victim.account.coveredByGap.length === 0 &&
    isReached &&
    leftBehind(before, after, isPatient).length === 0
  );
}

/** Garbage collection and the compiler's own work leave a heap that wavers by so much. */
const HEAP_NOISE_MB = 12;

/** What there is more of than before. @param isPatient whether timers count */
export function leftBehind(before: Holdings, after: Holdings, isPatient: boolean): string[] {
  return (Object.keys(before) as (keyof Holdings)[]).flatMap((name) => {
    if (name === 'timers' && !isPatient) return [];
    const more = after[name] - before[name];
    return more > (name === 'heapMb' ? HEAP_NOISE_MB : 0) ? [`${name} +${more.toFixed(0)}`] : [];
  });
}

export function formatFuzz(report: FuzzReport): string {
  const { after, before, cases, connections, faults, inside, reach, seconds, victim } = report;
  const all = cases.events + cases.packets + cases.bytes;
  const row = (...cells: readonly (string | number)[]) =>
    `  ${String(cells[0]).padEnd(22)}${cells
      .slice(1)
      .map((cell) => String(cell).padStart(11))
      .join('')}`;
  return [
    `fuzz: ${isCleanRun(report) ? 'clean' : 'NOT CLEAN'}`,
    `${all} cases in ${seconds.toFixed(1)} s, ${Math.round(all / seconds)} a second, on ${connections} connections: ` +
      `${cases.events} generated events, ${cases.packets} packets of mutated sessions, ${cases.bytes} mutated frames and requests`,
    'crashes 0',
    row('handler of', 'reached', 'accepted', 'refused'),
    ...[...reach].map(([event, { accepted, handled, refused }]) => row(event, handled, accepted, refused)),
    row('held', 'before', 'after'),
    ...(Object.keys(before) as (keyof Holdings)[]).map((name) =>
      row(name, before[name].toFixed(name === 'heapMb' ? 1 : 0), after[name].toFixed(name === 'heapMb' ? 1 : 0)),
    ),
    ...[...faults, ...inside].map((fault) => `FAULT: ${fault}`),
    `victim: ${victim.seconds.toFixed(1)} s of speech, longest wait for an acknowledgement ${victim.longestAnswerMs.toFixed(0)} ms, ` +
      `errors ${victim.errors.length}`,
    formatAccount(victim.account),
  ].join('\n');
}
