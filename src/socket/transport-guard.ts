import type { Socket } from 'socket.io';
import { MAX_TOKEN_CHARACTERS } from '../protocol/token-refresh.ts';

type Transport = Socket['conn'];

/**
 * Packets of Engine.IO that a client may send at once, and per millisecond in the long run: whatever they are, since
 * heartbeats, acknowledgements and packets for nobody cost as much to read as events. A client that was cut off for a
 * minute and sends its audio in pieces of 20 ms stays below a third of the first, and two hundred times the speed of
 * speech in pieces of 100 ms below the second.
 */
const BURST_PACKETS = 10_000;
const PACKETS_PER_MS = 2;
/** Times that a client may ask to be let in on one transport: it asks once, or again with another token. */
const MAX_CONNECTS = 64;
/**
 * Longest text of an event with an attachment, and of what asks to be let in, in characters. The one waits, parsed, for
 * bytes that may never come, and a chunk's has a hundred characters; the other comes from anybody, and twice the longest
 * token is enough.
 */
const MAX_TEXT = 2 * MAX_TOKEN_CHARACTERS;
/** Probes of a transport: a client asks once for each WebSocket that it tries. Each is answered, read or not. */
const MAX_PROBES = 64;
/** First character of the packets of Socket.IO that ask to be let in, and of those that have attachments. */
const CONNECT = '0';
const WITH_ATTACHMENTS = /^[56]/;
/** A chunk has one attachment; the parser would hold ten, of a whole message each. */
const ONE_ATTACHMENT = /^[56]1-/;

/**
 * - `packet_flood`: more packets than any client has reason to send;
 * - `connect_flood`: a transport carries one socket at a time, and few in a row, with a token each;
 * - `attachments`: more binary data announced than an event of the protocol has;
 * - `probe_flood`: more questions whether a poller may move to a WebSocket than one that moves has;
 * - `no_socket`: the transport was kept open without a socket.
 */
type Offence = 'packet_flood' | 'connect_flood' | 'attachments' | 'probe_flood' | 'no_socket';

interface TransportGuardOptions {
  readonly transport: Transport;
  /** How long a transport may be open without a socket after it had one, in milliseconds. Before, Socket.IO sees to it. */
  readonly idleMs: number;
  /** Called once, before the transport is cut. */
  readonly onOffence: (offence: Offence) => void;
}

/**
 * Holds one client to what its transport is for, below the events: Socket.IO by itself makes as many sockets on one
 * transport as a client asks for in one message, and bounds the size of a message alone.
 */
export class TransportGuard {
  readonly #options: TransportGuardOptions;
  #isTaken = false;
  #isOver = false;
  #connects = 0;
  #probes = 0;
  /** Packets that may come at once now, as of `#countedAt`, in milliseconds of the monotonic clock. */
  #allowance = BURST_PACKETS;
  #countedAt = performance.now();
  #idle: NodeJS.Timeout | undefined;

  constructor(options: TransportGuardOptions) {
    this.#options = options;
    const { transport } = options;
    transport.on('packet', ({ data }: { data?: unknown }) => this.#check(data));
    transport.on('upgrading', (candidate: Candidate) => {
      if (++this.#probes <= MAX_PROBES) return;
      this.#cut('probe_flood');
      candidate.socket?.terminate();
    });
    transport.once('close', () => {
      this.#isOver = true;
      clearTimeout(this.#idle);
    });
  }

  /** A socket asks to be let in. @returns false if it may not: the transport has one, and is cut */
  take(): boolean {
    if (this.#isTaken || this.#isOver) {
      this.#cut('connect_flood');
      return false;
    }
    this.#isTaken = true;
    clearTimeout(this.#idle);
    return true;
  }

  /** The socket was refused, or is gone: another may come. */
  free(): void {
    this.#isTaken = false;
    clearTimeout(this.#idle);
    if (this.#isOver) return;
    this.#idle = setTimeout(() => this.#cut('no_socket'), this.#options.idleMs);
    this.#idle.unref();
  }

  #check(data: unknown): void {
    const now = performance.now();
    this.#allowance = Math.min(BURST_PACKETS, this.#allowance + (now - this.#countedAt) * PACKETS_PER_MS) - 1;
    this.#countedAt = now;
    if (this.#allowance < 0) this.#cut('packet_flood');
    if (typeof data !== 'string') return;
    if (data.startsWith(CONNECT)) {
      this.#connects += 1;
      if (this.#connects > MAX_CONNECTS || data.length > MAX_TEXT) this.#cut('connect_flood');
    }
    if (!WITH_ATTACHMENTS.test(data)) return;
    if (!ONE_ATTACHMENT.test(data) || data.length > MAX_TEXT) this.#cut('attachments');
  }

  #cut(offence: Offence): void {
    if (this.#isOver) return;
    this.#options.onOffence(offence);
    cutTransport(this.#options.transport);
  }
}

/** The part of a transport of Engine.IO that is looked at here: its WebSocket, if it is one. */
interface Candidate {
  readonly socket?: { terminate(): void };
}

/** Ends a client's connection at once, with all that waits for it; a WebSocket would read on until it is closed on both sides. */
export function cutTransport(transport: Transport): void {
  const { socket } = transport.transport as unknown as Candidate;
  transport.close(true);
  socket?.terminate();
}
