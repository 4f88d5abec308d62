import { describe, expect, it } from 'vitest';
import { RedisStore } from '../../../src/store/redis.ts';
import { RedisLeases } from '../../../src/store/redis-leases.ts';
import { RedisLedger } from '../../../src/store/redis-ledger.ts';
import type { Reply, ScriptRunner } from '../../../src/store/redis-link.ts';
import { RedisQuota } from '../../../src/store/redis-quota.ts';
import { loadScripts, SCRIPT_NAMES, type ScriptName, scriptText } from '../../../src/store/scripts.ts';
import { StoreUnavailableError } from '../../../src/store/store.ts';
import { ask, RULES } from '../../contract/quota-contract.ts';
import { claimOf, entry, entryOptions, newSession, resume, snapshot, WIDE } from '../../contract/store-sessions.ts';

/** What a header says: so many by number, then so many for each of several things. */
interface Listed {
  readonly fixed: number;
  readonly each: number;
}

interface Header {
  readonly keys: Listed;
  readonly args: Listed;
  /** Each answer as its words: the kind, then a name for each value. */
  readonly answers: readonly (readonly string[])[];
}

function headerOf(name: ScriptName): Header {
  const text = /^--\[\[\n([\s\S]*?)\n\]\]/.exec(scriptText(name))?.[1] ?? '';
  const [inputs = '', returns = ''] = text.split(/\nReturns[^\n]*\n/);
  const listed = (what: string): Listed => {
    const marks = [...inputs.matchAll(new RegExp(`^${what}\\[(\\+?)(\\d+)\\] \\S`, 'gm'))];
    const numbers = (plus: string) => marks.filter(([, sign]) => sign === plus).map(([, , number]) => Number(number));
    for (const list of [numbers(''), numbers('+')]) expect(list, name).toEqual(list.map((_, at) => at + 1));
    return { fixed: numbers('').length, each: numbers('+').length };
  };
  const answers = [...returns.matchAll(/^ {2}([a-z_]+(?: [A-Z]+(?:\.\.\.)?)*)(?: |$)/gm)].map(([, words = '']) =>
    words.split(' '),
  );
  return { keys: listed('KEYS'), args: listed('ARGV'), answers };
}

/** What follows the header, without comments. */
function bodyOf(name: ScriptName): string {
  return scriptText(name)
    .replace(/^--\[\[[\s\S]*?\]\]/, '')
    .replace(/--.*$/gm, '');
}

interface Call {
  readonly name: ScriptName;
  readonly keys: number;
  readonly args: number;
}

/** Notes every call and gives the answer that it is told. */
function recorder(reply: () => Reply): { runner: ScriptRunner; calls: Call[] } {
  const calls: Call[] = [];
  const runner: ScriptRunner = {
    run: async (name, keys, args) => {
      calls.push({ name, keys: keys.length, args: args.length });
      return reply();
    },
    available: true,
    isCluster: false,
    onAvailability: () => () => undefined,
    close: () => undefined,
  };
  return { runner, calls };
}

const session = newSession({ start: { key: 'key', attempt: 1 } });
const claim = claimOf(session);
/** How often things are repeated in a call of each verb. */
const TIMES = 3;
const lease = { scope: 'scope', holder: 'holder', grip: 'grip' };
const inStore = (verb: (store: RedisStore) => Promise<unknown>) => (runner: ScriptRunner) =>
  verb(new RedisStore(runner, 'p:', WIDE));
const inLeases = (verb: (leases: RedisLeases) => Promise<unknown>) => (runner: ScriptRunner) =>
  verb(new RedisLeases(runner, 'p:'));
const inQuota = (verb: (quota: RedisQuota) => Promise<unknown>) => (runner: ScriptRunner) =>
  verb(new RedisQuota(runner, 'p:', RULES));
const inLedger = (verb: (ledger: RedisLedger) => Promise<unknown>) => (runner: ScriptRunner) =>
  verb(new RedisLedger(runner, 'p:'));
const VERBS: Readonly<Record<ScriptName, (runner: ScriptRunner) => Promise<unknown>>> = {
  create: inStore((store) => store.create(session)),
  claim: inStore((store) => store.claim(resume(session))),
  append: inStore((store) => store.append(claim, entry(1), entryOptions(1))),
  stop: inStore((store) => store.stop(claim, 1, { reason: 'end', samples: 1, finals: 1 })),
  update: inStore((store) => store.update(Array.from({ length: TIMES }, () => ({ claim, head: 1 })))),
  read: inStore((store) =>
    store.read({ sessionId: session.sessionId, watchHash: session.watchHash, afterSeq: 0, watchMs: 1_000 }),
  ),
  rebuild: inStore((store) =>
    store.rebuild(snapshot(session, claim, { head: TIMES, ends: [3], entries: [1, 2, 3].map((seq) => entry(seq)) })),
  ),
  remove: inStore((store) => store.remove(claim)),
  acquire: inLeases((leases) => leases.acquire(lease, 1, 1_000)),
  renew: inLeases((leases) => leases.renew(new Array(TIMES).fill(lease), 1_000)),
  release: inLeases((leases) => leases.release(lease)),
  ask: inQuota((quota) => quota.ask(new Array(TIMES).fill(ask('a')))),
  hold: inQuota((quota) =>
    quota.renew('w', new Array(TIMES).fill({ sessionId: 'a', place: 'p', tenant: 't', entry: 'home' })),
  ),
  note: inQuota((quota) => quota.note(new Array(TIMES).fill({ kind: 'ticket', sessionId: 'a', place: 'p' }))),
  spend: inLedger((ledger) =>
    ledger.book({
      tenant: 'tenant',
      writer: 'writer',
      number: 1,
      billedSeconds: 1,
      audioMs: 1,
      users: new Array(TIMES).fill({ user: 'user', audioMs: 1 }),
    }),
  ),
};
/** Whose answers nobody needs. */
const UNANSWERED: readonly ScriptName[] = ['remove', 'release'];
/** Those that do many things in one call, and answer each. */
const MANY: readonly ScriptName[] = ['update', 'renew', 'ask', 'note'];
/** Whose answer is made into something else. */
const WITHOUT_KIND: readonly ScriptName[] = ['hold', 'note'];

