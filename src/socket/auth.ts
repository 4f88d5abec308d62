import type { Socket } from 'socket.io';
import { bearerToken } from '../auth/bearer.ts';
import type { Principal } from '../auth/principal.ts';
import type { ProtocolVersion } from '../protocol/events.ts';
import { MAX_TOKEN_CHARACTERS } from '../protocol/token-refresh.ts';
import { clientAddress, countedAddress } from './client-address.ts';

/** How somebody connects. */
interface Manner {
  readonly protocol: ProtocolVersion;
  /** IP address of the client; undefined if its connection is gone already. */
  readonly address: string | undefined;
  /** What its limits go by; see `countedAddress`. */
  readonly countedAddress: string | undefined;
}

/** Who connects and how. */
export interface Caller extends Manner {
  readonly principal: Principal;
}

type Handshake = Pick<Socket['handshake'], 'auth' | 'query' | 'headers' | 'address'>;

/**
 * Reads the Socket.IO handshake. A token comes in `auth.token`, which every client can send, or in a header; one in the
 * query would be in the log of every proxy.
 *
 * A client declares version 2 in `auth.protocol` or in the query; every other client gets version 1.
 * @param trustedProxies see `clientAddress`
 */
export function readHandshake(handshake: Handshake, trustedProxies: number): Manner & { token: string | undefined } {
  const declared: unknown = handshake.auth.protocol ?? handshake.query.protocol;
  // Compared without conversion: what a client sends may throw when it is made into a text.
  const forwardedFor = handshake.headers['x-forwarded-for']?.toString();
  return {
    protocol: declared === 2 || declared === '2' ? 2 : 1,
    token: tokenOf(handshake),
    address: clientAddress(handshake.address, forwardedFor, trustedProxies),
    countedAddress: countedAddress(handshake.address, forwardedFor, trustedProxies),
  };
}

function tokenOf({ auth, headers }: Handshake): string | undefined {
  const token: unknown = auth.token ?? bearerToken(headers.authorization);
  return typeof token === 'string' && token.length <= MAX_TOKEN_CHARACTERS ? token : undefined;
}
