import { isSameHash } from '../same-hash.ts';
import {
  believe,
  bytesOf,
  isInOrder,
  isRepeat,
  isSameStop,
  type MemorySession,
  raise,
  trim,
  withoutTime,
} from './memory-session.ts';
import { checkSessionId, tagOf } from './session-id.ts';
import {
  type AppendOptions,
  type Claim,
  type ClaimAnswer,
  type ClaimRequest,
  type CreateAnswer,
  type EndedSession,
  type JournalEntry,
  type NewSession,
  type ReadAnswer,
  type ReadRequest,
  type SessionSnapshot,
  type SessionStop,
  type StartKey,
  type Store,
  type StoreBounds,
  StoreUnavailableError,
  type Update,
  type WriteAnswer,
} from './store.ts';

/** What is left of a session that a later start has ended, so that its owner cannot bring it back. */
interface Ended {
  readonly ended: true;
  readonly epoch: number;
  readonly expiresAt: number;
}

interface Start {
  readonly attempt: number;
  readonly sessionId: string;
  expiresAt: number;
}

/**
 * The store of one process, for a gateway without Redis: sessions outlive their connections, but not the process. Every
 * verb takes effect within its call, so the order of the calls is the order of the effects.
 */
export class MemoryStore implements Store {
  readonly available = true;
  readonly #bounds: StoreBounds;
  readonly #now: () => number;
  /** Both in the order in which they expire: every renewal moves to the end. */
  readonly #sessions = new Map<string, MemorySession | Ended>();
  readonly #starts = new Map<string, Start>();
  #closed = false;

  /** @param now a clock in milliseconds that never goes back */
  constructor(bounds: StoreBounds, now: () => number = () => performance.now()) {
    this.#bounds = bounds;
    this.#now = now;
  }

