import { afterEach, describe, expect, it, vi } from 'vitest';
import { parseApiKeys, principalOfKey } from '../../../src/auth/api-keys.ts';
import { apiKey } from '../../../src/cli/api-key.ts';

const NOTHING = { scope: undefined, language: undefined, expires: undefined };

afterEach(() => vi.restoreAllMocks());

describe('api-key', () => {
  it('prints an entry for the file, and apart from it the key', () => {
    const printed = vi.spyOn(console, 'log').mockImplementation(() => undefined);
    const shown = vi.spyOn(console, 'error').mockImplementation(() => undefined);
    expect(apiKey({ ...NOTHING, id: 'back-end', tenant: 'acme', scope: ['watch'] })).toBe(0);
    const entry = String(printed.mock.calls[0]?.[0]);
    const [key = ''] = /tgk_\S+/.exec(String(shown.mock.calls[0]?.[0])) ?? [];
    expect(entry).not.toContain(key);
    const keys = parseApiKeys(`{"keys": [${entry}]}`);
    expect(principalOfKey(key, keys, Date.now())).toMatchObject({ tenant: 'acme', scopes: new Set(['watch']) });
  });

  it.each([
    [{ id: 'a b' }, /^id: must be letters/],
    [{ id: 'a', scope: ['root'] }, /^scopes\.0: /],
    [{ id: 'a', expires: 'tomorrow' }, /^expires: must be a time such as/],
  ])('refuses %j', (more, message) => {
    const shown = vi.spyOn(console, 'error').mockImplementation(() => undefined);
    expect(apiKey({ ...NOTHING, tenant: 'acme', ...more })).toBe(2);
    expect(shown.mock.calls[0]?.[0]).toMatch(message);
  });
});
