import { randomUUID } from 'node:crypto';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import type {
  AppendOptions,
  Claim,
  ClaimAnswer,
  ClaimRequest,
  CreateAnswer,
  JournalEntry,
  KnownWatermark,
  NewSession,
  SessionSnapshot,
  SessionStop,
  Store,
  Update,
  UpdateAnswer,
  WriteAnswer,
} from '../../src/store/store.ts';
import { newSession, pick, resume, type StoreFactory } from './store-sessions.ts';

const BOUNDS = { journal: { entries: 4, bytes: 40, ageMs: 3_600_000 }, ttlMs: 3_600_000 };
const CHANNELS = 2;
const KEY = randomUUID();

/** What the model knows of a session. The journal is the history of all entries; what is held is worked out from it. */
interface Known {
  readonly facts: NewSession;
  claim: Claim;
  attempt: number;
  owner: string;
  previousOwner: string;
  /** All entries up to the head that were not void; `undefined` where only a client knows them. */
  history: (JournalEntry | undefined)[];
  /** Entries up to this number are gone. */
  gone: number;
  goneEnd: number;
  ends: readonly number[];
  watermark: KnownWatermark;
  stop: SessionStop | undefined;
  isEnded: boolean;
}

/**
 * The contract in its plainest form: one map, no bounds on time, no sharing. It is written from the words of the
 * contract, so that a slip in a store and the same slip here would have to be made twice.
 */
class Model {
  readonly sessions = new Map<string, Known>();
  start: { attempt: number; sessionId: string } | undefined;

  create(facts: NewSession): CreateAnswer {
    const { claimId, sessionId, start } = facts;
    const claim = { sessionId, epoch: 1, claimId };
    const there = this.sessions.get(sessionId);
    if (there !== undefined) {
      const isRepeat = !there.isEnded && there.claim.claimId === claimId && there.claim.epoch === 1;
      return isRepeat ? { kind: 'created', claim } : { kind: 'stale_attempt' };
    }
    let ended: { sessionId: string; epoch: number; owner: string } | undefined;
    if (start !== undefined) {
      if (this.start !== undefined && this.start.attempt >= start.attempt) return { kind: 'stale_attempt' };
      ended = this.#endEarlier(sessionId);
      this.start = { attempt: start.attempt, sessionId };
    }
    this.sessions.set(sessionId, {
      facts,
      claim,
      attempt: 0,
      owner: facts.owner,
      previousOwner: facts.owner,
      history: [],
      gone: 0,
      goneEnd: 0,
      ends: Array.from({ length: facts.channels }, () => 0),
      watermark: { offset: 0, chunk: 0, chunkEnd: 0 },
      stop: undefined,
      isEnded: false,
    });
    return ended === undefined ? { kind: 'created', claim } : { kind: 'created', claim, ended };
  }

  claim(request: ClaimRequest): ClaimAnswer {
    const known = this.sessions.get(request.sessionId);
    if (known === undefined || known.isEnded) return { kind: 'unknown' };
    if (known.facts.principal !== request.principal) return { kind: 'forbidden' };
    if (request.claimId !== known.claim.claimId || request.attempt !== known.attempt) {
      if (request.attempt <= known.attempt) return { kind: 'stale_attempt', attempt: known.attempt };
      const { acked, lastEnd, lastSeq } = request;
      const clientMark = Math.max(acked, lastEnd);
      const isRecordOlder = known.claim.epoch < request.epoch;
      const isHeadLower = known.history.length < lastSeq;
      if (isHeadLower || (isRecordOlder && known.gone >= lastSeq)) {
        known.gone = lastSeq;
        known.goneEnd = lastEnd;
      }
      if (isRecordOlder) {
        known.stop = undefined;
        known.ends = known.ends.map(() => lastEnd);
        known.watermark = clientMark > 0 ? { offset: clientMark } : { offset: 0, chunk: 0, chunkEnd: 0 };
      } else if (isHeadLower) {
        known.ends = known.ends.map((end) => Math.max(end, lastEnd));
        if (clientMark > known.watermark.offset) known.watermark = { offset: clientMark };
      } else if (acked > known.watermark.offset) known.watermark = { offset: acked };
      if (isRecordOlder || isHeadLower) {
        known.history.length = Math.min(known.history.length, lastSeq);
        while (known.history.length < lastSeq) known.history.push(undefined);
      }
      const epoch = Math.max(known.claim.epoch, request.epoch) + 1;
      known.claim = { sessionId: request.sessionId, epoch, claimId: request.claimId };
      known.attempt = request.attempt;
      known.previousOwner = known.owner;
      known.owner = request.owner;
    }
    const { claim, ends, facts, goneEnd, history, previousOwner, stop, watermark } = known;
    return {
      kind: 'claimed',
      session: {
        claim,
        previousOwner,
        request: facts.request,
        watchHash: facts.watchHash,
        head: history.length,
        ends,
        watermark,
        missed: held(known).filter(({ seq }) => seq > request.lastSeq),
        trimmedEnd: goneEnd,
        ...(stop === undefined ? {} : { stopped: stop }),
      },
    };
  }

