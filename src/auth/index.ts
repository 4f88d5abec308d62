import type { Config } from '../config/schema.ts';
import { SETTINGS } from '../config/schema.ts';
import { GatewayError } from '../errors.ts';
import type { Logger } from '../log.ts';
import { WatchedFiles } from '../watched-files.ts';
import { ApiKeyAuthenticator } from './api-key-authenticator.ts';
import { parseApiKeys } from './api-keys.ts';
import type { Authenticator } from './authenticator.ts';
import { JwtAuthenticator, PUBLIC_KEY_ALGORITHMS, SECRET_ALGORITHMS } from './jwt.ts';
import { remoteKeys } from './key-set.ts';
import { ANONYMOUS } from './principal.ts';
import { TokenMint } from './token-mint.ts';

/** The door, and what makes tokens for it, if anything does. */
export interface Door {
  readonly authenticator: Authenticator;
  readonly mint: TokenMint | undefined;
}

/** @throws GatewayError with a message for the operator when the keys cannot be read */
export async function openDoor(config: Config, log: Logger): Promise<Door> {
  switch (config.auth) {
    case 'none':
      return { authenticator: { authenticate: async () => ANONYMOUS, close: () => undefined }, mint: undefined };
    case 'jwt':
      return { authenticator: new JwtAuthenticator(jwtOptions(config, log)), mint: undefined };
    case 'api_key': {
      const { apiKeysFile = '', tokenSecrets } = config;
      const mint = tokenSecrets === undefined ? undefined : new TokenMint(tokenSecrets);
      const keys = await WatchedFiles.open([apiKeysFile], {
        parse: ([text = '']) => parseApiKeys(text),
        changed: (error) => {
          if (error === undefined) log.info('the API keys were read again');
          else log.error({ err: error }, 'the file of the API keys is at fault; the keys read before stay in force');
        },
      }).catch((error: unknown) => {
        const reason = error instanceof Error ? error.message : String(error);
        const { variable } = SETTINGS.apiKeysFile;
        throw new GatewayError('internal', `${variable} names a file that cannot be used: ${reason}.`, {
          cause: error,
        });
      });
      return { authenticator: new ApiKeyAuthenticator(keys, mint), mint };
    }
  }
}

function jwtOptions(config: Config, log: Logger): ConstructorParameters<typeof JwtAuthenticator>[0] {
  const { jwtAudience, jwtClockToleranceMs, jwtIssuer, jwtJwksUrl, jwtRequiredClaims, jwtSecret, jwtTenantClaim } =
    config;
  const rules = {
    issuer: jwtIssuer,
    audience: jwtAudience,
    clockToleranceSeconds: jwtClockToleranceMs / 1000,
    requiredClaims: jwtRequiredClaims,
    tenantClaim: jwtTenantClaim,
    // Tokens of an issuer that knows no scopes are for speaking and reading.
    defaultScopes: ['transcribe', 'watch'] as const,
    // An issuer gives its tokens ids for reasons of its own.
    isForOneSession: false,
  };
  return jwtJwksUrl === undefined
    ? { ...rules, key: new TextEncoder().encode(jwtSecret), algorithms: SECRET_ALGORITHMS }
    : { ...rules, key: remoteKeys(jwtJwksUrl, log), algorithms: PUBLIC_KEY_ALGORITHMS };
}
