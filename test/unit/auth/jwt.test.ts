import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { exportJWK, generateKeyPair, type JWK, SignJWT } from 'jose';
import { afterEach, describe, expect, it } from 'vitest';
import { JwtAuthenticator, type JwtOptions, PUBLIC_KEY_ALGORITHMS, SECRET_ALGORITHMS } from '../../../src/auth/jwt.ts';
import { remoteKeys } from '../../../src/auth/key-set.ts';
import { createLogger } from '../../../src/log.ts';

const SECRET = new TextEncoder().encode('a secret of more than thirty-two characters');
const RULES: JwtOptions = {
  key: SECRET,
  algorithms: SECRET_ALGORITHMS,
  issuer: 'https://issuer.example.com',
  audience: 'speech',
  clockToleranceSeconds: 5,
  requiredClaims: [],
  tenantClaim: 'tenant',
  defaultScopes: ['transcribe', 'watch'],
  isForOneSession: false,
};
const CLAIMS = { iss: 'https://issuer.example.com', aud: 'speech', sub: 'user-1', tenant: 'acme' };
const now = () => Math.floor(Date.now() / 1000);

function sign(
  claims: Record<string, unknown>,
  key: Parameters<SignJWT['sign']>[0] = SECRET,
  header = { alg: 'HS256' },
) {
  return new SignJWT({ exp: now() + 60, ...claims }).setProtectedHeader(header).sign(key);
}

const door = (more: Partial<JwtOptions> = {}) => new JwtAuthenticator({ ...RULES, ...more });

describe('a token signed with a secret', () => {
  it('tells who it is and what that permits', async () => {
    const exp = now() + 60;
    const token = await sign({
      ...CLAIMS,
      exp,
      scope: 'openid transcribe email',
      languages: ['en-US', 'de-DE'],
      limits: { sessions: 2, sessionSeconds: 3600 },
      jti: 'one',
    });
    expect(await door().authenticate(token)).toEqual({
      id: expect.stringMatching(/^[\w-]{22}$/),
      tenant: 'acme',
      user: 'user-1',
      scopes: new Set(['transcribe']),
      languages: new Set(['en-US', 'de-DE']),
      limits: { sessions: 2, sessionSeconds: 3600 },
      expiresAt: exp * 1000,
      // The id is the issuer's own affair.
      tokenId: undefined,
    });
  });

  it('is the same principal in another token of the same issuer and subject alone', async () => {
    const id = async (claims: object) =>
      (await door({ issuer: undefined }).authenticate(await sign({ ...CLAIMS, ...claims }))).id;
    const first = await id({});
    expect(await id({ exp: now() + 600, scope: 'watch' })).toBe(first);
    expect(await id({ sub: 'user-2' })).not.toBe(first);
    expect(await id({ iss: 'https://other.example.com' })).not.toBe(first);
  });

  it('without scope and tenant has the defaults', async () => {
    const { tenant: _, ...claims } = CLAIMS;
    expect(await door().authenticate(await sign(claims))).toMatchObject({
      tenant: 'default',
      scopes: new Set(['transcribe', 'watch']),
      languages: undefined,
    });
  });

  it.each<[string, Record<string, unknown>, RegExp]>([
    ['that has expired', { exp: now() - 6 }, /expired/],
    ['that begins later', { nbf: now() + 60 }, /claim "nbf"/],
    ['of another issuer', { iss: 'https://evil.example.com' }, /claim "iss"/],
    ['for another application', { aud: 'mail' }, /claim "aud"/],
    ['without a subject', { sub: undefined }, /claim "sub" is missing/],
    ['without an end', { exp: undefined }, /claim "exp" is missing/],
    ['with limits that are none', { limits: { sessions: -1 } }, /claim "limits.sessions"/],
    ['with limits that nobody knows', { limits: { session: 1 } }, /claim "limits"/],
    ['with a tenant that is no text', { tenant: { id: 1 } }, /claim "tenant"/],
    ['with an endless subject', { sub: 'x'.repeat(1000) }, /claim "sub"/],
  ])('%s is refused', async (_, claims, message) => {
    const token = await sign({ ...CLAIMS, ...claims });
    await expect(door().authenticate(token)).rejects.toMatchObject({
      code: 'unauthorized',
      retryable: false,
      message: expect.stringMatching(message),
    });
  });

  it('may be late by the tolerance of the clocks', async () => {
    await door().authenticate(await sign({ ...CLAIMS, exp: now() - 3 }));
  });

  it('needs the claims that the operator requires', async () => {
    const strict = door({ requiredClaims: ['email'] });
    await expect(strict.authenticate(await sign(CLAIMS))).rejects.toThrow('claim "email" is missing');
    await strict.authenticate(await sign({ ...CLAIMS, email: 'a@b.c' }));
  });

  it.each([
    ['nothing', undefined, /token is needed/],
    ['an empty text', '', /must be a signed JWT/],
    ['what is no JWT', 'a.b.c', /must be a signed JWT/],
    [
      'an unsigned one',
      `${btoa('{"alg":"none"}')}.${btoa('{"sub":"a","exp":9999999999}')}.`.replaceAll('=', ''),
      /algorithm/,
    ],
  ])('%s is refused', async (_, token, message) => {
    await expect(door().authenticate(token)).rejects.toMatchObject({
      code: 'unauthorized',
      message: expect.stringMatching(message),
    });
  });

  it('of another secret is refused', async () => {
    const token = await sign(CLAIMS, new TextEncoder().encode('another secret of more than thirty-two'));
    await expect(door().authenticate(token)).rejects.toThrow('signature');
  });
});

