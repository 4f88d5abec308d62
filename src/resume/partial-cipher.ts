import { openEntry, sealEntry } from './entry-cipher.ts';

/** A partial result as it travels to viewers, sealed like an entry of the journal. */
export interface SealedPartial {
  /** The last entry before it. */
  readonly afterSeq: number;
  readonly startSample: number;
  readonly endSample: number;
  /** Ciphertext. */
  readonly data: Buffer;
}

/** A partial must never open as the entry whose number it names. */
const placeOf = (sessionId: string, { afterSeq, endSample, startSample }: Omit<SealedPartial, 'data'>) => ({
  sessionId: `${sessionId}/partial`,
  seq: afterSeq,
  startSample,
  endSample,
});

/** @param result goes through JSON */
export function sealPartial(
  key: Buffer,
  sessionId: string,
  afterSeq: number,
  result: { readonly startSample: number; readonly endSample: number },
): SealedPartial {
  const { endSample, startSample } = result;
  const place = { afterSeq, startSample, endSample };
  return { ...place, data: sealEntry(key, placeOf(sessionId, place), Buffer.from(JSON.stringify(result))) };
}

/** @throws Error if it was sealed with another key or for another place */
export function openPartial<Result>(key: Buffer, sessionId: string, sealed: SealedPartial): Result {
  return JSON.parse(openEntry(key, placeOf(sessionId, sealed), sealed.data).toString()) as Result;
}