  async create({ sessionId, claimId, principal, start, ...rest }: NewSession): Promise<CreateAnswer> {
    checkSessionId(sessionId, principal, start?.key);
    this.#expire();
    const claim: Claim = { sessionId, epoch: 1, claimId };
    const present = this.#sessions.get(sessionId);
    if (present !== undefined) {
      const isSame = !('ended' in present) && present.claimId === claimId && present.epoch === 1;
      return isSame ? { kind: 'created', claim } : { kind: 'stale_attempt' };
    }
    // Also its own attempt, if the session is gone: a late repeat must not bring back what was removed.
    if (start !== undefined && this.#attemptOf(sessionId) >= start.attempt) return { kind: 'stale_attempt' };
    const ended = start === undefined ? undefined : this.#start(sessionId, start);
    const { channels, owner, request, resumeHash, watchHash } = rest;
    this.#renew(sessionId, {
      facts: { principal, resumeHash, watchHash, request },
      startTag: start === undefined ? undefined : tagOf(sessionId),
      epoch: 1,
      claimId,
      attempt: 0,
      owner,
      previousOwner: owner,
      head: 0,
      ends: new Array<number>(channels).fill(0),
      watermark: { offset: 0, chunk: 0, chunkEnd: 0 },
      entries: [],
      bytes: 0,
      trimmedEnd: 0,
      lostSeq: 0,
      watchedUntil: 0,
      stopped: undefined,
      expiresAt: 0,
    });
    return ended === undefined ? { kind: 'created', claim } : { kind: 'created', claim, ended };
  }

  async claim(request: ClaimRequest): Promise<ClaimAnswer> {
    this.#expire();
    const { sessionId, claimId, attempt } = request;
    const session = this.#sessions.get(sessionId);
    if (session === undefined || 'ended' in session) return { kind: 'unknown' };
    const { facts } = session;
    if (facts.principal !== request.principal || !isSameHash(facts.resumeHash, request.resumeHash)) {
      return { kind: 'forbidden' };
    }
    const isSame = session.claimId === claimId && session.attempt === attempt;
    if (!isSame) {
      if (attempt <= session.attempt) return { kind: 'stale_attempt', attempt: session.attempt };
      believe(session, request);
      session.epoch = Math.max(session.epoch, request.epoch) + 1;
      session.claimId = claimId;
      session.attempt = attempt;
      session.previousOwner = session.owner;
      session.owner = request.owner;
    }
    this.#renew(sessionId, session);
    const { ends, epoch, head, previousOwner, stopped, trimmedEnd, watermark } = session;
    return {
      kind: 'claimed',
      session: {
        claim: { sessionId, epoch, claimId },
        previousOwner,
        request: facts.request,
        watchHash: facts.watchHash,
        head,
        ends,
        watermark,
        missed: session.entries.filter(({ seq }) => seq > request.lastSeq).map(withoutTime),
        trimmedEnd,
        ...(stopped === undefined ? {} : { stopped }),
      },
    };
  }

  async append(claim: Claim, entry: JournalEntry, { ends, stop, watermark }: AppendOptions): Promise<WriteAnswer> {
    return this.#write(claim, (session) => {
      const { head } = session;
      if (entry.seq > head) {
        if (session.stopped !== undefined) return { kind: 'stopped' };
        if (entry.seq > head + 1) return { kind: 'behind', head };
        if (!isInOrder(session.ends, entry, ends)) return { kind: 'conflict', head };
        session.head = entry.seq;
        session.ends = ends;
        session.entries.push({ ...entry, writtenAt: this.#now() });
        session.bytes += entry.data.length;
      } else if (!isRepeat(session, entry)) return { kind: 'conflict', head };
      raise(session, watermark);
      if (entry.seq === session.head) session.stopped ??= stop;
      return { kind: 'ok' };
    });
  }

  async stop(claim: Claim, head: number, stop: SessionStop): Promise<WriteAnswer> {
    return this.#write(claim, (session) => {
      if (session.stopped !== undefined) return { kind: isSameStop(session.stopped, stop) ? 'ok' : 'stopped' };
      if (session.head !== head) return { kind: session.head < head ? 'behind' : 'conflict', head: session.head };
      session.stopped = stop;
      return { kind: 'ok' };
    });
  }

  async update(updates: readonly Update[]): Promise<WriteAnswer[]> {
    return updates.map(({ claim, head, watermark }) =>
      this.#write(claim, (session) => {
        if (session.stopped !== undefined) return { kind: 'stopped' };
        if (session.head < head) return { kind: 'behind', head: session.head };
        if (watermark !== undefined) raise(session, watermark);
        return { kind: 'ok' };
      }),
    );
  }

  async read({ sessionId, watchHash, afterSeq, watchMs }: ReadRequest): Promise<ReadAnswer> {
    this.#expire();
    const session = this.#sessions.get(sessionId);
    if (session === undefined || 'ended' in session) return { kind: 'unknown' };
    if (!isSameHash(session.facts.watchHash, watchHash)) return { kind: 'forbidden' };
    const { entries, epoch, facts, head, lostSeq, stopped, trimmedEnd } = session;
    // One that has ended says nothing more.
    if (stopped === undefined) session.watchedUntil = Math.max(session.watchedUntil, this.#now() + watchMs);
    return {
      kind: 'read',
      session: {
        request: facts.request,
        epoch,
        head,
        entries: entries.filter(({ seq }) => seq > afterSeq).map(withoutTime),
        trimmedEnd,
        lostSeq,
        ...(stopped === undefined ? {} : { stopped }),
      },
    };
  }

  async rebuild({ claim, start, entries, ...snapshot }: SessionSnapshot): Promise<WriteAnswer> {
    checkSessionId(claim.sessionId, snapshot.principal, start?.key);
    this.#expire();
    const { sessionId, epoch, claimId } = claim;
    const present = this.#sessions.get(sessionId);
    if (present !== undefined) {
      if ('ended' in present) return { kind: 'fenced', epoch: Math.max(present.epoch, epoch + 1) };
      if (present.claimId !== claimId && present.epoch >= epoch) return { kind: 'fenced', epoch: present.epoch };
      if (present.claimId === claimId && present.stopped !== undefined) return { kind: 'stopped' };
      if (present.claimId === claimId && present.head >= snapshot.head) {
        this.#renew(sessionId, present);
        return { kind: 'ok' };
      }
    }
    const known = start === undefined ? undefined : this.#starts.get(tagOf(sessionId));
    if (start !== undefined && known !== undefined && known.sessionId !== sessionId && known.attempt >= start.attempt) {
      return { kind: 'fenced', epoch: epoch + 1 };
    }
    if (start !== undefined) this.#start(sessionId, start);
    const { attempt, ends, head, owner, principal, request, resumeHash, watchHash, watermark } = snapshot;
    const [first] = entries;
    const session: MemorySession = {
      facts: { principal, resumeHash, watchHash, request },
      startTag: start === undefined ? undefined : tagOf(sessionId),
      epoch,
      claimId,
      attempt,
      owner,
      previousOwner: owner,
      head,
      ends,
      watermark,
      entries: entries.map((entry) => ({ ...entry, writtenAt: this.#now() })),
      bytes: bytesOf(entries),
      trimmedEnd: first === undefined ? Math.max(0, ...ends) : first.seq === 1 ? 0 : first.startSample,
      lostSeq: 0,
      watchedUntil: 0,
      stopped: undefined,
      expiresAt: 0,
    };
    this.#renew(sessionId, session);
    return { kind: 'ok' };
  }

  async remove(claim: Claim): Promise<void> {
    this.#write(claim, () => {
      this.#sessions.delete(claim.sessionId);
      return { kind: 'absent' };
    });
  }

  onAvailability(): () => void {
    return () => undefined;
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#sessions.clear();
    this.#starts.clear();
  }

  /** Runs a write of the present claim, or says why not; the session is kept on if it took effect. */
  #write({ sessionId, epoch, claimId }: Claim, write: (session: MemorySession) => WriteAnswer): WriteAnswer {
    this.#expire();
    const session = this.#sessions.get(sessionId);
    if (session === undefined) return { kind: 'absent' };
    if ('ended' in session || session.epoch !== epoch || session.claimId !== claimId) {
      return { kind: 'fenced', epoch: session.epoch };
    }
    const answer = write(session);
    if (answer.kind !== 'ok') return answer;
    this.#renew(sessionId, session);
    return session.watchedUntil > this.#now() ? { kind: 'ok', watched: true } : answer;
  }

  /** Makes a session that of its start key, and ends the one that was. */
  #start(sessionId: string, { attempt }: StartKey): EndedSession | undefined {
    const tag = tagOf(sessionId);
    const earlier = this.#starts.get(tag);
    this.#starts.delete(tag);
    this.#starts.set(tag, { attempt, sessionId, expiresAt: this.#now() + this.#bounds.ttlMs });
    if (earlier === undefined || earlier.sessionId === sessionId) return undefined;
    const session = this.#sessions.get(earlier.sessionId);
    if (session === undefined || 'ended' in session) return undefined;
    const epoch = session.epoch + 1;
    this.#sessions.delete(earlier.sessionId);
    this.#sessions.set(earlier.sessionId, { ended: true, epoch, expiresAt: this.#now() + this.#bounds.ttlMs });
    return { sessionId: earlier.sessionId, epoch, owner: session.owner };
  }

  /** The last attempt of the start key of a session. */
  #attemptOf(sessionId: string): number {
    return this.#starts.get(tagOf(sessionId))?.attempt ?? -1;
  }

  /** Trims the journal, and keeps session and start key for another term. */
  #renew(sessionId: string, session: MemorySession): void {
    trim(session, this.#bounds.journal, this.#now());
    session.expiresAt = this.#now() + this.#bounds.ttlMs;
    this.#sessions.delete(sessionId);
    this.#sessions.set(sessionId, session);
    const tag = session.startTag ?? '';
    const start = this.#starts.get(tag);
    if (start === undefined) return;
    start.expiresAt = session.expiresAt;
    this.#starts.delete(tag);
    this.#starts.set(tag, start);
  }

  /** Called before every look at the maps, so that what has expired is never seen. */
  #expire(): void {
    if (this.#closed) throw new StoreUnavailableError('the store is closed');
    for (const map of [this.#sessions, this.#starts]) {
      for (const [key, { expiresAt }] of map) {
        if (expiresAt > this.#now()) break;
        map.delete(key);
      }
    }
  }
}
