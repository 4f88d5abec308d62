import { createHash } from 'node:crypto';
import { inBatches } from './batches.ts';
import { keysOf, sessionIdOf } from './keys.ts';
import type { Reply, ScriptRunner } from './redis-link.ts';
import { texts, unexpected } from './replies.ts';
import { checkSessionId, isSessionId, tagOf } from './session-id.ts';
import type {
  AppendOptions,
  ChannelEnds,
  Claim,
  ClaimAnswer,
  ClaimedSession,
  ClaimRequest,
  CreateAnswer,
  JournalEntry,
  NewSession,
  ReadAnswer,
  ReadRequest,
  ReadSession,
  SessionSnapshot,
  SessionStop,
  Store,
  StoreBounds,
  Update,
  UpdateAnswer,
  WriteAnswer,
} from './store.ts';

/**
 * The store that workers share. Each verb is one script, hence atomic, on keys of one slot.
 *
 * A call that failed here may still be carried out there, when a paused server wakes or a slow network delivers. No verb
 * does harm then:
 * - `create` makes a session that nobody was told of: it expires. With a start key it is refused when a later attempt was
 *   there first, and ended by the next one.
 * - `claim` is refused when the client has been there with a later attempt. Otherwise it fences the owner, whom the client
 *   had left already by asking, for a claim that nobody holds: the next attempt takes it.
 * - `append`, `stop`, `update`, `remove` need the present claim, so the last word is this owner's. An append of a number
 *   that is there is a repeat or a conflict, a watermark does not go back, a stop needs the head, and after a removal
 *   this owner has nothing more to say.
 * - `read` changes nothing but the mark of the viewers, which expires.
 * - `rebuild` needs a record that is absent, older, or this owner's with a lower head. One that comes late to an absent
 *   record makes it as it was once: the owner's next write finds it behind and makes it whole; without an owner it
 *   expires.
 */
export class RedisStore implements Store {
  readonly #redis: ScriptRunner;
  readonly #prefix: string;
  readonly #ttl: number;
  readonly #bounds: readonly number[];

  /** @param prefix before every key */
  constructor(redis: ScriptRunner, prefix: string, { journal, ttlMs }: StoreBounds) {
    this.#redis = redis;
    this.#prefix = prefix;
    this.#ttl = ttlMs;
    this.#bounds = [journal.entries, journal.bytes, journal.ageMs];
  }

  get available(): boolean {
    return this.#redis.available;
  }

  onAvailability(listener: (available: boolean) => void): () => void {
    return this.#redis.onAvailability(listener);
  }