describe.each(SCRIPT_NAMES)('the header of %s.lua', (name) => {
  const header = headerOf(name);
  const body = bodyOf(name);

  it('says what it does and lists every answer', () => {
    expect(scriptText(name)).toMatch(/^--\[\[\n[A-Z][^\n]+\.\n/);
    expect(header.answers.length).toBeGreaterThan(0);
  });

  it('lists the keys and arguments of the call', async () => {
    const { calls, runner } = recorder(() => [Buffer.from('ok')]);
    await VERBS[name](runner).catch((error: unknown) => expect(error).toBeInstanceOf(StoreUnavailableError));
    const count = ({ each, fixed }: Listed) => fixed + each * TIMES;
    expect(calls).toEqual([{ name, keys: count(header.keys), args: count(header.args) }]);
  });

  it('lists the keys and arguments that the script uses, and no more', () => {
    for (const [what, { each, fixed }] of [
      ['KEYS', header.keys],
      ['ARGV', header.args],
    ] as const) {
      const used = [...body.matchAll(new RegExp(`\\b${what}\\[(\\d+)\\]`, 'g'))].map(([, number]) => Number(number));
      expect([...new Set(used)].sort((a, b) => a - b)).toEqual(Array.from({ length: fixed }, (_, at) => at + 1));
      // Those that repeat are reached by a computed index.
      expect(new RegExp(`\\b${what}(\\[[^\\]\\d]*\\w*[^\\]]*[-+*][^\\]]*\\]|, \\d+ \\*|\\[at)`).test(body), what).toBe(
        each > 0,
      );
    }
  });

  it('lists the answers that the script gives, and no more', () => {
    const given = [...body.matchAll(/\{ '([a-z_]+)'/g)].map(([, kind = '']) => kind);
    const listed = header.answers.map(([kind = '']) => kind);
    expect([...new Set(given)].sort()).toEqual([...new Set(listed)].sort());
    // How many values follow a kind: not for `claimed`, whose list is built up.
    for (const [, kind = '', values = ''] of body.matchAll(/return \{ '([a-z_]+)'([^}]*)\}/g)) {
      // Commas within a call part its arguments.
      const flat = values.replace(/\([^()]*\)/g, '').replace(/\([^()]*\)/g, '');
      const count = flat.split(',').filter((value) => value.trim() !== '').length;
      expect(
        header.answers.filter(([first]) => first === kind).map((words) => words.length - 1),
        kind,
      ).toContain(count);
    }
  });

  it('lists answers that the store understands', async () => {
    for (const [kind = '', ...values] of header.answers) {
      const words = values.filter((value) => !value.endsWith('...')).map(() => Buffer.from('1'));
      const answer = [Buffer.from(kind), ...words];
      const isMany = MANY.includes(name);
      const { runner } = recorder(() => (isMany ? Array.from({ length: TIMES }, () => answer) : answer));
      const result = await VERBS[name](runner);
      if (UNANSWERED.includes(name) || WITHOUT_KIND.includes(name)) continue;
      const [first] = isMany ? (result as unknown[]) : [result];
      if (typeof first === 'string') expect(first).toBe(kind);
      else expect(first).toEqual(expect.objectContaining({ kind }));
    }
  });

  it('says nothing that the store takes for an answer when it is none', async () => {
    if (UNANSWERED.includes(name)) return;
    for (const answer of [null, 7, [], [Buffer.from('nonsense')], Buffer.from('ok')]) {
      const { runner } = recorder(() => answer);
      await expect(VERBS[name](runner)).rejects.toBeInstanceOf(StoreUnavailableError);
    }
  });
});

describe('the scripts', () => {
  it('have the functions that they share before them, and leave no global behind', () => {
    for (const { lua } of Object.values(loadScripts())) {
      expect(lua.startsWith(scriptText('common'))).toBe(true);
      // Redis refuses to make a global at run time; this finds it on lines that no test runs.
      expect(lua).not.toMatch(/^\s*function \w/m);
    }
  });
});
