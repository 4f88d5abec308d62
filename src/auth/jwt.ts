import { errors, type JWTPayload, type JWTVerifyGetKey, type JWTVerifyOptions, jwtVerify } from 'jose';
import { GatewayError } from '../errors.ts';
import type { Authenticator } from './authenticator.ts';
import { type ClaimRules, principalOf } from './claims.ts';
import type { Principal } from './principal.ts';

/** For a shared secret. */
export const SECRET_ALGORITHMS = ['HS256'];
/** For public keys. Never both kinds for one key: a public key must not pass for a secret. */
export const PUBLIC_KEY_ALGORITHMS = [
  ...['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'],
  ...['ES256', 'ES384', 'ES512', 'EdDSA', 'Ed25519'],
];

export interface JwtOptions extends ClaimRules {
  readonly key: Uint8Array | JWTVerifyGetKey;
  readonly algorithms: string[];
  readonly issuer: string | undefined;
  readonly audience: string | undefined;
  /** Seconds by which clocks may differ. */
  readonly clockToleranceSeconds: number;
  /** Claims that must be there, whatever they say. */
  readonly requiredClaims: readonly string[];
}

/** Accepts tokens that somebody else has signed. */
export class JwtAuthenticator implements Authenticator {
  readonly #options: JwtOptions;

  constructor(options: JwtOptions) {
    this.#options = options;
  }

  async authenticate(token: string | undefined): Promise<Principal> {
    return principalOf(await verifiedClaims(token, this.#options), this.#options);
  }

  close(): void {
    // The keys are fetched on demand.
  }
}

/** @throws GatewayError `unauthorized` that says what is wrong with the token, to whoever made it */
export async function verifiedClaims(
  token: string | undefined,
  { algorithms, audience, clockToleranceSeconds, issuer, key, requiredClaims }: Omit<JwtOptions, keyof ClaimRules>,
): Promise<JWTPayload> {
  if (token === undefined) throw missingToken();
  const rules: JWTVerifyOptions = {
    algorithms,
    clockTolerance: clockToleranceSeconds,
    // A token without an end would be a password, and without a subject nobody's.
    requiredClaims: ['exp', 'sub', ...requiredClaims],
    ...(issuer !== undefined && { issuer }),
    ...(audience !== undefined && { audience }),
  };
  try {
    const { payload } =
      typeof key === 'function' ? await jwtVerify(token, key, rules) : await jwtVerify(token, key, rules);
    return payload;
  } catch (error) {
    if (error instanceof GatewayError) throw error;
    throw new GatewayError('unauthorized', reasonOf(error), { cause: error });
  }
}

export function missingToken(): GatewayError {
  return new GatewayError(
    'unauthorized',
    'A token is needed: auth.token of the handshake, or the header Authorization: Bearer.',
  );
}

function reasonOf(error: unknown): string {
  if (error instanceof errors.JWTExpired) return 'The token has expired.';
  if (error instanceof errors.JWTClaimValidationFailed) {
    return `The token's claim "${error.claim}" is ${error.reason === 'missing' ? 'missing' : 'not as required'}.`;
  }
  if (error instanceof errors.JWSSignatureVerificationFailed) return 'The signature of the token does not fit.';
  if (error instanceof errors.JOSEAlgNotAllowed) return 'The token is signed with an algorithm that is not accepted.';
  if (error instanceof errors.JWKSNoMatchingKey) return 'The token is signed with an unknown key.';
  return 'The token cannot be read: it must be a signed JWT.';
}