  append(claim: Claim, entry: JournalEntry, { ends, stop, watermark }: AppendOptions): WriteAnswer {
    const known = this.#mine(claim);
    if ('kind' in known) return known;
    const head = known.history.length;
    const there = known.history[entry.seq - 1];
    const isNew = entry.seq > head;
    if (isNew && known.stop !== undefined) return { kind: 'stopped' };
    if (entry.seq > head + 1) return { kind: 'behind', head };
    if (isNew) {
      const isAfterSome = known.ends.some((end) => entry.startSample >= end);
      const isForward = ends.length === CHANNELS && known.ends.every((end, channel) => (ends[channel] ?? -1) >= end);
      if (!isAfterSome || !isForward || entry.endSample < entry.startSample) return { kind: 'conflict', head };
      known.history.push(entry);
      known.ends = ends;
    } else if (entry.seq <= known.gone) {
      if (entry.endSample > known.goneEnd) return { kind: 'conflict', head };
    } else if (there?.startSample !== entry.startSample || there.endSample !== entry.endSample) {
      return { kind: 'conflict', head };
    }
    move(known, watermark);
    if (entry.seq === known.history.length && known.stop === undefined) known.stop = stop;
    trim(known);
    return { kind: 'ok' };
  }

  stop(claim: Claim, head: number, stop: SessionStop): WriteAnswer {
    const known = this.#mine(claim);
    if ('kind' in known) return known;
    if (known.stop !== undefined) return { kind: known.stop.samples === stop.samples ? 'ok' : 'stopped' };
    if (known.history.length < head) return { kind: 'behind', head: known.history.length };
    if (known.history.length > head) return { kind: 'conflict', head: known.history.length };
    known.stop = stop;
    return { kind: 'ok' };
  }

  update({ claim, head, watermark }: Update): WriteAnswer {
    const known = this.#mine(claim);
    if ('kind' in known) return known;
    if (known.stop !== undefined) return { kind: 'stopped' };
    if (known.history.length < head) return { kind: 'behind', head: known.history.length };
    if (watermark !== undefined) move(known, watermark);
    return { kind: 'ok' };
  }

  rebuild(facts: NewSession, { attempt, claim, ends, entries, head, owner, watermark }: SessionSnapshot): WriteAnswer {
    const known = this.sessions.get(claim.sessionId);
    if (known?.isEnded) return { kind: 'fenced', epoch: Math.max(known.claim.epoch, claim.epoch + 1) };
    if (known?.claim.claimId === claim.claimId) {
      if (known.stop !== undefined) return { kind: 'stopped' };
      if (known.history.length >= head) return { kind: 'ok' };
    } else if (known !== undefined && known.claim.epoch >= claim.epoch) {
      return { kind: 'fenced', epoch: known.claim.epoch };
    }
    const { start } = facts;
    if (start !== undefined) {
      const isOther = this.start !== undefined && this.start.sessionId !== claim.sessionId;
      if (isOther && (this.start?.attempt ?? 0) >= start.attempt) return { kind: 'fenced', epoch: claim.epoch + 1 };
      this.#endEarlier(claim.sessionId);
      this.start = { attempt: start.attempt, sessionId: claim.sessionId };
    }
    const [first] = entries;
    const history: (JournalEntry | undefined)[] = Array.from({ length: head - entries.length }, () => undefined);
    const gone = history.length;
    const goneEnd = first === undefined ? Math.max(0, ...ends) : gone === 0 ? 0 : first.startSample;
    history.push(...entries);
    const remade = { facts, claim, attempt, owner, previousOwner: owner, history, gone, goneEnd, ends, watermark };
    this.sessions.set(claim.sessionId, { ...remade, stop: undefined, isEnded: false });
    trim(this.sessions.get(claim.sessionId));
    return { kind: 'ok' };
  }

