import type { JournalEntry } from '../store/store.ts';
import { openEntry, sealEntry } from './entry-cipher.ts';

/** A final or a gap before it has a number. */
export interface Draft<Body> {
  readonly startSample: number;
  readonly endSample: number;
  /** Goes through JSON. */
  readonly body: Body;
}

export interface Numbered<Body> extends Draft<Body> {
  readonly seq: number;
}

/** Seals an entry for its place in the journal of a session. */
export function sealNumbered<Body>(key: Buffer, sessionId: string, entry: Numbered<Body>): JournalEntry {
  const { body, endSample, seq, startSample } = entry;
  const data = sealEntry(key, { sessionId, seq, startSample, endSample }, Buffer.from(JSON.stringify(body)));
  return { seq, startSample, endSample, data };
}

/**
 * Opens the entries that a claim returned.
 * @throws Error if one was sealed with another key or for another place
 */
export function openEntries<Body>(key: Buffer, sessionId: string, entries: readonly JournalEntry[]): Numbered<Body>[] {
  return entries.map(({ data, endSample, seq, startSample }) => {
    const plain = openEntry(key, { sessionId, seq, startSample, endSample }, data);
    return { seq, startSample, endSample, body: JSON.parse(plain.toString()) as Body };
  });
}
