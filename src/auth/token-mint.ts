import { createHash, randomUUID } from 'node:crypto';
import { SignJWT } from 'jose';
import { z } from 'zod';
import { GatewayError } from '../errors.ts';
import { type ClaimRules, ownLimits, principalOf } from './claims.ts';
import { SECRET_ALGORITHMS, verifiedClaims } from './jwt.ts';
import { type OwnLimits, type Principal, SCOPES } from './principal.ts';

/** Issuer and audience of our own tokens. */
const OURS = 'transcribe-gateway';
/** Pods of one installation have nearly the same time. */
const CLOCK_TOLERANCE_SECONDS = 5;
const RULES: ClaimRules = { tenantClaim: 'tenant', defaultScopes: [], isForOneSession: true };
const DEFAULT_TTL_SECONDS = 600;
const MAX_TTL_SECONDS = 3_600;

const requestFields = z.strictObject({
  /** Who will use it, in the words of whoever asks: sessions are bound to it. */
  user: z.string().min(1).max(200),
  scopes: z.array(z.enum(SCOPES)).min(1).default(['transcribe']),
  languages: z.array(z.string().max(100)).min(1).optional(),
  limits: ownLimits.default({}),
  ttl_seconds: z.int().min(30).max(MAX_TTL_SECONDS).default(DEFAULT_TTL_SECONDS),
});

export interface MintedToken {
  readonly token: string;
  readonly expiresInSeconds: number;
}

/** Makes and accepts our own short-lived tokens, for the apps of those who hold an API key. */
export class TokenMint {
  readonly #secrets: readonly Uint8Array[];

  /** @param secrets the first signs, all are accepted: a new one is put in front, and the old one taken away later */
  constructor(secrets: readonly string[]) {
    this.#secrets = secrets.map((secret) => createHash('sha256').update(secret).digest());
  }

  /**
   * A token for a user of the tenant that asks; it permits nothing that the asker's own does not.
   * @param body of the request, untrusted
   * @throws GatewayError `bad_request` naming the field, or `forbidden`
   */
  async mint(asker: Principal, body: unknown): Promise<MintedToken> {
    const parsed = requestFields.safeParse(body ?? {});
    if (!parsed.success) {
      const [issue] = parsed.error.issues;
      throw new GatewayError('bad_request', `${issue?.path.join('.') || 'body'}: ${issue?.message}.`);
    }
    const { languages = asker.languages && [...asker.languages], limits, scopes, ttl_seconds, user } = parsed.data;
    // What was minted mints nothing: its holder is a phone.
    if (asker.tokenId !== undefined) throw new GatewayError('forbidden', 'A minted token cannot mint others.');
    const excess =
      scopes.find((scope) => !asker.scopes.has(scope)) ??
      languages?.find((language) => asker.languages?.has(language) === false);
    if (excess !== undefined) throw new GatewayError('forbidden', `The API key does not permit "${excess}" itself.`);
    const [secret] = this.#secrets;
    if (secret === undefined) throw new TypeError('a mint without a secret');
    const now = Math.floor(Date.now() / 1000);
    const lasting = asker.expiresAt === undefined ? ttl_seconds : Math.floor(asker.expiresAt / 1000) - now;
    const expiresInSeconds = Math.min(ttl_seconds, lasting);
    const claims = { tenant: asker.tenant, scope: scopes.join(' '), limits: narrower(asker.limits, limits) };
    const token = await new SignJWT(languages === undefined ? claims : { ...claims, languages })
      .setProtectedHeader({ alg: 'HS256', typ: 'JWT' })
      // The tenant is part of the issuer: users of two tenants may have the same name.
      .setIssuer(issuerOf(asker.tenant))
      .setAudience(OURS)
      .setSubject(user)
      .setJti(randomUUID())
      .setIssuedAt(now)
      .setExpirationTime(now + expiresInSeconds)
      .sign(secret);
    return { token, expiresInSeconds };
  }

  /** @throws GatewayError `unauthorized` */
  async accept(token: string): Promise<Principal> {
    const rules = {
      algorithms: SECRET_ALGORITHMS,
      issuer: undefined,
      audience: OURS,
      clockToleranceSeconds: CLOCK_TOLERANCE_SECONDS,
      requiredClaims: ['jti', 'tenant', 'scope'],
    };
    const attempts = await Promise.allSettled(this.#secrets.map((key) => verifiedClaims(token, { ...rules, key })));
    for (const attempt of attempts) {
      if (attempt.status === 'fulfilled') {
        return principalOf({ ...attempt.value }, RULES);
      }
    }
    throw attempts.find((attempt) => attempt.status === 'rejected')?.reason;
  }
}

function issuerOf(tenant: string): string {
  return `${OURS}/${tenant}`;
}

function narrower(own: OwnLimits, asked: OwnLimits): OwnLimits {
  const least = (key: keyof OwnLimits) => {
    const both = [own[key], asked[key]].filter((value) => value !== undefined);
    return both.length === 0 ? {} : { [key]: Math.min(...both) };
  };
  return { ...least('sessions'), ...least('sessionSeconds'), ...least('dailySeconds') };
}