  remove(claim: Claim): void {
    if (!('kind' in this.#mine(claim))) this.sessions.delete(claim.sessionId);
  }

  #mine(claim: Claim): Known | WriteAnswer {
    const known = this.sessions.get(claim.sessionId);
    if (known === undefined) return { kind: 'absent' };
    const isMine = !known.isEnded && known.claim.epoch === claim.epoch && known.claim.claimId === claim.claimId;
    return isMine ? known : { kind: 'fenced', epoch: known.claim.epoch };
  }

  #endEarlier(sessionId: string) {
    const earlier = this.start === undefined ? undefined : this.sessions.get(this.start.sessionId);
    if (earlier === undefined || earlier.isEnded || earlier.claim.sessionId === sessionId) return undefined;
    const epoch = earlier.claim.epoch + 1;
    earlier.isEnded = true;
    earlier.claim = { ...earlier.claim, epoch };
    return { sessionId: earlier.claim.sessionId, epoch, owner: earlier.owner };
  }
}

function held({ gone, history }: Known): JournalEntry[] {
  return history.slice(gone).filter((entry) => entry !== undefined);
}

function trim(known: Known | undefined): void {
  if (known === undefined) return;
  for (;;) {
    const entries = held(known);
    const bytes = entries.reduce((sum, { data }) => sum + data.length, 0);
    const [oldest] = entries;
    if (oldest === undefined || entries.length < 2) return;
    if (entries.length <= BOUNDS.journal.entries && bytes <= BOUNDS.journal.bytes) return;
    known.gone = oldest.seq;
    known.goneEnd = oldest.endSample;
  }
}

function move(known: Known, to: KnownWatermark): void {
  const from = known.watermark;
  const isSamePlace = to.offset === from.offset && (from.chunk === undefined || (to.chunk ?? -1) > from.chunk);
  if (to.offset > from.offset || isSamePlace) known.watermark = to;
}

const small = fc.integer({ min: -2, max: 2 });
const near = fc.constantFrom(0, 0, 0, 0, -1, 1, 2);
const who = { session: fc.nat(3), claim: fc.nat(5), worker: fc.nat(1) };
const OPERATION = fc.oneof(
  fc.record({ do: fc.constant('create' as const), ...who, start: fc.nat(6), isRepeat: fc.boolean() }),
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('claim' as const),
      ...who,
      attempt: fc.constantFrom(1, 1, 1, 0, -1, 2),
      epoch: near,
      lastSeq: near,
      lastEnd: small,
      acked: small,
      isRepeat: fc.nat(5).map((n) => n === 0),
      isThief: fc.nat(9).map((n) => n === 0),
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('append' as const),
      ...who,
      seq: near.map((n) => n + 1),
      gap: fc.constantFrom(0, 0, 1, -1),
      length: fc.constantFrom(1, 2, 3, 0, -1),
      channel: fc.nat(1),
      mark: small,
      chunk: fc.nat(9),
      bytes: fc.nat(25),
      stops: fc.nat(9).map((n) => n === 0),
    }),
  },
  fc.record({ do: fc.constant('repeat' as const), worker: who.worker, stops: fc.boolean() }),
  fc.record({ do: fc.constant('stop' as const), ...who, head: near, samples: fc.nat(1) }),
  fc.record({
    do: fc.constant('update' as const),
    worker: who.worker,
    updates: fc.array(fc.record({ ...who, head: near, mark: fc.option(small), chunk: fc.nat(9) }), { maxLength: 4 }),
  }),
  fc.record({
    do: fc.constant('rebuild' as const),
    ...who,
    epoch: near,
    isTwin: fc.boolean(),
    head: near,
    tail: fc.nat(6),
  }),
  fc.record({ do: fc.constant('remove' as const), ...who }),
);

type Operation = typeof OPERATION extends fc.Arbitrary<infer T> ? T : never;

