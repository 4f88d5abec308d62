import { setTimeout as delay } from 'node:timers/promises';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { openEntries } from '../../../src/resume/entries.ts';
import { Journal } from '../../../src/resume/journal.ts';
import type { JournalLimits } from '../../../src/resume/journal-options.ts';
import { newSecrets } from '../../../src/resume/tokens.ts';
import { MemoryStore } from '../../../src/store/memory.ts';
import { newSessionId } from '../../../src/store/session-id.ts';
import { type Claim, type Store, StoreUnavailableError } from '../../../src/store/store.ts';

const BOUNDS = { journal: { entries: 1000, bytes: 1e6, ageMs: 1e6 }, ttlMs: 1e6 };
const LIMITS: JournalLimits = { pendingEntries: 20, tailEntries: 1000, renewMs: 1e6 };

/** A store over a network: calls can be lost, and so can their answers. */
class Network {
  readonly memory = new MemoryStore(BOUNDS);
  available = true;
  /** What happens to the next calls, in order; then all goes well. */
  readonly faults: ('lost' | 'answer lost')[] = [];
  readonly #listeners = new Set<(available: boolean) => void>();
  calls = 0;

  get store(): Store {
    const over = <A extends unknown[], R>(call: (...args: A) => Promise<R>) => {
      return async (...args: A): Promise<R> => {
        this.calls++;
        await delay(0);
        if (!this.available) throw new StoreUnavailableError('away');
        const fault = this.faults.shift();
        if (fault === 'lost') throw new StoreUnavailableError('lost');
        const answer = await call(...args);
        if (fault === 'answer lost') throw new StoreUnavailableError('answer lost');
        return answer;
      };
    };
    const { memory } = this;
    const network = this;
    return {
      create: over((session) => memory.create(session)),
      claim: over((request) => memory.claim(request)),
      append: over((claim, entry, options) => memory.append(claim, entry, options)),
      stop: over((claim, head, stop) => memory.stop(claim, head, stop)),
      update: over((updates) => memory.update(updates)),
      read: over((request) => memory.read(request)),
      rebuild: over((snapshot) => memory.rebuild(snapshot)),
      remove: over((claim) => memory.remove(claim)),
      close: () => memory.close(),
      get available() {
        return network.available;
      },
      onAvailability: (listener) => {
        this.#listeners.add(listener);
        return () => this.#listeners.delete(listener);
      },
    };
  }

