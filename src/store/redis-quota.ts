import { quotaKeysOf } from './keys.ts';
import { hashOfName } from './name-hash.ts';
import type { Ask, AskAnswer, HeldSlot, QuotaLedger, QuotaNote, QuotaRules, QuotaState } from './quota.ts';
import type { Reply, ScriptRunner } from './redis-link.ts';
import { texts, unexpected } from './replies.ts';

/**
 * The ledger that workers share. Each verb is one script on keys of one slot.
 *
 * A call that failed here may still be carried out there. A slot that is granted by it is given back by a note, or
 * expires; a repeat of the ask gets the same slot.
 */
export class RedisQuota implements QuotaLedger {
  readonly #redis: ScriptRunner;
  readonly #keys: ReturnType<typeof quotaKeysOf>;
  readonly #rules: readonly (string | number)[];
  readonly #leaseMs: number;

  /** @param prefix before every key */
  constructor(redis: ScriptRunner, prefix: string, rules: QuotaRules) {
    this.#redis = redis;
    this.#keys = quotaKeysOf(prefix);
    this.#leaseMs = rules.leaseMs;
    this.#rules = [
      rules.entries
        .map(({ name, reserve, startsPerSecond, streams }) => [name, streams, reserve, startsPerSecond].join(':'))
        .join(),
      rules.leaseMs,
      rules.startMs,
      rules.lineLength,
      rules.blockMs,
      rules.patienceMs,
    ];
  }

  async ask(asks: readonly Ask[]): Promise<AskAnswer[]> {
    const { freed, line, slots, starts } = this.#keys;
    const reply = await this.#redis.run(
      'ask',
      [slots, line, starts, freed],
      [
        ...this.#rules,
        ...asks.flatMap((ask) => [
          ask.sessionId,
          ask.place,
          hashOfName(ask.tenant),
          ask.continuation ? 1 : 2,
          ask.entries.join(),
          Math.ceil(ask.waitedMs),
          Math.ceil(ask.coolMs),
          Math.ceil(ask.keepMs),
        ]),
      ],
    );
    return eachOf(reply, asks.length).map(askAnswer);
  }

  async renew(worker: string, held: readonly HeldSlot[]): Promise<QuotaState> {
    return this.#hold(worker, this.#leaseMs, held);
  }

  async note(notes: readonly QuotaNote[]): Promise<void> {
    const { freed, line, slots, starts } = this.#keys;
    const reply = await this.#redis.run('note', [slots, line, starts, freed], notes.flatMap(noteArgs));
    for (const answer of eachOf(reply, notes.length)) {
      const [kind] = texts(answer);
      if (kind !== 'done' && kind !== 'absent') throw unexpected();
    }
  }

  async leave(worker: string): Promise<void> {
    await this.#hold(worker, 0, []);
  }

  onAvailability(listener: (available: boolean) => void): () => void {
    return this.#redis.onAvailability(listener);
  }

  async #hold(worker: string, leaseMs: number, held: readonly HeldSlot[]): Promise<QuotaState> {
    const { line, slots, workers: workersKey } = this.#keys;
    const places = held.flatMap(({ entry, place, sessionId, tenant }) => [sessionId, place, hashOfName(tenant), entry]);
    const reply = await this.#redis.run('hold', [slots, line, workersKey], [worker, leaseMs, ...places]);
    const [kind, workers, waiting, ...entries] = texts(reply);
    if (kind !== 'used' || waiting === undefined) throw unexpected();
    const counts = new Map<string, number>();
    for (const entry of entries) counts.set(entry, (counts.get(entry) ?? 0) + 1);
    return { workers: Number(workers), waiting: Number(waiting), held: counts };
  }
}

function noteArgs(note: QuotaNote): (string | number)[] {
  switch (note.kind) {
    case 'slot':
      return [note.kind, note.sessionId, note.place, Math.ceil(note.coolMs)];
    case 'start':
      return [note.kind, note.entry, note.place, Math.ceil(note.countsMs)];
    case 'ticket':
      return [note.kind, note.sessionId, note.place, 0];
  }
}

function eachOf(reply: Reply, count: number): readonly Reply[] {
  if (!Array.isArray(reply) || reply.length !== count) throw unexpected();
  return reply;
}

function askAnswer(reply: Reply): AskAnswer {
  const [kind, detail, hasSlot, every] = texts(reply);
  switch (kind) {
    case 'granted':
      if (detail === undefined) throw unexpected();
      return { kind, entry: detail };
    case 'waiting':
      return {
        kind,
        position: Number(detail),
        hasSlot: hasSlot === '1',
        freedEveryMs: every === '' ? undefined : Number(every),
      };
    case 'full':
    case 'moved':
      return { kind };
    default:
      throw unexpected();
  }
}
