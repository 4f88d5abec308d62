/**
 * The session store: what outlives a connection, a worker and a pod. Every verb is atomic for each session, and verbs
 * of one caller take effect in the order in which they were called.
 *
 * A **claim** is the right to write. Each verb that takes one is refused, with no effect, unless its epoch and id are
 * the record's. So of several workers that believe to own a session at most one can change it, whatever they, the
 * network and the clocks do. An epoch never goes back while the store keeps its data; if it loses data (a flush, a
 * failover without the last writes), the next claim takes the client's word for what was there before.
 *
 * A store that cannot be reached, or does not answer in time, makes a verb throw `StoreUnavailableError`. Its effect is
 * then unknown: it may have taken place, it may do so later, or never. Both are safe. A repeat (of any verb, by the same
 * claim) answers as the first did and changes nothing more; and what takes effect late is either what the caller would
 * repeat, or is refused because another claim came in between.
 *
 * Writes name the head that they rest on, so that a store which has lost entries is found out before it is told that
 * the audio behind them is covered, or that the session is over.
 *
 * The store holds no secret and no word: hashes of secrets, and entries as ciphertext. Everything expires: a session so
 * long after the last claim or write that took effect as `StoreBounds.ttlMs` says.
 */

/** The store was not reached or did not answer in time. The effect is unknown; a repeat is safe. */
export class StoreUnavailableError extends Error {
  override readonly name = 'StoreUnavailableError';
}

/** The right to write one session. */
export interface Claim {
  readonly sessionId: string;
  /** Rises with each claim, from 1. */
  readonly epoch: number;
  /** Random: tells apart two claims that a store which lost data gave the same epoch. */
  readonly claimId: string;
}

/** How far the audio is covered by committed entries: what a client need not keep. Positions are samples. */
export interface Watermark {
  readonly offset: number;
  /** Number of the last chunk that ends at or before `offset`; 0 for none. */
  readonly chunk: number;
  /** Where the chunk after it begins; not after `offset`. */
  readonly chunkEnd: number;
}

/** A watermark of which `chunk` and `chunkEnd` are undefined where only the client knows them. */
export interface KnownWatermark {
  readonly offset: number;
  readonly chunk?: number;
  readonly chunkEnd?: number;
}

/** A final or a gap. The position is in the clear, because it is checked; what was said is not. */
export interface JournalEntry {
  /** From 1, without holes. */
  readonly seq: number;
  readonly startSample: number;
  readonly endSample: number;
  /** Ciphertext. */
  readonly data: Buffer;
}

/**
 * By channel: the end of its last final; no entry of the channel may begin before it. The store does not know of which
 * channel an entry is. It refuses one that begins before the ends of all channels, and ends that go back.
 */
export type ChannelEnds = readonly number[];

/** How a session ended. */
export interface SessionStop {
  readonly reason: string;
  /** Samples received. */
  readonly samples: number;
  readonly finals: number;
}

/** The client's name for a start, of which at most one session is open. */
export interface StartKey {
  readonly key: string;
  readonly attempt: number;
}

/** What is written once, when a session begins. */
export interface NewSession {
  /** Made by `newSessionId` of the same principal and start key. */
  readonly sessionId: string;
  readonly claimId: string;
  /** Issuer and subject of the caller; `anonymous` without authentication. */
  readonly principal: string;
  /** SHA-256 of the resume secret. */
  readonly resumeHash: Buffer;
  /** SHA-256 of the journal key, which the watch token carries. */
  readonly watchHash: Buffer;
  /** The checked start request, as JSON: what another worker needs to go on. Stored in the clear. */
  readonly request: string;
  /** How many `ends` there are. */
  readonly channels: number;
  /** The worker that owns the session, for operators and for notices. Stored in the clear. */
  readonly owner: string;
  /** Present if the client gave a start key: at most one session of a key is open. */
  readonly start?: StartKey | undefined;
}

/**
 * - `created`: epoch 1. An earlier session of the same start key and principal is `ended`: its claim is void, its
 *   owner is fenced, nobody can claim it or make it anew.
 * - `stale_attempt`: a start of the same key and principal with this attempt or a higher one was there first (also if
 *   its session was removed since), or the session id is taken.
 */
export type CreateAnswer =
  | { readonly kind: 'created'; readonly claim: Claim; readonly ended?: EndedSession }
  | { readonly kind: 'stale_attempt' };

/** A session that a later start has ended, and whom to tell. */
export interface EndedSession {
  readonly sessionId: string;
  /** Above that of every claim that the session had. */
  readonly epoch: number;
  readonly owner: string;
}

