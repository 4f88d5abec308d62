import type { Worker } from 'node:cluster';
import type { Server } from 'node:http';
import type { Socket } from 'node:net';

/** The parts of the messages of `@socket.io/sticky` 2.0.1 to a worker that are needed here. */
interface StickyMessage {
  readonly type?: string;
  /** Of a connection that the primary keeps, because its request has a body. */
  readonly connectionId?: string;
  readonly socketInfo?: Pick<Socket, 'remoteAddress' | 'remotePort' | 'localPort'>;
}

/**
 * Bytes that a connection may bring whose request passes through the primary: twice the largest message. Sticky passes on
 * what comes, whether the worker has time for it or not, and also what comes after the answer.
 */
const MAX_UPLOAD_BYTES = 2_000_000;

type Send = (message: StickyMessage, ...rest: unknown[]) => boolean;

/** What is under a socket of Node's; closing it twice does nothing. */
interface Handle {
  close(): void;
  readStop(): void;
}

/** What is held for one worker. */
interface Held {
  readonly sockets: Set<Socket>;
  /** The last one that was written to the channel. Until it is acknowledged this process has it open as well. */
  lastHandle: Handle | undefined;
}

/**
 * Connections of clients that the primary still holds for a worker. Nobody else closes them when the worker dies,
 * neither sticky nor Node, and the clients would wait for their own timeouts. There are three kinds: those in the queue
 * of the channel, which hands over one at a time; the one that is handed over and not acknowledged, which Node closes
 * only when the queue is empty; and those whose requests have a body, which pass through the primary.
 */
export class HeldSockets {
  readonly #byPeer = new Map<string, Socket>();
  readonly #byWorker = new Map<number, Held>();
  /** By the name that sticky has given them. */
  readonly #uploads = new Map<string, Socket>();

  /** Before the server listens. */
  watch(server: Server): void {
    server.on('connection', (socket: Socket) => {
      const peer = peerOf(socket);
      this.#byPeer.set(peer, socket);
      socket.once('close', () => {
        this.#forget(peer, socket);
        for (const { sockets } of this.#byWorker.values()) sockets.delete(socket);
      });
    });
  }

  /** Notes what sticky gives to the worker. Right after the fork. */
  follow(worker: Worker): void {
    const held: Held = { sockets: new Set(), lastHandle: undefined };
    this.#byWorker.set(worker.id, held);
    const send = worker.send.bind(worker) as unknown as Send;
    const noting: Send = (message, ...rest) => {
      if (message.type === 'sticky:http-chunk-start' && message.socketInfo !== undefined) {
        const socket = this.#byPeer.get(peerOf(message.socketInfo));
        if (socket !== undefined) {
          held.sockets.add(socket);
          this.#noteUpload(message.connectionId, socket);
        }
      }
      if (message.type === 'sticky:http-chunk' && this.#isTooLong(message.connectionId)) return true;
      if (message.type !== 'sticky:connection') return send(message, ...rest);
      const [socket, done] = rest as [Socket, (error: Error | null) => void];
      const peer = peerOf(socket);
      const handle = (socket as { _handle?: Handle })._handle;
      held.sockets.add(socket);
      // Node leaves it reading until the worker has acknowledged it, and throws away what it reads: with a busy primary
      // the first message of a client, sent as soon as the worker has answered, would be lost.
      handle?.readStop();
      return send(message, socket, (error: Error | null) => {
        // From now on the socket is empty, and will never say that it closed.
        held.sockets.delete(socket);
        held.lastHandle = handle;
        this.#forget(peer, socket);
        done(error);
      });
    };
    worker.send = noting as unknown as Worker['send'];
  }

  /** The worker takes nothing any more: closes what is held for it, so that the clients connect anew. */
  release(worker: Worker): void {
    const held = this.#byWorker.get(worker.id);
    if (held === undefined) return;
    this.#byWorker.delete(worker.id);
    for (const socket of held.sockets) socket.destroy();
    held.lastHandle?.close();
  }

  /** How many connections have not been handed over yet. */
  get size(): number {
    return this.#byPeer.size;
  }

  #noteUpload(connectionId: string | undefined, socket: Socket): void {
    if (connectionId === undefined) return;
    this.#uploads.set(connectionId, socket);
    socket.once('close', () => this.#uploads.delete(connectionId));
  }

  /** Whether an upload brings more than any request has; it is ended then. */
  #isTooLong(connectionId = ''): boolean {
    const socket = this.#uploads.get(connectionId);
    if (socket === undefined || socket.bytesRead <= MAX_UPLOAD_BYTES) return false;
    socket.destroy();
    return true;
  }

  /** The address may be in use by the next connection already. */
  #forget(peer: string, socket: Socket): void {
    if (this.#byPeer.get(peer) === socket) this.#byPeer.delete(peer);
  }
}

function peerOf({ remoteAddress, remotePort, localPort }: NonNullable<StickyMessage['socketInfo']>): string {
  return `${remoteAddress} ${remotePort} ${localPort}`;
}
