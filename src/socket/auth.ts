import type { Socket } from 'socket.io';
import type { ProtocolVersion } from '../protocol/events.ts';

/** Who connects and how, read from the Socket.IO handshake. */
export interface Caller {
  readonly protocol: ProtocolVersion;
  /** Issuer and subject. There is no authentication yet, so that everybody is the same. */
  readonly principal: string;
}

/** A client declares version 2 in `auth.protocol` or in the query; every other client gets version 1. */
export function readHandshake(handshake: Pick<Socket['handshake'], 'auth' | 'query'>): Caller {
  const declared: unknown = handshake.auth.protocol ?? handshake.query.protocol;
  // Compared without conversion: what a client sends may throw when it is made into a text.
  return { protocol: declared === 2 || declared === '2' ? 2 : 1, principal: 'anonymous' };
}