/** A client that comes back, and what it knows: it is the witness where the store has lost data. */
export interface ClaimRequest {
  readonly sessionId: string;
  readonly claimId: string;
  readonly principal: string;
  readonly resumeHash: Buffer;
  readonly owner: string;
  /** Must be above that of every earlier claim of the session. */
  readonly attempt: number;
  /** The highest epoch that the client has seen. */
  readonly epoch: number;
  /** The last entry that the client has given to its application, 0 for none, and where it ends. */
  readonly lastSeq: number;
  readonly lastEnd: number;
  /** The last acknowledged offset. */
  readonly acked: number;
}

/** A session as a claim finds it, with the client's knowledge worked in. */
export interface ClaimedSession {
  readonly claim: Claim;
  /** Whose claim was the last one before, for a notice. */
  readonly previousOwner: string;
  readonly request: string;
  readonly watchHash: Buffer;
  /** Number of the last entry. */
  readonly head: number;
  readonly ends: ChannelEnds;
  readonly watermark: KnownWatermark;
  /**
   * The entries after `lastSeq` that are still held, in order and without holes, up to `head`. If the first is not
   * `lastSeq + 1`, or there is none and `head` is above `lastSeq`, those between were trimmed.
   */
  readonly missed: readonly JournalEntry[];
  /** End of the last trimmed entry, in samples; 0 if nothing was trimmed. */
  readonly trimmedEnd: number;
  /** Set if the session was stopped: it takes no more entries. */
  readonly stopped?: SessionStop;
}

/**
 * - `claimed`: the epoch is one above the higher of the record's and the client's.
 *   If the record's epoch was below the client's, the entries after `lastSeq` are void, and a stop with them; `lastSeq`
 *   is the head, `lastEnd` the end of every channel, and the watermark is the later of `lastEnd` and `acked`.
 *   If only the head was below `lastSeq`, head, ends and watermark rise to the client's.
 *   In both cases the client alone knows the entries between the old head and `lastSeq`: those before them count as
 *   trimmed, so that the journal has no hole. The watermark is never below `acked`.
 * - `unknown`: there is no such session, it has expired, or a later start has ended it.
 * - `forbidden`: the secret or the principal is not the session's.
 * - `stale_attempt`: a claim with this attempt or a higher one (which is given) was there first.
 */
export type ClaimAnswer =
  | { readonly kind: 'claimed'; readonly session: ClaimedSession }
  | { readonly kind: 'unknown' | 'forbidden' }
  | { readonly kind: 'stale_attempt'; readonly attempt: number };

/**
 * What a write did:
 * - `ok`: it took effect, now or when it was made first. `watched`, from `append`, `stop` and `update` alone: there are
 *   viewers who want to hear of it.
 * - `fenced`: another claim holds the session, with this epoch.
 * - `absent`: the store does not know the session (any more).
 * - `behind`: the record is this claim's, but its head is lower than the write needs: the store has lost entries.
 * - `conflict`: the record is this claim's, but its head is higher than the write allows, or has this number at another
 *   place; or the entry begins before the ends of all channels. An earlier write of this claim that seemed to fail has
 *   taken effect: repeat that one first.
 * - `stopped`: the session was stopped and takes nothing more.
 */
export type WriteAnswer =
  | { readonly kind: 'ok'; readonly watched?: true }
  | { readonly kind: 'absent' | 'stopped' }
  | { readonly kind: 'fenced'; readonly epoch: number }
  | { readonly kind: 'behind' | 'conflict'; readonly head: number };

/** `unavailable`: only for some of the sessions of a bulk update the store did not answer (nodes of a cluster). */
export type UpdateAnswer = WriteAnswer | { readonly kind: 'unavailable' };

/** What is committed together with an entry. */
export interface AppendOptions {
  /** Ends after the entry. */
  readonly ends: ChannelEnds;
  /** Moves with the entry; never back. */
  readonly watermark: Watermark;
  /** The session ends with this entry. */
  readonly stop?: SessionStop | undefined;
}

/** Everything an owner knows, to make a record anew that the store has lost. */
export interface SessionSnapshot extends Omit<NewSession, 'claimId' | 'sessionId' | 'channels'> {
  readonly claim: Claim;
  /** That of the claim: 0 if the session was created by it. */
  readonly attempt: number;
  readonly head: number;
  readonly ends: ChannelEnds;
  readonly watermark: KnownWatermark;
  /** The tail of the journal that the owner holds, in order and without holes, up to `head`. */
  readonly entries: readonly JournalEntry[];
}

/** One session's part of a bulk update. */
export interface Update {
  readonly claim: Claim;
  /** The last entry that the owner knows to be committed: a record with a lower head has lost some. */
  readonly head: number;
  /** Moves, never back, as long as no entry that it rests on is lost. Undefined: only keeps the session alive. */
  readonly watermark?: Watermark | undefined;
}

