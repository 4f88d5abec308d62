import type { Socket } from 'socket.io';
import type { Authenticator } from '../auth/authenticator.ts';
import { type GatewayError, toGatewayError } from '../errors.ts';
import type { DoorLimits } from '../limits/door-limits.ts';
import type { Place } from '../limits/lease-keeper.ts';
import type { Logger } from '../log.ts';
import type { Metrics } from '../metrics/metrics.ts';
import type { ErrorCode } from '../protocol/error-codes.ts';
import { type Caller, readHandshake } from './auth.ts';
import { Presenter } from './presenter.ts';

interface GuardOptions {
  readonly authenticator: Authenticator;
  readonly doors: DoorLimits;
  /** See `clientAddress`. */
  readonly trustedProxies: number;
  readonly metrics: Metrics;
  readonly log: Logger;
}

type Handshake = Pick<Socket, 'id' | 'handshake' | 'conn' | 'once'> & { data: { caller?: Caller } };

/**
 * Asks every client who it is before it is served; what it says is found in `data.caller` of the socket. One whose address
 * has too much already is not even asked.
 */
export function guard({ authenticator, doors, log, metrics, trustedProxies }: GuardOptions) {
  const admit = async (socket: Handshake, { token, ...manner }: ReturnType<typeof readHandshake>): Promise<void> => {
    const leave = leaving(socket, await doors.enter(manner.countedAddress, socket.id));
    try {
      const principal = await doors.authenticate(manner.countedAddress, () => authenticator.authenticate(token));
      socket.data.caller = { ...manner, principal };
    } catch (error) {
      leave();
      throw error;
    }
  };
  return (socket: Handshake, next: (error?: Error) => void): void => {
    const handshake = readHandshake(socket.handshake, trustedProxies);
    const timed = metrics.handshakeSeconds.startTimer();
    admit(socket, handshake).then(
      () => {
        timed();
        next();
      },
      (thrown: unknown) => {
        timed();
        const error = toGatewayError(thrown);
        if (error.code === 'internal') log.error({ err: thrown, connection_id: socket.id }, 'internal fault');
        countRefusal(metrics, error.code);
        next(refusal(error, handshake.protocol === 2 ? new Presenter(2, socket.id) : undefined));
      },
    );
  };
}

/** Gives the place of a connection back when that is gone, or is not served after all: then call what is returned. */
function leaving(socket: Handshake, place: Place | undefined): () => void {
  if (place === undefined) return () => undefined;
  const leave = () => {
    socket.conn.off('close', leave);
    place.release();
  };
  // Of a socket that is not served yet only the transport says that it is gone; of one among several, only the socket.
  socket.conn.once('close', leave);
  socket.once('disconnect', leave);
  if (socket.conn.readyState === 'closed') leave();
  return leave;
}

/** Socket.IO sends the message, and with it `data`, which version 1 does not know. */
function refusal(error: GatewayError, presenter: Presenter | undefined): Error {
  const refused = new Error(error.message);
  return presenter === undefined ? refused : Object.assign(refused, { data: presenter.error(error, undefined) });
}

/** A connection was refused. */
export function countRefusal(metrics: Pick<Metrics, 'errorsTotal' | 'connectionRefusalsTotal'>, code: ErrorCode): void {
  metrics.errorsTotal.inc({ code });
  metrics.connectionRefusalsTotal.inc({ code });
}
