import type { FastifyRequest } from 'fastify';
import type { Authenticator } from '../auth/authenticator.ts';
import { bearerToken } from '../auth/bearer.ts';
import { assertScope, type Principal, type Scope } from '../auth/principal.ts';
import type { DoorLimits } from '../limits/door-limits.ts';
import { countedAddress } from '../socket/client-address.ts';

export interface AskerOptions {
  readonly authenticator: Authenticator;
  readonly doors: DoorLimits;
  /** See `countedAddress`. */
  readonly trustedProxies: number;
}

/**
 * Who makes a request, and may.
 * @throws GatewayError `unauthorized`, `forbidden`, or `rate_exceeded` for an address that guesses
 */
export type FindAsker = (request: FastifyRequest, scope: Scope) => Promise<Principal>;

export function findAskerBy({ authenticator, doors, trustedProxies }: AskerOptions): FindAsker {
  return async ({ headers, method, routeOptions, socket }, scope) => {
    const forwardedFor = headers['x-forwarded-for']?.toString();
    const address = countedAddress(socket.remoteAddress, forwardedFor, trustedProxies);
    const token = bearerToken(headers.authorization);
    const asker = await doors.authenticate(address, () => authenticator.authenticate(token));
    assertScope(asker, scope, `${method} ${routeOptions.url}`);
    return asker;
  };
}
