import { describe, expect, it } from 'vitest';
import { newApiKey, parseApiKeys, principalOfKey } from '../../../src/auth/api-keys.ts';

const KEY = newApiKey();
const file = (...keys: object[]) => JSON.stringify({ keys });

describe('API keys', () => {
  it('are random, and known by their hash', () => {
    expect(KEY.key).toMatch(/^tgk_[\w-]{43}$/);
    expect(newApiKey().key).not.toBe(KEY.key);
    const keys = parseApiKeys(
      file({ id: 'other', sha256: newApiKey().sha256 }, { id: 'acme', sha256: KEY.sha256, tenant: 'acme' }),
    );
    expect(principalOfKey(KEY.key, keys, Date.now())).toMatchObject({
      tenant: 'acme',
      user: 'acme',
      scopes: new Set(['transcribe', 'watch']),
      languages: undefined,
      expiresAt: undefined,
    });
  });

  it.each(['', 'tgk_', KEY.sha256, `${KEY.key}x`, KEY.key.toUpperCase()])('are refused when unknown: %j', (token) => {
    const keys = parseApiKeys(file({ id: 'acme', sha256: KEY.sha256 }));
    expect(() => principalOfKey(token, keys, 0)).toThrow('The API key is not known.');
  });

  it('end when the file says so', () => {
    const keys = parseApiKeys(file({ id: 'acme', sha256: KEY.sha256, expires: '2027-01-31T00:00:00Z' }));
    const end = Date.parse('2027-01-31T00:00:00Z');
    expect(principalOfKey(KEY.key, keys, end - 1).expiresAt).toBe(end);
    expect(() => principalOfKey(KEY.key, keys, end)).toThrow('expired');
  });

  it.each([
    ['what is no JSON', 'keys', /not JSON/],
    ['keys in clear', file({ id: 'a', key: 'secret', sha256: KEY.sha256 }), /"key"/],
    ['a hash of another kind', file({ id: 'a', sha256: 'abc' }), /keys.0.sha256: must be the SHA-256/],
    ['an unknown scope', file({ id: 'a', sha256: KEY.sha256, scopes: ['root'] }), /keys.0.scopes.0/],
    ['an id twice', file({ id: 'a', sha256: KEY.sha256 }, { id: 'a', sha256: KEY.sha256 }), /ids of their own/],
    ['a time without a zone', file({ id: 'a', sha256: KEY.sha256, expires: '2027-01-31' }), /2027-01-31T00:00:00Z/],
  ])('are not read from %s', (_, text, message) => {
    expect(() => parseApiKeys(text)).toThrow(message);
  });
});
