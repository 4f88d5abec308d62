import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import type { Socket } from 'socket.io';

type Transport = Socket['conn'];

/** How often it is looked whether a client has changed to its WebSocket, in milliseconds: no event tells that it failed. */
const UPGRADE_LOOK_MS = 10;

/**
 * Ends a client's connection as a network does, after all that was written to it, so that the client's library connects
 * anew by itself: Socket.IO's own packet for it, like Engine.IO's in the answer to a poll, says that the client is not
 * wanted any more, and apps that are told so stay away for good.
 * @param withinMs how long the client may take what waits for it, in milliseconds; what it has not taken then is lost
 */
export async function farewell(transport: Transport, withinMs: number): Promise<void> {
  const late = AbortSignal.timeout(Math.max(1, Math.round(withinMs)));
  const closed = once(transport, 'close');
  const isOpen = () => transport.readyState === 'open' && !late.aborted;
  // The libraries stop polling in the midst of the change. Cut off there, they notice nothing until their pings stay away.
  while (isOpen() && transport.upgrading) await Promise.race([closed, delay(UPGRADE_LOOK_MS)]);
  // A poll that waits shows that the client has what came before. It is answered with nothing, and the next one finds
  // its session unknown.
  while (isOpen() && transport.transport.name === 'polling') {
    if (transport.transport.writable) {
      transport.transport.send([{ type: 'noop' }]);
      transport.close(true);
      return;
    }
    await Promise.race([closed, once(transport.transport, 'ready', { signal: late }).catch(() => undefined)]);
  }
  // Waits by itself until what is written has been sent.
  if (isOpen()) transport.close();
  if (transport.readyState === 'closing' && !late.aborted) await Promise.race([closed, once(late, 'abort')]);
  transport.close(true);
}
