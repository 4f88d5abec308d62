import { randomBytes } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { openEntry, sealEntry } from '../../../src/resume/entry-cipher.ts';
import { newSecrets, secretsOf, watchSecretsOf } from '../../../src/resume/tokens.ts';

describe('the secrets of a session', () => {
  it('come back from the resume token, and from nothing else', () => {
    const secrets = newSecrets('session');
    expect(secretsOf('session', secrets.resumeToken)).toEqual(secrets);
    for (const token of [
      '',
      'x',
      `${secrets.resumeToken}A`,
      secrets.resumeToken.slice(1),
      `${secrets.resumeToken}==`,
    ]) {
      expect(secretsOf('session', token)).toBeUndefined();
    }
  });

  it('differ from session to session, also for the same token', () => {
    const secrets = newSecrets('session');
    const other = secretsOf('other', secrets.resumeToken);
    expect(other?.journalKey.equals(secrets.journalKey)).toBe(false);
    expect(newSecrets('session').resumeToken).not.toBe(secrets.resumeToken);
  });

  it('give a viewer the key of the journal and its hash, and nothing for what is not a token', () => {
    const { journalKey, watchHash, watchToken } = newSecrets('session');
    expect(watchSecretsOf(watchToken)).toEqual({ journalKey, watchHash });
    for (const token of ['', 'x', `${watchToken}A`, watchToken.slice(1), `${watchToken}==`]) {
      expect(watchSecretsOf(token)).toBeUndefined();
    }
  });

  it('do not give the right to write to whoever may read, nor either to the store', () => {
    const { journalKey, resumeHash, resumeToken, watchHash, watchToken } = newSecrets('session');
    expect(watchToken).toBe(journalKey.toString('base64url'));
    expect(secretsOf('session', watchToken)?.resumeHash.equals(resumeHash)).toBe(false);
    const stored = Buffer.concat([resumeHash, watchHash]);
    expect(stored.includes(journalKey)).toBe(false);
    expect(stored.includes(Buffer.from(resumeToken, 'base64url'))).toBe(false);
  });
});

describe('a sealed entry', () => {
  const key = randomBytes(32);
  const place = { sessionId: 's', seq: 1, startSample: 0, endSample: 100 };
  const plain = Buffer.from('a word that somebody said');

  it('opens with its key at its place', () => {
    const sealed = sealEntry(key, place, plain);
    expect(openEntry(key, place, sealed)).toEqual(plain);
    expect(sealed.includes('word')).toBe(false);
  });

  it.each([
    ['session', { ...place, sessionId: 't' }],
    ['number', { ...place, seq: 2 }],
    ['start', { ...place, startSample: 1 }],
    ['end', { ...place, endSample: 101 }],
  ])('does not open for another %s', (_, other) => {
    expect(() => openEntry(key, other, sealEntry(key, place, plain))).toThrow();
  });

  it('does not open with another key, or when a byte has changed', () => {
    const sealed = sealEntry(key, place, plain);
    expect(() => openEntry(randomBytes(32), place, sealed)).toThrow();
    for (let i = 0; i < sealed.length; i++) {
      const changed = Buffer.from(sealed);
      changed[i] = (changed[i] ?? 0) ^ 1;
      expect(() => openEntry(key, place, changed)).toThrow();
    }
    expect(() => openEntry(key, place, sealed.subarray(0, 20))).toThrow();
  });

  it('has another nonce each time, also under the same number', () => {
    const nonces = Array.from({ length: 100 }, () => sealEntry(key, place, plain).subarray(0, 12).toString('hex'));
    expect(new Set(nonces).size).toBe(100);
  });
});