/** What a viewer's worker asks for. */
export interface ReadRequest {
  readonly sessionId: string;
  /** SHA-256 of the journal key. */
  readonly watchHash: Buffer;
  /** The last entry that is known there; 0 for none. */
  readonly afterSeq: number;
  /** The session counts as watched for so long from now, in milliseconds. */
  readonly watchMs: number;
}

/** A session as its viewers may know it. */
export interface ReadSession {
  readonly request: string;
  readonly epoch: number;
  /** Number of the last entry. */
  readonly head: number;
  /**
   * The entries after `afterSeq` that are held, in order and without holes, up to `head`. If the first is not
   * `afterSeq + 1`, or there is none and `head` is above `afterSeq`, those between are gone.
   */
  readonly entries: readonly JournalEntry[];
  /** End of the last entry that is gone, in samples; 0 if none is. */
  readonly trimmedEnd: number;
  /** Entries up to this number may be gone because the store lost them, not because they were trimmed; 0 if none are. */
  readonly lostSeq: number;
  readonly stopped?: SessionStop;
}

/** `unknown` and `forbidden` as with a claim. */
export type ReadAnswer =
  | { readonly kind: 'read'; readonly session: ReadSession }
  | { readonly kind: 'unknown' | 'forbidden' };

/** How much of a journal is kept; its newest entry always is. */
export interface JournalBounds {
  readonly entries: number;
  /** Of ciphertext. */
  readonly bytes: number;
  /** Age of an entry, in milliseconds. An old entry goes with the next verb that takes effect. */
  readonly ageMs: number;
}

/** What every store is made with. */
export interface StoreBounds {
  readonly journal: JournalBounds;
  /** How long a session is kept after the last claim or write that took effect. */
  readonly ttlMs: number;
}

/** Sessions as the workers of a cluster share them; see the head of this file for what every verb promises. */
export interface Store {
  /**
   * Makes a session. A repeat by the same claim id answers as the first did, but for `ended`.
   * @throws StoreUnavailableError
   * @throws TypeError if the session id was not made of this principal and start key
   */
  create(session: NewSession): Promise<CreateAnswer>;

  /**
   * Takes a session over. A repeat by the same claim id and attempt answers as the first did.
   * @throws StoreUnavailableError
   */
  claim(request: ClaimRequest): Promise<ClaimAnswer>;

  /**
   * Adds an entry whose number is head + 1. The oldest entries beyond the bounds of the journal are trimmed. A repeat,
   * told by number and range, keeps the entry that is there, and adds the stop if the first had none.
   * @throws StoreUnavailableError
   */
  append(claim: Claim, entry: JournalEntry, options: AppendOptions): Promise<WriteAnswer>;

  /**
   * Ends a session after the entry `head`. For the rest of its time it can still be claimed, to read what was missed.
   * @throws StoreUnavailableError
   */
  stop(claim: Claim, head: number, stop: SessionStop): Promise<WriteAnswer>;

  /**
   * Moves watermarks and keeps sessions from expiring: those of a whole worker in one round trip.
   * @returns an answer for each update, in order
   * @throws StoreUnavailableError if none was answered
   */
  update(updates: readonly Update[]): Promise<UpdateAnswer[]>;

  /**
   * Marks a session as watched, then reads its journal; an entry that is committed later is answered with `watched`, so
   * that a viewer misses none. Changes nothing else, and does not keep the session from expiring.
   * @throws StoreUnavailableError
   */
  read(request: ReadRequest): Promise<ReadAnswer>;

  /**
   * Makes the record anew where it is absent, has a lower epoch, or is this claim's with a lower head; `ok` without an
   * effect if it is this claim's and whole. What the record held before is forgotten. `fenced` also where a later start of the same key has been there meanwhile.
   * @throws StoreUnavailableError
   */
  rebuild(snapshot: SessionSnapshot): Promise<WriteAnswer>;

  /** Forgets a session at once; nothing if the claim is not its own. @throws StoreUnavailableError */
  remove(claim: Claim): Promise<void>;

  /**
   * False while the store cannot be reached. Verbs fail at once then. They may fail for some sessions while it is true,
   * as when a node of a cluster is away: for these, each answer of `update` says whether the store is back.
   */
  readonly available: boolean;

  /**
   * Tells each change of `available`, until the returned function is called. When the store is back it may know less
   * than before.
   */
  onAvailability(listener: (available: boolean) => void): () => void;

  /** Idempotent. Verbs fail afterwards. */
  close(): Promise<void>;
}
