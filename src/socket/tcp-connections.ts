import type { Server } from 'node:http';
import type { Socket } from 'node:net';

/** How often what waits for clients is looked at, in milliseconds. */
const LOOK_MS = 500;

/**
 * Bytes that may wait for the client of one connection at two looks in a row: four times a whole journal as viewers get it,
 * and far above what `SendQueue` lets wait. Besides results there are answers that no part of ours makes, such as pongs
 * of a WebSocket.
 */
const MAX_UNREAD_BYTES = 8_000_000;

/** The TCP connections of a server, WebSockets included. */
export class TcpConnections {
  readonly #sockets = new Set<Socket>();
  /** Those that read too little when they were last looked at. */
  #deaf = new Set<Socket>();
  readonly #onDeaf: () => void;
  readonly #timer: NodeJS.Timeout;

  /** @param onDeaf called when one is cut whose client does not read */
  constructor(server: Server, onDeaf: () => void, maxUnreadBytes = MAX_UNREAD_BYTES) {
    this.#onDeaf = onDeaf;
    const add = (socket: Socket) => {
      this.#sockets.add(socket);
      socket.once('close', () => {
        this.#sockets.delete(socket);
        this.#deaf.delete(socket);
      });
    };
    server.on('connection', add);
    // With TLS what waits is counted by the socket above the TCP connection.
    server.on('secureConnection', add);
    this.#timer = setInterval(() => this.#look(maxUnreadBytes), LOOK_MS);
    this.#timer.unref();
  }

  /** Ends all that there are. */
  destroyAll(): void {
    clearInterval(this.#timer);
    for (const socket of this.#sockets) socket.destroy();
  }

  #look(maxUnreadBytes: number): void {
    const deaf = [...this.#sockets].filter(({ writableLength }) => writableLength > maxUnreadBytes);
    for (const socket of deaf) {
      if (!this.#deaf.has(socket)) continue;
      this.#onDeaf();
      socket.destroy();
    }
    this.#deaf = new Set(deaf.filter(({ destroyed }) => !destroyed));
  }
}