/** An issuer that publishes its keys. */
class Issuer {
  readonly keys: JWK[] = [];
  fetches = 0;
  isAway = false;
  readonly #server: Server = createServer((_, response) => {
    this.fetches += 1;
    if (this.isAway) response.writeHead(503).end();
    else response.setHeader('content-type', 'application/json').end(JSON.stringify({ keys: this.keys }));
  });

  async listen(): Promise<string> {
    await once(this.#server.listen(0, '127.0.0.1'), 'listening');
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/jwks.json`;
  }

  async addKey(kid: string, alg = 'ES256') {
    const { privateKey, publicKey } = await generateKeyPair(alg);
    this.keys.push({ ...(await exportJWK(publicKey)), kid, alg });
    return (claims: Record<string, unknown> = CLAIMS) =>
      new SignJWT({ exp: now() + 60, ...claims }).setProtectedHeader({ alg, kid }).sign(privateKey);
  }

  close(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }
}

describe('a token signed with a published key', () => {
  const issuers: Issuer[] = [];
  afterEach(() => {
    for (const issuer of issuers.splice(0)) issuer.close();
  });

  async function issuerAndDoor() {
    const issuer = new Issuer();
    issuers.push(issuer);
    const key = remoteKeys(await issuer.listen(), createLogger('silent'));
    return { issuer, one: door({ key, algorithms: PUBLIC_KEY_ALGORITHMS }) };
  }

  it.each(['RS256', 'PS256', 'ES256', 'ES384', 'EdDSA'])('is accepted with %s', async (alg) => {
    const { issuer, one } = await issuerAndDoor();
    const token = await (await issuer.addKey('k1', alg))();
    expect(await one.authenticate(token)).toMatchObject({ user: 'user-1' });
  });

  it('has its keys fetched once for many', async () => {
    const { issuer, one } = await issuerAndDoor();
    const signed = await issuer.addKey('k1');
    for (let n = 0; n < 5; n++) await one.authenticate(await signed());
    expect(issuer.fetches).toBe(1);
  });

  it('of an unknown key is refused, without asking the issuer for each', async () => {
    const { issuer, one } = await issuerAndDoor();
    await one.authenticate(await (await issuer.addKey('k1'))());
    const stranger = await new Issuer().addKey('k9');
    for (let n = 0; n < 5; n++) await expect(one.authenticate(await stranger())).rejects.toThrow('unknown key');
    expect(issuer.fetches).toBeLessThanOrEqual(2);
  });

  it('is still known while the issuer is away', async () => {
    const { issuer, one } = await issuerAndDoor();
    const signed = await issuer.addKey('k1');
    await one.authenticate(await signed());
    issuer.isAway = true;
    await one.authenticate(await signed());
  });

  it('cannot be judged before the issuer was ever reached, which is not its fault', async () => {
    const { issuer, one } = await issuerAndDoor();
    const signed = await issuer.addKey('k1');
    issuer.isAway = true;
    await expect(one.authenticate(await signed())).rejects.toMatchObject({
      code: 'unauthorized',
      retryable: true,
      retryAfterMs: 2000,
    });
  });

  it('is refused when it uses the public key as a secret', async () => {
    const { issuer, one } = await issuerAndDoor();
    await one.authenticate(await (await issuer.addKey('k1'))());
    const bytes = new TextEncoder().encode(JSON.stringify(issuer.keys[0]));
    const forged = await new SignJWT({ exp: now() + 60, ...CLAIMS })
      .setProtectedHeader({ alg: 'HS256', kid: 'k1' })
      .sign(bytes);
    await expect(one.authenticate(forged)).rejects.toThrow('algorithm');
  });
});
