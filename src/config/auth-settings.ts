import { z } from 'zod';
import { httpUrl } from './aws-pool.ts';
import { parseOriginPattern } from './origin-pattern.ts';
import { integer, list, oneOf, setting, text } from './setting.ts';

export const AUTH_MODES = ['none', 'jwt', 'api_key'] as const;
const YES_OR_NO = ['yes', 'no'] as const;

/** As long as the hash that they are used with. */
const MIN_SECRET_CHARACTERS = 32;
const tooShort = `must have at least ${MIN_SECRET_CHARACTERS} characters`;
const secret = z.string().min(MIN_SECRET_CHARACTERS, tooShort);

/** Who may come in, and from where. */
export const AUTH_SETTINGS = {
  auth: setting<(typeof AUTH_MODES)[number]>({
    variable: 'GATEWAY_AUTH',
    schema: oneOf(AUTH_MODES),
    default: 'none',
    help: 'Who may come in: `none` asks nobody, `jwt` wants a signed token, `api_key` a key or what was minted for one.',
  }),
  authNoneInProduction: setting<(typeof YES_OR_NO)[number]>({
    variable: 'GATEWAY_AUTH_NONE_IN_PRODUCTION',
    schema: oneOf(YES_OR_NO),
    default: 'no',
    help: 'With `yes` the gateway also starts with NODE_ENV=production where nobody is asked.',
  }),
  jwtSecret: setting<string | undefined>({
    variable: 'GATEWAY_JWT_SECRET',
    secret: true,
    schema: secret,
    default: undefined,
    help: 'Secret that tokens are signed with (HS256). Either this or GATEWAY_JWT_JWKS_URL.',
  }),
  jwtJwksUrl: setting<string | undefined>({
    variable: 'GATEWAY_JWT_JWKS_URL',
    schema: httpUrl,
    default: undefined,
    help: 'URL of the public keys that tokens are signed with (RS, PS, ES, EdDSA). Needs GATEWAY_JWT_AUDIENCE.',
  }),
  jwtIssuer: setting<string | undefined>({
    variable: 'GATEWAY_JWT_ISSUER',
    schema: text,
    default: undefined,
    defaultText: 'any',
    help: 'What the claim `iss` of a token must say.',
  }),
  jwtAudience: setting<string | undefined>({
    variable: 'GATEWAY_JWT_AUDIENCE',
    schema: text,
    default: undefined,
    defaultText: 'any',
    help: 'What the claim `aud` of a token must say or list.',
  }),
  jwtClockToleranceMs: setting<number>({
    variable: 'GATEWAY_JWT_CLOCK_TOLERANCE_MS',
    schema: integer(0, 300_000),
    default: 5_000,
    unit: 'ms',
    help: 'By how much the clock of the issuer may differ.',
  }),
  jwtRequiredClaims: setting<readonly string[]>({
    variable: 'GATEWAY_JWT_REQUIRED_CLAIMS',
    schema: list,
    default: [],
    defaultText: '`exp` and `sub`',
    help: 'Claims that a token must have besides, with commas between them.',
  }),
  jwtTenantClaim: setting<string>({
    variable: 'GATEWAY_JWT_TENANT_CLAIM',
    schema: text,
    default: 'tenant',
    help: 'Claim that names the tenant; a token without it belongs to the tenant `default`.',
  }),
  apiKeysFile: setting<string | undefined>({
    variable: 'GATEWAY_API_KEYS_FILE',
    schema: text,
    default: undefined,
    help: 'JSON file with the hashes of the API keys; `transcribe-gateway api-key` makes its entries. Read again when it changes.',
  }),
  tokenSecrets: setting<readonly string[] | undefined>({
    variable: 'GATEWAY_TOKEN_SECRET',
    secret: true,
    schema: list.refine((secrets) => secrets.every((one) => one.length >= MIN_SECRET_CHARACTERS), tooShort),
    default: undefined,
    defaultText: 'none: POST /v1/tokens is off',
    help: 'Secret that minted tokens are signed with, the same on every gateway. Of several with commas between them the first signs and all are accepted.',
  }),
  tokenGraceMs: setting<number>({
    variable: 'GATEWAY_TOKEN_GRACE_MS',
    schema: integer(0, 3_600_000),
    default: 30_000,
    unit: 'ms',
    help: 'How long a session goes on after its token has expired, before it is stopped.',
  }),
  allowedOrigins: setting<readonly string[] | undefined>({
    variable: 'GATEWAY_ALLOWED_ORIGINS',
    schema: list.refine(
      (origins) => origins.every((origin) => origin === '*' || parseOriginPattern(origin) !== undefined),
      'must be origins such as https://app.example.com or https://*.example.com, with commas between them, or *',
    ),
    default: undefined,
    defaultText: 'every one, but none with NODE_ENV=production',
    help: 'Web origins whose pages may connect, besides that of the gateway itself. Native apps need none.',
  }),
  tlsCertFile: setting<string | undefined>({
    variable: 'GATEWAY_TLS_CERT_FILE',
    schema: text,
    default: undefined,
    defaultText: 'none: TLS ends in front of the gateway',
    help: 'PEM file of the certificate, with its chain, for TLS by the gateway itself; read again when it changes. Not with GATEWAY_WORKERS.',
  }),
  tlsKeyFile: setting<string | undefined>({
    variable: 'GATEWAY_TLS_KEY_FILE',
    schema: text,
    default: undefined,
    help: 'PEM file of its private key.',
  }),
} as const;
