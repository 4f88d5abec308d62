import type { Socket } from 'socket.io';

type Transport = Socket['conn'];

/** Packets that wait for a client's network before partials are left out; the next one says all that it said. */
const SKIP_PARTIALS_AT = 32;
/** Packets that wait before the client is taken for dead: several minutes of finals. */
const DEAD_AT = 1_024;
/** A burst of results fills the same queue for a moment, so that a client is dead only after this time, in milliseconds. */
const DEAD_AFTER_MS = 5_000;
/** Packets that wait before the client is taken for dead at once: about 5 MB, so that no flood of errors fills the memory. */
const DEAD_AT_ONCE_AT = 10_000;

/**
 * What waits for one client's network, watched. Engine.IO keeps every packet until the transport takes it, without a
 * bound; whatever is sent passes here, results, errors and acknowledgements alike.
 */
export class SendQueue {
  readonly #transport: Transport;
  readonly #onDead: (waitingPackets: number) => void;
  #waiting = 0;
  /** Since when the first of them waits, in milliseconds of the monotonic clock. */
  #waitingSince = 0;
  #dead = false;

  /** @param onDead called once, when the client takes nothing any more and is to be cut */
  constructor(transport: Transport, onDead: (waitingPackets: number) => void) {
    this.#transport = transport;
    this.#onDead = onDead;
    transport.on('packetCreate', this.#onPacket);
    transport.on('flush', this.#onFlush);
  }

  /** True while a partial would only pile up. */
  get isLong(): boolean {
    return this.#waiting >= SKIP_PARTIALS_AT;
  }

  /** True while anything waits. */
  get isBusy(): boolean {
    return this.#waiting > 0;
  }

  /** Calls back when what waits now is on its way. */
  onceSent(callback: () => void): void {
    this.#transport.once('drain', callback);
  }

  /** Ends the watch: a transport outlives the sockets that a client opens and closes on it. */
  close(): void {
    this.#transport.off('packetCreate', this.#onPacket);
    this.#transport.off('flush', this.#onFlush);
  }

  readonly #onPacket = () => {
    if (this.#waiting++ === 0) this.#waitingSince = performance.now();
    if (this.#dead || this.#waiting < DEAD_AT) return;
    if (this.#waiting < DEAD_AT_ONCE_AT && performance.now() - this.#waitingSince <= DEAD_AFTER_MS) return;
    this.#dead = true;
    this.#onDead(this.#waiting);
  };

  readonly #onFlush = () => {
    this.#waiting = 0;
  };
}
