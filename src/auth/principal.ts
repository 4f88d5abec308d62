import { createHash } from 'node:crypto';
import { GatewayError } from '../errors.ts';

/** What a token permits: to speak, to read what others say, to operate the gateway. */
export const SCOPES = ['transcribe', 'watch', 'admin'] as const;
export type Scope = (typeof SCOPES)[number];

/** Limits that a token brings of its own; they replace the gateway's defaults. */
export interface OwnLimits {
  /** Sessions at a time of this user. */
  readonly sessions?: number | undefined;
  /** Longest session, in seconds of audio. */
  readonly sessionSeconds?: number | undefined;
  /** Audio of this user in a day, in seconds. */
  readonly dailySeconds?: number | undefined;
}

/** Who is behind a connection or a request, and what that permits. */
export interface Principal {
  /**
   * Issuer and subject, hashed: the same for every token of the same two. Sessions are bound to it, and it is what the
   * store holds of who they belong to.
   */
  readonly id: string;
  readonly tenant: string;
  /** Subject within the tenant. An identity: never logged. */
  readonly user: string;
  readonly scopes: ReadonlySet<Scope>;
  /** Languages that may be asked for; undefined for all. */
  readonly languages: ReadonlySet<string> | undefined;
  readonly limits: OwnLimits;
  /** When the right ends, in milliseconds of the epoch; undefined if it does not. */
  readonly expiresAt: number | undefined;
  /** Of a token that is good for one session at a time: its id. */
  readonly tokenId: string | undefined;
}

/** Hash of an identity for the store; 128 bits are more than accident or search can make collide. */
export function principalId(issuer: string, subject: string): string {
  // The length keeps the end of the one and the beginning of the other apart.
  return createHash('sha256').update(`${issuer.length}:${issuer}${subject}`).digest('base64url').slice(0, 22);
}

/** The tenant of those who bring none. */
export const DEFAULT_TENANT = 'default';

/** Where nobody is asked: everybody is the same, and may do everything but operate the gateway. */
export const ANONYMOUS: Principal = {
  id: 'anonymous',
  tenant: DEFAULT_TENANT,
  user: 'anonymous',
  scopes: new Set(['transcribe', 'watch']),
  languages: undefined,
  limits: {},
  expiresAt: undefined,
  tokenId: undefined,
};

/** @param tenants by name, or `*` for all; undefined for none */
export function isOfTenants({ tenant }: Principal, tenants: readonly string[] | undefined): boolean {
  return tenants?.some((one) => one === '*' || one === tenant) === true;
}

/** @throws GatewayError `forbidden`, naming the scope that is missing */
export function assertScope(principal: Principal, scope: Scope, event: string): void {
  if (principal.scopes.has(scope)) return;
  throw new GatewayError('forbidden', `${event}: the token lacks the scope "${scope}".`);
}

/** @throws GatewayError `forbidden`, listing the languages that the token permits */
export function assertLanguages(principal: Principal, languages: readonly string[], event: string): void {
  const { languages: allowed } = principal;
  if (allowed === undefined) return;
  const refused = languages.find((language) => !allowed.has(language));
  if (refused === undefined) return;
  throw new GatewayError('forbidden', `${event}: the token permits ${[...allowed].join(', ')} only, not ${refused}.`);
}
