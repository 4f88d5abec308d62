import { decodeJwt, SignJWT } from 'jose';
import { describe, expect, it } from 'vitest';
import { newApiKey, parseApiKeys, principalOfKey } from '../../../src/auth/api-keys.ts';
import { TokenMint } from '../../../src/auth/token-mint.ts';

const SECRETS = ['the first secret of more than thirty-two', 'the second secret of more than thirty-two'] as const;

function asker(more: object = {}) {
  const { key, sha256 } = newApiKey();
  return principalOfKey(
    key,
    parseApiKeys(JSON.stringify({ keys: [{ id: 'acme', sha256, tenant: 'acme', ...more }] })),
    Date.now(),
  );
}

describe('minted tokens', () => {
  const mint = new TokenMint([SECRETS[0]]);

  it('are of a user of the tenant, short-lived, for speaking unless asked otherwise', async () => {
    const { expiresInSeconds, token } = await mint.mint(asker(), { user: 'ann' });
    expect(expiresInSeconds).toBe(600);
    const ann = await mint.accept(token);
    expect(ann).toMatchObject({ tenant: 'acme', user: 'ann', scopes: new Set(['transcribe']), languages: undefined });
    expect(ann.expiresAt).toBeGreaterThan(Date.now() + 590_000);
    expect(ann.tokenId).toMatch(/^[\da-f-]{36}$/);
  });

  it('are of the same principal for the same user of the same tenant, whatever key asked', async () => {
    const idOf = async (who: object, user: string) =>
      (await mint.accept((await mint.mint(asker(who), { user })).token)).id;
    const ann = await idOf({}, 'ann');
    expect(await idOf({ id: 'acme-new-key' }, 'ann')).toBe(ann);
    expect(await idOf({ tenant: 'other' }, 'ann')).not.toBe(ann);
    expect(await idOf({}, 'bob')).not.toBe(ann);
  });

  it('permit no more than their key', async () => {
    const narrow = asker({ scopes: ['transcribe'], languages: ['en-US'], limits: { sessions: 2, dailySeconds: 100 } });
    const refused = (body: object) => expect(mint.mint(narrow, { user: 'ann', ...body })).rejects;
    await refused({ scopes: ['watch'] }).toMatchObject({
      code: 'forbidden',
      message: expect.stringContaining('"watch"'),
    });
    await refused({ languages: ['de-DE'] }).toMatchObject({ code: 'forbidden' });
    const { token } = await mint.mint(narrow, { user: 'ann', limits: { sessions: 5, sessionSeconds: 60 } });
    expect(await mint.accept(token)).toMatchObject({
      languages: new Set(['en-US']),
      limits: { sessions: 2, dailySeconds: 100, sessionSeconds: 60 },
    });
  });

  it('end with their key at the latest', async () => {
    const soon = asker({ expires: new Date(Date.now() + 100_000).toISOString() });
    const { expiresInSeconds } = await mint.mint(soon, { user: 'ann' });
    expect(expiresInSeconds).toBeLessThanOrEqual(100);
  });

  it('mint no others', async () => {
    const ann = await mint.accept((await mint.mint(asker(), { user: 'ann' })).token);
    await expect(mint.mint(ann, { user: 'bob' })).rejects.toMatchObject({ code: 'forbidden' });
  });

  it.each([
    [undefined, 'user'],
    [{}, 'user'],
    [{ user: 7 }, 'user'],
    [{ user: 'ann', ttl_seconds: 1e6 }, 'ttl_seconds'],
    [{ user: 'ann', admin: true }, 'admin'],
    [{ user: 'ann', scopes: ['root'] }, 'scopes.0'],
    ['ann', 'body'],
  ])('are not made for %j', async (body, field) => {
    await expect(mint.mint(asker(), body)).rejects.toMatchObject({
      code: 'bad_request',
      message: expect.stringContaining(field),
    });
  });

  it('are accepted while their secret is one of several, and not after', async () => {
    const { token } = await mint.mint(asker(), { user: 'ann' });
    await new TokenMint([SECRETS[1], SECRETS[0]]).accept(token);
    await expect(new TokenMint([SECRETS[1]]).accept(token)).rejects.toMatchObject({ code: 'unauthorized' });
  });

  it('are told from others that are signed with the same secret', async () => {
    const { token } = await mint.mint(asker(), { user: 'ann' });
    const { aud: _, ...claims } = decodeJwt(token);
    const foreign = await new SignJWT(claims)
      .setProtectedHeader({ alg: 'HS256' })
      .sign(new TextEncoder().encode(SECRETS[0]));
    await expect(mint.accept(foreign)).rejects.toMatchObject({ code: 'unauthorized' });
  });
});
