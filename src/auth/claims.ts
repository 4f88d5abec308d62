import { z } from 'zod';
import { GatewayError } from '../errors.ts';
import { DEFAULT_TENANT, type Principal, principalId, SCOPES, type Scope } from './principal.ts';

/** Longest texts that are taken from a token: they become keys of the store. */
const name = z.string().min(1).max(200);
const positive = z.number().positive().max(1e9);

export const ownLimits = z.strictObject({
  sessions: positive.int().optional(),
  sessionSeconds: positive.optional(),
  dailySeconds: positive.optional(),
});

/** A list of texts, or one text with spaces between them as `scope` of OAuth has it. */
const words = z.union([
  z.array(z.string().max(100)).max(100),
  z
    .string()
    .max(2_000)
    .transform((text) => text.split(' ')),
]);

const claimFields = z.object({
  iss: name.optional(),
  sub: name,
  jti: name.optional(),
  exp: z.number(),
  scope: words.optional(),
  languages: words.optional(),
  limits: ownLimits.optional(),
});

export interface ClaimRules {
  /** Name of the claim that holds the tenant. */
  readonly tenantClaim: string;
  /** What a token without `scope` permits. */
  readonly defaultScopes: readonly Scope[];
  /** The id of a token is that of the one session that it is good for at a time. */
  readonly isForOneSession: boolean;
}

/**
 * Whose a verified token is and what it permits.
 * @throws GatewayError `unauthorized`, naming the claim that cannot be understood
 */
export function principalOf(claims: Record<string, unknown>, rules: ClaimRules): Principal {
  const parsed = claimFields.safeParse(claims);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw new GatewayError('unauthorized', `The token's claim "${issue?.path.join('.')}": ${issue?.message}.`);
  }
  const { exp, iss = '', jti, languages, limits = {}, scope, sub } = parsed.data;
  const tenant = name.safeParse(claims[rules.tenantClaim] ?? DEFAULT_TENANT);
  if (!tenant.success) {
    throw new GatewayError('unauthorized', `The token's claim "${rules.tenantClaim}" must be a text.`);
  }
  // Scopes that mean something to others are in the same token.
  const scopes = scope === undefined ? rules.defaultScopes : SCOPES.filter((one) => scope.includes(one));
  return {
    id: principalId(iss, sub),
    tenant: tenant.data,
    user: sub,
    scopes: new Set(scopes),
    languages: languages === undefined ? undefined : new Set(languages),
    limits,
    expiresAt: exp * 1000,
    tokenId: rules.isForOneSession ? jti : undefined,
  };
}