  async create(session: NewSession): Promise<CreateAnswer> {
    const { channels, claimId, owner, principal, request, resumeHash, sessionId, start, watchHash } = session;
    checkSessionId(sessionId, principal, start?.key);
    const reply = await this.#redis.run('create', this.#keys(sessionId), [
      claimId,
      hashOf(principal),
      resumeHash,
      watchHash,
      request,
      owner,
      new Array<number>(channels).fill(0).join(),
      start?.attempt ?? '',
      this.#ttl,
    ]);
    const [kind, record, epoch, earlierOwner] = texts(reply);
    if (kind === 'stale_attempt') return { kind };
    if (kind !== 'created') throw unexpected();
    const claim = { sessionId, epoch: 1, claimId };
    if (record === undefined) return { kind, claim };
    const ended = { sessionId: sessionIdOf(this.#prefix, record), epoch: Number(epoch), owner: earlierOwner ?? '' };
    return { kind, claim, ended };
  }

  async claim(request: ClaimRequest): Promise<ClaimAnswer> {
    const { acked, attempt, claimId, epoch, lastEnd, lastSeq, owner, principal, resumeHash, sessionId } = request;
    if (!isSessionId(sessionId)) return { kind: 'unknown' };
    const reply = await this.#redis.run('claim', this.#keys(sessionId), [
      claimId,
      hashOf(principal),
      resumeHash,
      owner,
      attempt,
      epoch,
      lastSeq,
      lastEnd,
      acked,
      this.#ttl,
      ...this.#bounds,
    ]);
    const [kind, detail] = texts(reply);
    switch (kind) {
      case 'unknown':
      case 'forbidden':
        return { kind };
      case 'stale_attempt':
        return { kind, attempt: Number(detail) };
      case 'claimed':
        return { kind, session: claimedSession(sessionId, claimId, reply) };
      default:
        throw unexpected();
    }
  }

  async append(claim: Claim, entry: JournalEntry, { ends, stop, watermark }: AppendOptions): Promise<WriteAnswer> {
    return this.#write('append', claim, [
      entry.seq,
      entry.startSample,
      entry.endSample,
      entry.data,
      ends.join(),
      watermark.offset,
      watermark.chunk,
      watermark.chunkEnd,
      stop === undefined ? '' : stopText(stop),
      this.#ttl,
      ...this.#bounds,
    ]);
  }

  async stop(claim: Claim, head: number, stop: SessionStop): Promise<WriteAnswer> {
    return this.#write('stop', claim, [head, stopText(stop), this.#ttl]);
  }

  update(updates: readonly Update[]): Promise<UpdateAnswer[]> {
    const batchOf = ({ claim }: Update) => (this.#redis.isCluster ? tagOf(claim.sessionId) : '');
    const unanswered: UpdateAnswer = { kind: 'unavailable' };
    return inBatches(updates, batchOf, (batch) => this.#update(batch), unanswered);
  }

  async read({ afterSeq, sessionId, watchHash, watchMs }: ReadRequest): Promise<ReadAnswer> {
    if (!isSessionId(sessionId)) return { kind: 'unknown' };
    const reply = await this.#redis.run(
      'read',
      [keysOf(this.#prefix, sessionId).record],
      [watchHash, afterSeq, watchMs],
    );
    const [kind] = texts(reply);
    switch (kind) {
      case 'unknown':
      case 'forbidden':
        return { kind };
      case 'read':
        return { kind, session: readSession(reply) };
      default:
        throw unexpected();
    }
  }

  async rebuild(snapshot: SessionSnapshot): Promise<WriteAnswer> {
    const { attempt, claim, ends, entries, head, owner, principal, request, start, watermark, ...hashes } = snapshot;
    checkSessionId(claim.sessionId, principal, start?.key);
    const [first] = entries;
    const trimmedEnd = first === undefined ? Math.max(0, ...ends) : first.seq === 1 ? 0 : first.startSample;
    const facts = [hashOf(principal), hashes.resumeHash, hashes.watchHash, request, owner, attempt];
    const mark = [watermark.offset, watermark.chunk ?? '', watermark.chunkEnd ?? ''];
    return this.#write('rebuild', claim, [
      ...facts,
      head,
      ends.join(),
      ...mark,
      start?.attempt ?? '',
      trimmedEnd,
      first?.seq ?? head + 1,
      this.#ttl,
      ...this.#bounds,
      ...entries.flatMap(({ startSample, endSample, data }) => [startSample, endSample, data]),
    ]);
  }

  async remove({ claimId, epoch, sessionId }: Claim): Promise<void> {
    await this.#redis.run('remove', [keysOf(this.#prefix, sessionId).record], [epoch, claimId]);
  }

  async close(): Promise<void> {
    this.#redis.close();
  }

  async #write(
    name: 'append' | 'stop' | 'rebuild',
    { claimId, epoch, sessionId }: Claim,
    args: readonly (string | number | Buffer)[],
  ): Promise<WriteAnswer> {
    return writeAnswer(await this.#redis.run(name, this.#keys(sessionId), [epoch, claimId, ...args]));
  }

  async #update(updates: readonly Update[]): Promise<UpdateAnswer[]> {
    const args = updates.flatMap(({ claim, head, watermark }) => [
      claim.epoch,
      claim.claimId,
      head,
      watermark?.offset ?? '',
      watermark?.chunk ?? '',
      watermark?.chunkEnd ?? '',
    ]);
    const keys = updates.flatMap(({ claim }) => this.#keys(claim.sessionId));
    const replies = await this.#redis.run('update', keys, [this.#ttl, ...this.#bounds, ...args]);
    if (!Array.isArray(replies) || replies.length !== updates.length) throw unexpected();
    return replies.map(writeAnswer);
  }

  #keys(sessionId: string): string[] {
    const { record, start } = keysOf(this.#prefix, sessionId);
    return [record, start];
  }
}