  setAvailable(available: boolean): void {
    this.available = available;
    for (const listener of this.#listeners) listener(available);
  }
}

async function open(network: Network, limits: Partial<JournalLimits> = {}, attached = () => true) {
  const sessionId = newSessionId('me');
  const secrets = newSecrets(sessionId);
  const record = {
    principal: 'me',
    resumeHash: secrets.resumeHash,
    watchHash: secrets.watchHash,
    request: '{}',
    owner: 'w',
  };
  await network.memory.create({ ...record, sessionId, claimId: 'c1', channels: 1 });
  const claim: Claim = { sessionId, epoch: 1, claimId: 'c1' };
  const said: unknown[][] = [];
  const journal = new Journal<string>({
    store: network.store,
    claim,
    key: secrets.journalKey,
    head: 0,
    ends: [0],
    watermark: { offset: 0, chunk: 0, chunkEnd: 0 },
    limits: { ...LIMITS, ...limits },
    record: () => (attached() ? { ...record, attempt: 0 } : undefined),
    sink: {
      entry: ({ body, seq }, durable) => said.push(['entry', seq, body, durable]),
      published: ({ seq }) => said.push(['published', seq]),
      committed: ({ offset }) => said.push(['committed', offset]),
      stopped: (_, durable) => said.push(['stopped', durable]),
      rebuilt: () => said.push(['rebuilt']),
      fenced: (epoch) => said.push(['fenced', epoch]),
      failed: ({ code }) => said.push(['failed', code]),
    },
  });
  network.store.onAvailability((available) => available && journal.wake());
  const append = (n: number) =>
    journal.append({ startSample: (n - 1) * 100, endSample: n * 100, body: `word ${n}` }, [n * 100], {
      offset: n * 100,
      chunk: n,
      chunkEnd: n * 100,
    });
  const claimAs = (attempt: number, lastSeq = 0) =>
    network.memory.claim({
      sessionId,
      claimId: `c${attempt}`,
      principal: 'me',
      resumeHash: secrets.resumeHash,
      owner: 'x',
      attempt,
      epoch: 1,
      lastSeq,
      lastEnd: lastSeq * 100,
      acked: 0,
    });
  /** What the store holds, read as another worker would. */
  const stored = async (attempt = 99) => {
    const answer = await claimAs(attempt);
    if (answer.kind !== 'claimed') throw new Error(answer.kind);
    return openEntries<string>(secrets.journalKey, sessionId, answer.session.missed).map(({ body }) => body);
  };
  const read = () => network.memory.read({ sessionId, watchHash: secrets.watchHash, afterSeq: 0, watchMs: 60_000 });
  return { journal, said, append, stored, claimAs, read };
}

describe('Journal', () => {
  it('commits an entry before it lets it out, and says then what is covered', async () => {
    const network = new Network();
    const { append, said, stored } = await open(network);
    append(1);
    append(2);
    expect(said).toEqual([]);
    await expect
      .poll(() => said)
      .toEqual([
        ['entry', 1, 'word 1', true],
        ['committed', 100],
        ['entry', 2, 'word 2', true],
        ['committed', 200],
      ]);
    expect(await stored()).toEqual(['word 1', 'word 2']);
  });

  it('lets viewers have what is committed, from when the store or a notice says that there are any', async () => {
    const network = new Network();
    const { append, journal, read, said } = await open(network);
    append(1);
    await expect.poll(() => said).toHaveLength(2);
    expect(journal.isWatched).toBe(false);
    await read();
    append(2);
    await expect
      .poll(() => said.slice(2))
      .toEqual([
        ['published', 2],
        ['entry', 2, 'word 2', true],
        ['committed', 200],
      ]);
    expect(journal.isWatched).toBe(true);
    network.setAvailable(false);
    append(3);
    await expect.poll(() => said.slice(5)).toEqual([['entry', 3, 'word 3', false]]);
    network.setAvailable(true);
    await expect
      .poll(() => said.slice(6))
      .toEqual([
        ['published', 3],
        ['committed', 300],
      ]);
  });

  it('believes a notice of viewers until the next write, which it makes soon', async () => {
    const network = new Network();
    const { append, journal, said } = await open(network, { renewMs: 60_000 });
    const watermark = { offset: 0, chunk: 0, chunkEnd: 0 };
    journal.watch();
    expect(journal.isWatched).toBe(true);
    expect(journal.update(performance.now() + 1_000, watermark)).toBeUndefined();
    const update = journal.update(performance.now() + 6_000, watermark);
    expect(update).toBeDefined();
    append(1);
    await expect.poll(() => said.at(-1)).toEqual(['committed', 100]);
    expect(journal.isWatched).toBe(false);
    expect(journal.update(performance.now() + 6_000, watermark)).toBeUndefined();
  });

  it('commits every entry once and in order, whatever calls and answers are lost', async () => {
    const fault = fc.constantFrom('lost' as const, 'answer lost' as const);
    const cases = fc.sample(fc.tuple(fc.array(fault, { maxLength: 6 }), fc.integer({ min: 1, max: 5 })), {
      seed: 3,
      numRuns: 100,
    });
    // Side by side, because they mostly wait.
    await Promise.all(
      cases.map(async ([faults, count]) => {
        const network = new Network();
        const { append, journal, said, stored } = await open(network);
        network.faults.push(...faults);
        for (let n = 1; n <= count; n++) append(n);
        journal.stop({ reason: 'client_stop', samples: count * 100, finals: count });
        await expect.poll(() => said.at(-1), { timeout: 9_000 }).toEqual(['stopped', true]);
        const entries = said.filter(([what]) => what === 'entry').map(([, seq]) => seq);
        expect(entries).toEqual(Array.from({ length: count }, (_, n) => n + 1));
        expect(await stored()).toEqual(Array.from({ length: count }, (_, n) => `word ${n + 1}`));
      }),
    );
  });

  it('does not keep the client waiting for a store that is away, and commits in order when it is back', async () => {
    const network = new Network();
    const { append, said, stored } = await open(network);
    append(1);
    await expect.poll(() => said).toHaveLength(2);
    network.setAvailable(false);
    append(2);
    append(3);
    await expect
      .poll(() => said.slice(2))
      .toEqual([
        ['entry', 2, 'word 2', false],
        ['entry', 3, 'word 3', false],
      ]);
    network.setAvailable(true);
    await expect
      .poll(() => said.slice(4))
      .toEqual([
        ['committed', 200],
        ['committed', 300],
      ]);
    expect(await stored()).toEqual(['word 1', 'word 2', 'word 3']);
  });

  it('fails when more waits for a store that is away than may', async () => {
    const network = new Network();
    const { append, journal, said } = await open(network, { pendingEntries: 3 });
    network.setAvailable(false);
    for (let n = 1; n <= 5; n++) {
      append(n);
      await delay(0);
    }
    expect(said.at(-1)).toEqual(['failed', 'store_unavailable']);
    expect(said.filter(([what]) => what === 'entry')).toHaveLength(3);
    journal.stop({ reason: 'client_stop', samples: 0, finals: 0 });
    network.setAvailable(true);
    await delay(20);
    expect(said.at(-1)).toEqual(['failed', 'store_unavailable']);
  });

  it('says nothing more once another claim holds the session', async () => {
    const network = new Network();
    const { append, claimAs, said, stored } = await open(network);
    await claimAs(2);
    append(1);
    await expect.poll(() => said).toEqual([['fenced', 2]]);
    append(2);
    await delay(20);
    expect(said).toHaveLength(1);
    expect(await stored()).toEqual([]);
  });

  it('shows provisionally what a stale owner says while it cannot know better, and commits none of it', async () => {
    const network = new Network();
    const { append, claimAs, said, stored } = await open(network);
    network.setAvailable(false);
    append(1);
    await claimAs(2);
    network.setAvailable(true);
    await expect.poll(() => said.at(-1)).toEqual(['fenced', 2]);
    expect(await stored()).toEqual([]);
  });

  it('makes the record anew when the store has lost it, with all that it held', async () => {
    const network = new Network();
    const { append, journal, said, stored } = await open(network);
    append(1);
    append(2);
    await expect.poll(() => said).toHaveLength(4);
    await network.memory.remove(journal.claim);
    append(3);
    await expect.poll(() => said.at(-1)).toEqual(['committed', 300]);
    expect(await stored()).toEqual(['word 1', 'word 2', 'word 3']);
  });

  it('makes it anew where the store has gone back to an earlier claim', async () => {
    const network = new Network();
    const { append, claimAs, journal, said, stored } = await open(network);
    append(1);
    await expect.poll(() => said).toHaveLength(2);
    await journal.hold();
    // The claim that the store forgets: the record stays that of the first.
    journal.adopt({ ...journal.claim, epoch: 2, claimId: 'c2' }, 1, 1);
    append(2);
    await expect.poll(() => said.at(-1)).toEqual(['committed', 200]);
    expect(await claimAs(99)).toMatchObject({ session: { claim: { epoch: 3 } } });
    expect(await stored(100)).toEqual(['word 1', 'word 2']);
  });

  it('does not make it anew without a client, who might have gone on elsewhere', async () => {
    const network = new Network();
    let attached = false;
    const { append, claimAs, journal, said } = await open(network, {}, () => attached);
    await network.memory.remove(journal.claim);
    append(1);
    await expect.poll(() => said).toEqual([['entry', 1, 'word 1', false]]);
    expect(await claimAs(5)).toEqual({ kind: 'unknown' });
    attached = true;
    journal.wake();
    await expect.poll(() => said.at(-1)).toEqual(['committed', 100]);
  });

  it('starts no write while it is held, and goes on under the new claim', async () => {
    const network = new Network();
    const { append, claimAs, journal, said } = await open(network);
    append(1);
    await journal.hold();
    append(2);
    await delay(20);
    expect(said.filter(([what]) => what === 'entry')).toEqual([['entry', 1, 'word 1', true]]);
    const answer = await claimAs(2);
    if (answer.kind !== 'claimed') throw new Error(answer.kind);
    journal.adopt(answer.session.claim, answer.session.head, 1);
    await expect.poll(() => said.at(-1)).toEqual(['committed', 200]);
    expect(journal.lastSeq).toBe(2);
  });

  it('shows again, to a client that comes back, what waits for the store and did not reach it', async () => {
    const network = new Network();
    const { append, journal, said } = await open(network);
    network.setAvailable(false);
    for (let n = 1; n <= 3; n++) append(n);
    await expect.poll(() => said).toHaveLength(3);
    await journal.hold();
    said.length = 0;
    journal.adopt(undefined, 0, 1);
    await expect
      .poll(() => said)
      .toEqual([
        ['entry', 2, 'word 2', false],
        ['entry', 3, 'word 3', false],
      ]);
    expect(journal.since(1).map(({ body }) => body)).toEqual(['word 2', 'word 3']);
  });

  it('takes as known what the client knows and the store does not', async () => {
    const network = new Network();
    const { append, claimAs, journal, said } = await open(network);
    network.setAvailable(false);
    append(1);
    append(2);
    await journal.hold();
    network.available = true;
    const answer = await claimAs(2, 1);
    if (answer.kind !== 'claimed') throw new Error(answer.kind);
    expect(answer.session.head).toBe(1);
    said.length = 0;
    journal.adopt(answer.session.claim, answer.session.head, 1);
    append(3);
    await expect.poll(() => said.at(-1)).toEqual(['committed', 300]);
    expect(journal.lastSeq).toBe(3);
  });

  it('keeps what the client alone knows, so that a record made anew has no hole', async () => {
    const network = new Network();
    const { append, claimAs, journal, said, stored } = await open(network);
    append(1);
    await expect.poll(() => said.at(-1)).toEqual(['committed', 100]);
    network.setAvailable(false);
    append(2);
    append(3);
    await journal.hold();
    network.available = true;
    const answer = await claimAs(2, 3);
    if (answer.kind !== 'claimed') throw new Error(answer.kind);
    journal.adopt(answer.session.claim, answer.session.head, 3);
    await network.memory.remove(journal.claim);
    append(4);
    await expect.poll(() => said.at(-1)).toEqual(['committed', 400]);
    expect(await stored()).toEqual(['word 1', 'word 2', 'word 3', 'word 4']);
  });

  it('says what to renew: a moved watermark at once, and a record that was not written for long', async () => {
    const network = new Network();
    const { append, journal, said } = await open(network, { renewMs: 1000 });
    const watermark = { offset: 50, chunk: 0, chunkEnd: 0 };
    const none = { offset: 0, chunk: 0, chunkEnd: 0 };
    expect(journal.update(performance.now(), none)).toBeUndefined();
    expect(journal.update(performance.now() + 2000, none)).toMatchObject({ head: 0, watermark: undefined });
    const update = journal.update(performance.now(), watermark);
    expect(update).toMatchObject({ head: 0, watermark });
    if (update !== undefined) journal.updated(update, { kind: 'ok' });
    expect(said).toEqual([['committed', 50]]);
    // It may rest on an entry that is not committed yet.
    append(1);
    expect(journal.update(performance.now(), { ...watermark, offset: 90 })).toBeUndefined();
  });
});
