import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { createLogger, type Logger } from '../../src/log.ts';
import { newSessionId } from '../../src/store/session-id.ts';
import type {
  Claim,
  ClaimAnswer,
  ClaimedSession,
  ClaimRequest,
  JournalEntry,
  NewSession,
  SessionSnapshot,
  Store,
  StoreBounds,
  WriteAnswer,
} from '../../src/store/store.ts';

/** Makes stores that share their data, as the workers of a cluster do. */
export type StoreFactory = (bounds: StoreBounds, count: number) => Promise<Store[]>;

export const WIDE: StoreBounds = { journal: { entries: 1000, bytes: 1_000_000, ageMs: 600_000 }, ttlMs: 60_000 };
const SECRET = randomBytes(32);

/** A session as a worker would begin it, ready to be created. */
export function newSession(changes: Partial<NewSession> = {}): NewSession {
  const principal = changes.principal ?? 'issuer/subject';
  return {
    sessionId: newSessionId(principal, changes.start?.key),
    claimId: randomUUID(),
    principal,
    resumeHash: sha256(SECRET),
    watchHash: sha256(Buffer.from('watch')),
    request: '{"language_code":"en-US"}',
    channels: 1,
    owner: 'pod-1/1',
    ...changes,
  };
}

/** The claim that `create` gives. */
export function claimOf({ claimId, sessionId }: NewSession): Claim {
  return { sessionId, epoch: 1, claimId };
}

/** Begins a session and gives its claim. */
export async function created(store: Store, session: NewSession): Promise<Claim> {
  const answer = await store.create(session);
  if (answer.kind !== 'created') throw new Error(`not created: ${answer.kind}`);
  return answer.claim;
}

/** What a client sends that knows nothing, or what `changes` say. */
export function resume(session: NewSession, changes: Partial<ClaimRequest> = {}): ClaimRequest {
  return {
    sessionId: session.sessionId,
    claimId: randomUUID(),
    principal: session.principal,
    resumeHash: session.resumeHash,
    owner: 'pod-2/1',
    attempt: 1,
    epoch: 1,
    lastSeq: 0,
    lastEnd: 0,
    acked: 0,
    ...changes,
  };
}

/** Claims a session that can be claimed. */
export async function claimed(
  store: Store,
  session: NewSession,
  changes: Partial<ClaimRequest> = {},
): Promise<ClaimedSession> {
  const answer: ClaimAnswer = await store.claim(resume(session, changes));
  if (answer.kind !== 'claimed') throw new Error(`not claimed: ${answer.kind}`);
  return answer.session;
}

/** Entry n covers the n-th thousand samples, unless told otherwise. */
export function entry(seq: number, startSample = (seq - 1) * 1000, endSample = seq * 1000): JournalEntry {
  return {
    seq,
    startSample,
    endSample,
    data: Buffer.from(`ciphertext of entry ${String(seq % 1000).padStart(3, '0')}`),
  };
}

/** What is committed with entry n. */
export function entryOptions(chunk: number, offset = chunk * 1000) {
  return { ends: [offset], watermark: { offset, chunk, chunkEnd: offset - 100 } };
}

/** What the owner of a session without entries would make anew, or of one as `changes` say. */
export function snapshot(
  { claimId: _claimId, sessionId: _sessionId, channels, ...facts }: NewSession,
  claim: Claim,
  changes: Partial<SessionSnapshot> = {},
): SessionSnapshot {
  return {
    ...facts,
    claim,
    attempt: 0,
    head: 0,
    ends: new Array<number>(channels).fill(0),
    watermark: { offset: 0, chunk: 0, chunkEnd: 0 },
    entries: [],
    ...changes,
  };
}

/** A session with so many entries, whose last one has the given ends and offset. */
export async function withEntries(
  store: Store,
  count: number,
  last: { channels?: number; ends?: readonly number[]; offset?: number } = {},
): Promise<NewSession> {
  const { channels = 1 } = last;
  const session = newSession({ channels });
  const claim = await created(store, session);
  for (let seq = 1; seq <= count; seq++) {
    const plain = entryOptions(seq);
    const isLast = seq === count;
    const ends = (isLast ? last.ends : undefined) ?? new Array<number>(channels).fill(seq * 1000);
    const offset = (isLast ? last.offset : undefined) ?? plain.watermark.offset;
    const options = {
      ends: count > 1 && !isLast && channels > 1 ? [seq * 1000, 0] : ends,
      watermark: { ...plain.watermark, offset },
    };
    const answer: WriteAnswer = await store.append(claim, entry(seq), options);
    if (answer.kind !== 'ok') throw new Error(`not appended: ${answer.kind}`);
  }
  return session;
}

/** The store of one worker among several. */
export function pick(stores: readonly Store[], at: number): Store {
  const store = stores[at % stores.length];
  if (store === undefined) throw new Error('no store');
  return store;
}

function sha256(data: Buffer): Buffer {
  return createHash('sha256').update(data).digest();
}

/** A logger for parts that must have one. */
export const SILENT: Logger = createLogger('silent');