/** Many random operations by several claimants on two workers' stores, each answer held against the model's. */
export function describeStoreModel(makeStores: StoreFactory): void {
  it('answers as the model does, whatever several claimants do', async () => {
    const stores = await makeStores(BOUNDS, 2);
    const kinds = new Set<string>();
    await fc.assert(
      fc.asyncProperty(fc.array(OPERATION, { minLength: 20, maxLength: 80, size: 'max' }), async (operations) => {
        const run = new Run(stores, kinds);
        for (const operation of operations) await run.step(operation);
        await run.end();
      }),
      { numRuns: 60 },
    );
    // The operations would prove little if some answers never came up.
    for (const kind of ['created', 'stale_attempt', 'claimed', 'unknown', 'forbidden', 'ok', 'fenced', 'absent']) {
      expect(kinds).toContain(kind);
    }
    for (const kind of ['behind', 'conflict', 'stopped']) expect(kinds).toContain(kind);
    await Promise.all(stores.map((store) => store.close()));
  });
}

/** One sequence of operations, on sessions of its own. */
class Run {
  readonly #stores: readonly Store[];
  readonly #kinds: Set<string>;
  readonly #model = new Model();
  readonly #principal = randomUUID();
  readonly #sessions: NewSession[];
  readonly #claims: Claim[][];
  #last: { claim: Claim; entry: JournalEntry; options: AppendOptions } | undefined;
  #lastClaim: ClaimRequest | undefined;

  constructor(stores: readonly Store[], kinds: Set<string>) {
    this.#stores = stores;
    this.#kinds = kinds;
    this.#sessions = [1, 2, 3, 4].map(() => this.#fresh(undefined));
    this.#claims = this.#sessions.map(() => []);
  }