/** A principal is an identity: Redis is told only whether two are the same. */
function hashOf(principal: string): Buffer {
  return createHash('sha256').update(principal).digest();
}

/** In a fixed order, so that equal ones are equal texts. */
function stopText({ finals, reason, samples }: SessionStop): string {
  return JSON.stringify({ reason, samples, finals });
}

function writeAnswer(reply: Reply | undefined): WriteAnswer {
  const [kind, detail] = texts(reply);
  switch (kind) {
    case 'ok':
      return detail === undefined ? { kind } : { kind, watched: true };
    case 'absent':
    case 'stopped':
      return { kind };
    case 'fenced':
      return { kind, epoch: Number(detail) };
    case 'behind':
    case 'conflict':
      return { kind, head: Number(detail) };
    default:
      throw unexpected();
  }
}

function claimedSession(sessionId: string, claimId: string, reply: Reply): ClaimedSession {
  if (!Array.isArray(reply)) throw unexpected();
  const items: readonly Reply[] = reply;
  const [, epoch, previousOwner, request, , head, ends, offset, chunk, chunkEnd, trimmed, stopped, first] = texts(
    items.slice(0, 13),
  );
  const watchHash = items[4];
  if (!Buffer.isBuffer(watchHash) || first === undefined) throw unexpected();
  return {
    claim: { sessionId, epoch: Number(epoch), claimId },
    previousOwner: previousOwner ?? '',
    request: request ?? '',
    watchHash,
    head: Number(head),
    ends: (ends ?? '').split(',').map(Number) satisfies ChannelEnds,
    watermark:
      chunk === ''
        ? { offset: Number(offset) }
        : { offset: Number(offset), chunk: Number(chunk), chunkEnd: Number(chunkEnd) },
    missed: items.slice(13).map((entry, index) => journalEntry(Number(first) + index, entry)),
    trimmedEnd: Number(trimmed),
    ...(stopped === '' ? {} : { stopped: JSON.parse(stopped ?? '') as SessionStop }),
  };
}

function readSession(reply: Reply): ReadSession {
  if (!Array.isArray(reply)) throw unexpected();
  const items: readonly Reply[] = reply;
  const [, epoch, request, head, trimmed, lost, stopped, first] = texts(items.slice(0, 8));
  if (first === undefined) throw unexpected();
  return {
    request: request ?? '',
    epoch: Number(epoch),
    head: Number(head),
    entries: items.slice(8).map((entry, index) => journalEntry(Number(first) + index, entry)),
    trimmedEnd: Number(trimmed),
    lostSeq: Number(lost),
    ...(stopped === '' ? {} : { stopped: JSON.parse(stopped ?? '') as SessionStop }),
  };
}

/** `start:end:time:data`, of which the last is any bytes. */
function journalEntry(seq: number, entry: Reply): JournalEntry {
  if (!Buffer.isBuffer(entry)) throw unexpected();
  const afterStart = entry.indexOf(':') + 1;
  const afterEnd = entry.indexOf(':', afterStart) + 1;
  const afterTime = entry.indexOf(':', afterEnd) + 1;
  return {
    seq,
    startSample: Number(entry.toString('latin1', 0, afterStart - 1)),
    endSample: Number(entry.toString('latin1', afterStart, afterEnd - 1)),
    data: entry.subarray(afterTime),
  };
}
