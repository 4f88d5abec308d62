import type { ClaimRequest, JournalBounds, JournalEntry, KnownWatermark, NewSession, SessionStop } from './store.ts';

export interface HeldEntry extends JournalEntry {
  readonly writtenAt: number;
}

/** One session as the memory store holds it. */
export interface MemorySession {
  readonly facts: Pick<NewSession, 'principal' | 'resumeHash' | 'watchHash' | 'request'>;
  /** The tag under which its start key is found, if it has one. */
  readonly startTag: string | undefined;
  epoch: number;
  claimId: string;
  attempt: number;
  owner: string;
  previousOwner: string;
  head: number;
  ends: readonly number[];
  watermark: KnownWatermark;
  /** Without holes, up to `head`; empty if nothing up to it is held. */
  entries: HeldEntry[];
  bytes: number;
  trimmedEnd: number;
  /** Entries up to this number may be known to the client alone. */
  lostSeq: number;
  /** Until when viewers are there. */
  watchedUntil: number;
  stopped: SessionStop | undefined;
  expiresAt: number;
}

/** Works the client's knowledge into a record that may have lost data. */
export function believe(session: MemorySession, { acked, epoch, lastEnd, lastSeq }: ClaimRequest): void {
  const isOlder = session.epoch < epoch;
  if (isOlder || session.head < lastSeq) {
    const kept = session.head < lastSeq ? [] : session.entries.filter(({ seq }) => seq <= lastSeq);
    if (kept.length === 0) session.trimmedEnd = lastEnd;
    if (session.head < lastSeq) session.lostSeq = lastSeq;
    session.entries = kept;
    session.bytes = bytesOf(kept);
    session.head = lastSeq;
    session.ends = session.ends.map((end) => (isOlder ? lastEnd : Math.max(end, lastEnd)));
    if (isOlder) {
      session.watermark = { offset: 0, chunk: 0, chunkEnd: 0 };
      session.stopped = undefined;
    }
    raise(session, { offset: Math.max(lastEnd, acked) });
  }
  raise(session, { offset: acked });
}

/** Moves a watermark, never back; at the same place, the one that knows the chunk is further. */
export function raise(session: MemorySession, to: KnownWatermark): void {
  const { offset, chunk = -1 } = session.watermark;
  if (to.offset > offset || (to.offset === offset && (to.chunk ?? -1) > chunk)) session.watermark = to;
}

/** Whether an entry may follow: after the end of the last one of at least one channel, and no end goes back. */
export function isInOrder(
  before: readonly number[],
  { startSample, endSample }: JournalEntry,
  after: readonly number[],
): boolean {
  return (
    endSample >= startSample &&
    startSample >= Math.min(...before) &&
    after.length === before.length &&
    after.every((end, channel) => end >= (before[channel] ?? 0))
  );
}

/** Whether an entry is there already. One that was trimmed since is taken at its word. */
export function isRepeat(session: MemorySession, { seq, startSample, endSample }: JournalEntry): boolean {
  const first = session.head - session.entries.length + 1;
  if (seq < first) return endSample <= session.trimmedEnd;
  const held = session.entries[seq - first];
  return held?.startSample === startSample && held.endSample === endSample;
}

export function isSameStop(a: SessionStop, b: SessionStop): boolean {
  return a.reason === b.reason && a.samples === b.samples && a.finals === b.finals;
}

export function withoutTime({ seq, startSample, endSample, data }: HeldEntry): JournalEntry {
  return { seq, startSample, endSample, data };
}

/** Drops the oldest entries beyond the bounds, but never the newest. */
export function trim(session: MemorySession, { ageMs, bytes, entries: most }: JournalBounds, now: number): void {
  const { entries } = session;
  let trimmed = 0;
  for (const entry of entries.slice(0, -1)) {
    const isWithin = entries.length - trimmed <= most && session.bytes <= bytes && entry.writtenAt >= now - ageMs;
    if (isWithin) break;
    trimmed++;
    session.bytes -= entry.data.length;
    session.trimmedEnd = entry.endSample;
  }
  if (trimmed > 0) session.entries = entries.slice(trimmed);
}

export function bytesOf(entries: readonly JournalEntry[]): number {
  return entries.reduce((sum, { data }) => sum + data.length, 0);
}
