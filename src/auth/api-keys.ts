import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import { z } from 'zod';
import { GatewayError } from '../errors.ts';
import { ownLimits } from './claims.ts';
import { DEFAULT_TENANT, type Principal, principalId, SCOPES } from './principal.ts';

/** Issuer in the name of principals that an API key stands for. */
const ISSUER = 'api-key';
/** Keys of one gateway at most: each handshake is compared with all of them. */
const MAX_KEYS = 1_000;

const keyFields = z.strictObject({
  id: z.string().regex(/^[\w.-]{1,64}$/, 'must be letters, digits, dots, hyphens or underscores'),
  sha256: z
    .string()
    .regex(/^[0-9a-f]{64}$/, 'must be the SHA-256 of the key in lower-case hexadecimal')
    .transform((hex) => Buffer.from(hex, 'hex')),
  tenant: z.string().min(1).max(200).default(DEFAULT_TENANT),
  scopes: z.array(z.enum(SCOPES)).min(1).default(['transcribe', 'watch']),
  languages: z.array(z.string().max(100)).min(1).optional(),
  limits: ownLimits.default({}),
  expires: z.iso
    .datetime({ offset: true, error: 'must be a time such as 2027-01-31T00:00:00Z' })
    .transform((text) => Date.parse(text))
    .optional(),
});

const fileFields = z.strictObject({
  keys: z
    .array(keyFields)
    .max(MAX_KEYS)
    .refine((keys) => new Set(keys.map(({ id }) => id)).size === keys.length, 'must have ids of their own'),
});

/** One key as the file has it; the key itself is nowhere. */
export type ApiKey = z.output<typeof keyFields>;

/** @throws Error that names each fault, for the operator */
export function parseApiKeys(text: string): readonly ApiKey[] {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw new Error('is not JSON', { cause: error });
  }
  const parsed = fileFields.safeParse(json);
  if (parsed.success) return parsed.data.keys;
  throw new Error(parsed.error.issues.map(({ message, path }) => `${path.join('.') || 'it'}: ${message}`).join('; '));
}

/**
 * The principal of a key. All keys are compared, each in constant time, so that how long it takes tells nothing.
 * @param now in milliseconds of the epoch
 * @throws GatewayError `unauthorized`
 */
export function principalOfKey(token: string, keys: readonly ApiKey[], now: number): Principal {
  const hash = sha256(token);
  let found: ApiKey | undefined;
  for (const key of keys) if (timingSafeEqual(key.sha256, hash)) found = key;
  if (found === undefined) throw new GatewayError('unauthorized', 'The API key is not known.');
  if (found.expires !== undefined && found.expires <= now) {
    throw new GatewayError('unauthorized', 'The API key has expired.');
  }
  const { expires, id, languages, limits, scopes, tenant } = found;
  return {
    id: principalId(ISSUER, id),
    tenant,
    user: id,
    scopes: new Set(scopes),
    languages: languages === undefined ? undefined : new Set(languages),
    limits,
    expiresAt: expires,
    tokenId: undefined,
  };
}

/** A new key of 256 random bits, and its hash for the file. */
export function newApiKey(): { readonly key: string; readonly sha256: string } {
  const key = `tgk_${randomBytes(32).toString('base64url')}`;
  return { key, sha256: sha256(key).toString('hex') };
}

/** A plain hash will do: keys are random and long, so that there is nothing to guess from. */
function sha256(token: string): Buffer {
  return createHash('sha256').update(token).digest();
}
