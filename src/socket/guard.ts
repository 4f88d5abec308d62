import type { Socket } from 'socket.io';
import type { Authenticator } from '../auth/authenticator.ts';
import { type GatewayError, toGatewayError } from '../errors.ts';
import type { Logger } from '../log.ts';
import type { Metrics } from '../metrics/metrics.ts';
import { type Caller, readHandshake } from './auth.ts';
import { Presenter } from './presenter.ts';

interface GuardOptions {
  readonly authenticator: Authenticator;
  /** See `clientAddress`. */
  readonly trustedProxies: number;
  readonly metrics: Metrics;
  readonly log: Logger;
}

type Handshake = Pick<Socket, 'id' | 'handshake'> & { data: { caller?: Caller } };

/** Asks every client who it is before it is served. What it says is found in `data.caller` of the socket. */
export function guard({ authenticator, log, metrics, trustedProxies }: GuardOptions) {
  return (socket: Handshake, next: (error?: Error) => void): void => {
    const { address, protocol, token } = readHandshake(socket.handshake, trustedProxies);
    authenticator.authenticate(token).then(
      (principal) => {
        socket.data.caller = { protocol, address, principal };
        next();
      },
      (thrown: unknown) => {
        const error = toGatewayError(thrown);
        if (error.code === 'internal') log.error({ err: thrown, connection_id: socket.id }, 'internal fault');
        metrics.errorsTotal.inc({ code: error.code });
        next(refusal(error, protocol === 2 ? new Presenter(2, socket.id) : undefined));
      },
    );
  };
}

/** Socket.IO sends the message, and with it `data`, which version 1 does not know. */
function refusal(error: GatewayError, presenter: Presenter | undefined): Error {
  const refused = new Error(error.message);
  return presenter === undefined ? refused : Object.assign(refused, { data: presenter.error(error, undefined) });
}