  async step(operation: Operation): Promise<void> {
    const store = pick(this.#stores, operation.worker);
    const model = this.#model;
    switch (operation.do) {
      case 'create': {
        const { isRepeat, session, start } = operation;
        // Sessions 0 and 1 have a start key in common; the others have none.
        const attempt = session < 2 ? { key: KEY, attempt: start } : undefined;
        const facts = isRepeat ? this.#session(session) : this.#fresh(attempt);
        this.#sessions[session] = facts;
        const answer = await store.create(facts);
        this.#same(answer, model.create(facts));
        if (answer.kind === 'created') this.#claims[session]?.push(answer.claim);
        return;
      }
      case 'claim': {
        const request = operation.isRepeat && this.#lastClaim ? this.#lastClaim : this.#request(operation);
        this.#lastClaim = request;
        const answer = await store.claim(request);
        this.#same(answer, model.claim(request));
        const at = this.#sessions.findIndex(({ sessionId }) => sessionId === request.sessionId);
        if (answer.kind === 'claimed') this.#claims[at]?.push(answer.session.claim);
        return;
      }
      case 'append': {
        const { bytes, channel, chunk, gap, length, mark, seq, stops } = operation;
        const claim = this.#claim(operation);
        const known = model.sessions.get(claim.sessionId);
        const ends = known?.ends ?? [0, 0];
        const startSample = Math.max(0, (ends[channel] ?? 0) + gap);
        const endSample = Math.max(0, startSample + length);
        const entry = {
          seq: Math.max(1, (known?.history.length ?? 0) + seq),
          startSample,
          endSample,
          data: Buffer.alloc(bytes, bytes),
        };
        const offset = Math.max(0, Math.min(...ends) + mark);
        const options = {
          ends: ends.map((end, at) => (at === channel ? endSample : end)),
          watermark: { offset, chunk, chunkEnd: offset },
          stop: stops ? { reason: 'end', samples: 1, finals: 0 } : undefined,
        };
        this.#last = { claim, entry, options };
        this.#same(await store.append(claim, entry, options), model.append(claim, entry, options));
        return;
      }
      case 'repeat': {
        if (this.#last === undefined) return;
        const { claim, entry, options } = this.#last;
        const again = operation.stops ? { ...options, stop: { reason: 'end', samples: 1, finals: 0 } } : options;
        this.#same(await store.append(claim, entry, again), model.append(claim, entry, again));
        return;
      }
      case 'stop': {
        const claim = this.#claim(operation);
        const head = Math.max(0, this.#head(claim) + operation.head);
        const stop = { reason: 'end', samples: operation.samples, finals: 0 };
        this.#same(await store.stop(claim, head, stop), model.stop(claim, head, stop));
        return;
      }
      case 'update': {
        const updates = operation.updates.map((one): Update => {
          const claim = this.#claim(one);
          const offset = Math.max(0, (model.sessions.get(claim.sessionId)?.watermark.offset ?? 0) + (one.mark ?? 0));
          return {
            claim,
            head: Math.max(0, this.#head(claim) + one.head),
            watermark: one.mark === null ? undefined : { offset, chunk: one.chunk, chunkEnd: offset },
          };
        });
        this.#same(
          await store.update(updates),
          updates.map((update) => model.update(update)),
        );
        return;
      }
      case 'rebuild': {
        const facts = this.#session(operation.session);
        const { channels: _channels, claimId: _claimId, sessionId: _sessionId, ...rest } = facts;
        const base = this.#claim(operation);
        const claim = { ...base, epoch: Math.max(1, base.epoch + operation.epoch) };
        const twin = operation.isTwin ? { ...claim, claimId: `twin of ${claim.claimId}` } : claim;
        const head = Math.max(0, this.#head(claim) + operation.head);
        const seqs = Array.from({ length: head }, (_, at) => at + 1).slice(-operation.tail || head);
        const snapshot: SessionSnapshot = {
          ...rest,
          claim: twin,
          attempt: this.#model.sessions.get(claim.sessionId)?.attempt ?? 0,
          head,
          ends: [head * 2, head],
          watermark: operation.tail === 1 ? { offset: head } : { offset: head, chunk: 1, chunkEnd: 0 },
          entries: seqs.map((seq) => ({
            seq,
            startSample: seq * 2 - 2,
            endSample: seq * 2,
            data: Buffer.alloc(7, seq),
          })),
        };
        this.#same(await store.rebuild(snapshot), model.rebuild(facts, snapshot));
        this.#claims[operation.session]?.push(twin);
        return;
      }
      case 'remove': {
        const claim = this.#claim(operation);
        await store.remove(claim);
        model.remove(claim);
        return;
      }
    }
  }

  /** Looks at every session with the eyes of a client that knows nothing. */
  async end(): Promise<void> {
    for (const facts of this.#sessions) {
      const request = resume(facts, { attempt: 1_000_000, epoch: 0 });
      this.#same(await pick(this.#stores, 0).claim(request), this.#model.claim(request));
    }
  }

  #same(answer: CreateAnswer | ClaimAnswer | UpdateAnswer | UpdateAnswer[], expected: typeof answer): void {
    for (const { kind } of [expected].flat()) this.#kinds.add(kind);
    expect(answer).toEqual(expected);
  }

  #fresh(start: NewSession['start']): NewSession {
    return newSession({ principal: this.#principal, channels: CHANNELS, start });
  }

  #session(at: number): NewSession {
    return this.#sessions[at] ?? this.#fresh(undefined);
  }

  /** One of the latest claims of a session, or the claim of a session that was never made. */
  #claim({ claim, session }: { claim: number; session: number }): Claim {
    const { claimId, sessionId } = this.#session(session);
    // Mostly the latest one, since older ones are all fenced alike.
    const back = claim < 4 ? 1 : claim - 2;
    const own = (this.#claims[session] ?? []).filter((one) => one.sessionId === sessionId);
    return own.at(-back) ?? { sessionId, epoch: 1, claimId };
  }

  #head({ sessionId }: Claim): number {
    return this.#model.sessions.get(sessionId)?.history.length ?? 0;
  }

  #request(operation: Extract<Operation, { do: 'claim' }>): ClaimRequest {
    const facts = this.#session(operation.session);
    const known = this.#model.sessions.get(facts.sessionId);
    const lastSeq = Math.max(0, (known?.history.length ?? 0) + operation.lastSeq);
    return resume(facts, {
      attempt: (known?.attempt ?? 0) + operation.attempt,
      epoch: (known?.claim.epoch ?? 0) + operation.epoch,
      lastSeq,
      lastEnd: lastSeq === 0 ? 0 : Math.max(0, Math.max(0, ...(known?.ends ?? [])) + operation.lastEnd),
      acked: Math.max(0, (known?.watermark.offset ?? 0) + operation.acked),
      ...(operation.isThief ? { principal: 'thief' } : {}),
    });
  }
}
