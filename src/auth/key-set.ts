import { createLocalJWKSet, createRemoteJWKSet, errors, type JWTVerifyGetKey } from 'jose';
import { GatewayError } from '../errors.ts';
import type { Logger } from '../log.ts';

/** How long keys are used before they are fetched again, in milliseconds. A new key is found sooner: see `COOLDOWN_MS`. */
const MAX_AGE_MS = 600_000;
/** A token with an unknown key makes the keys be fetched again, but not more often than this, in milliseconds. */
const COOLDOWN_MS = 10_000;
/** Longest wait for the keys, in milliseconds; handshakes wait with it. */
const FETCH_TIMEOUT_MS = 3_000;
/** What a client is told to wait when there are no keys at all, in milliseconds. */
const RETRY_AFTER_MS = 2_000;

/**
 * The public keys of an issuer. They are kept over an outage of their address: that nobody can say at the moment whether
 * a key has been withdrawn is no reason to turn every user away.
 *
 * @param url of a JWKS document
 */
export function remoteKeys(url: string, log: Logger): JWTVerifyGetKey {
  const remote = createRemoteJWKSet(new URL(url), {
    cacheMaxAge: MAX_AGE_MS,
    cooldownDuration: COOLDOWN_MS,
    timeoutDuration: FETCH_TIMEOUT_MS,
  });
  let failedAt = Number.NEGATIVE_INFINITY;
  return async (header, token) => {
    const isAway = performance.now() - failedAt < COOLDOWN_MS;
    try {
      if (!isAway) return await remote(header, token);
    } catch (error) {
      if (error instanceof errors.JWKSNoMatchingKey || error instanceof errors.JWKSMultipleMatchingKeys) throw error;
      failedAt = performance.now();
      log.warn({ err: error }, 'the keys for tokens cannot be fetched');
    }
    const kept = remote.jwks();
    if (kept !== undefined) return createLocalJWKSet(kept)(header, token);
    throw new GatewayError('unauthorized', 'The keys for tokens cannot be fetched at the moment.', {
      retryable: true,
      retryAfterMs: RETRY_AFTER_MS,
    });
  };
}
