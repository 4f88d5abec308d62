import type { Socket } from 'socket.io';
import type { GatewayError } from '../errors.ts';
import type { ClientToServerEvents, ServerToClientEvents } from '../protocol/events.ts';
import type { SendQueue } from './send-queue.ts';

interface ViewerOptions {
  readonly socket: Socket<ClientToServerEvents, ServerToClientEvents>;
  readonly sendQueue: SendQueue;
  /** The last entry that it has; 0 for none. */
  readonly afterSeq: number;
  /** The watch is over, not by the viewer. */
  readonly onOver: (error: GatewayError | undefined) => void;
}

/** One connection that watches one session. */
export class Viewer {
  readonly #options: ViewerOptions;
  /** Number of the last entry that it has. */
  sent: number;
  /** Where that ends, in samples; 0 where only the viewer knows. */
  end = 0;
  /** Gets what is new with all others. */
  isLive = false;
  #latePartial: (() => void) | undefined;
  #over = false;

  constructor(options: ViewerOptions) {
    this.#options = options;
    this.sent = options.afterSeq;
  }

  get id(): string {
    return this.#options.socket.id;
  }

  get socket(): ViewerOptions['socket'] {
    return this.#options.socket;
  }

  /** Something waits for its network, so that a partial would only wait behind it. */
  get isBusy(): boolean {
    return this.#options.sendQueue.isBusy;
  }

  /** Sends the newest partial as soon as there is room for it; one that waited before is forgotten. */
  sendLater(send: () => void): void {
    const isWaiting = this.#latePartial !== undefined;
    this.#latePartial = send;
    if (isWaiting) return;
    this.#options.sendQueue.onceSent(() => {
      const latest = this.#latePartial;
      this.#latePartial = undefined;
      if (!this.#over) latest?.();
    });
  }

  /** The viewer has left: nothing follows. */
  close(): void {
    this.#over = true;
  }

  /** The watch is over. @param error why, unless the session has ended */
  over(error?: GatewayError): void {
    if (this.#over) return;
    this.#over = true;
    this.#options.onOver(error);
  }
}
