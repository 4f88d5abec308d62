import type { Socket } from 'socket.io';
import type { ProtocolVersion } from '../protocol/events.ts';
import { clientAddress } from './client-address.ts';

/** Who connects and how, read from the Socket.IO handshake. */
export interface Caller {
  readonly protocol: ProtocolVersion;
  /** Issuer and subject. There is no authentication yet, so that everybody is the same. */
  readonly principal: string;
  /** IP address of the client; undefined if its connection is gone already. */
  readonly address: string | undefined;
}

type Handshake = Pick<Socket['handshake'], 'auth' | 'query' | 'headers' | 'address'>;

/**
 * A client declares version 2 in `auth.protocol` or in the query; every other client gets version 1.
 * @param trustedProxies see `clientAddress`
 */
export function readHandshake(handshake: Handshake, trustedProxies: number): Caller {
  const declared: unknown = handshake.auth.protocol ?? handshake.query.protocol;
  // Compared without conversion: what a client sends may throw when it is made into a text.
  const forwardedFor = handshake.headers['x-forwarded-for'];
  return {
    protocol: declared === 2 || declared === '2' ? 2 : 1,
    principal: 'anonymous',
    address: clientAddress(handshake.address, forwardedFor?.toString(), trustedProxies),
  };
}
