import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';

const CIPHER = 'aes-256-gcm';
const NONCE_BYTES = 12;
const TAG_BYTES = 16;

/** What an entry says about itself in the clear; a ciphertext opens only under the place it was sealed for. */
export interface EntryPlace {
  readonly sessionId: string;
  readonly seq: number;
  readonly startSample: number;
  readonly endSample: number;
}

/**
 * Seals one journal entry with AES-256-GCM: nonce, ciphertext, tag. The nonce is random, never derived from number or
 * epoch: an owner that was fenced may have sealed another entry under the same number.
 * @param key 32 bytes
 */
export function sealEntry(key: Buffer, place: EntryPlace, plain: Buffer): Buffer {
  const nonce = randomBytes(NONCE_BYTES);
  const cipher = createCipheriv(CIPHER, key, nonce);
  cipher.setAAD(associatedData(place));
  const parts = [nonce, cipher.update(plain), cipher.final(), cipher.getAuthTag()];
  // Entries are kept for long: in the buffer that Node shares out to small ones, each would keep 64 KB alive.
  const sealed = Buffer.allocUnsafeSlow(parts.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of parts) at += part.copy(sealed, at);
  return sealed;
}

/** @throws Error if the key or the place is another, or the bytes were changed */
export function openEntry(key: Buffer, place: EntryPlace, sealed: Buffer): Buffer {
  if (sealed.length < NONCE_BYTES + TAG_BYTES) throw new Error('a sealed entry is too short');
  const decipher = createDecipheriv(CIPHER, key, sealed.subarray(0, NONCE_BYTES), { authTagLength: TAG_BYTES });
  decipher.setAAD(associatedData(place));
  decipher.setAuthTag(sealed.subarray(-TAG_BYTES));
  return Buffer.concat([decipher.update(sealed.subarray(NONCE_BYTES, -TAG_BYTES)), decipher.final()]);
}

/** The numbers come first and have no newline, so that no two places give the same bytes. */
function associatedData({ sessionId, seq, startSample, endSample }: EntryPlace): Buffer {
  return Buffer.from(`${seq}\n${startSample}\n${endSample}\n${sessionId}`);
}
