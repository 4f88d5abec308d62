import { io, type Socket } from 'socket.io-client';
import type { AckReply, ErrorEvent, ServerToClientEvents } from '../protocol/events.ts';
import { now } from './clock.ts';
import { errorOf, TranscriptionError } from './errors.ts';
import type { SocketChoices } from './options.ts';

/** Longest wait for a connection, in milliseconds: a phone between two networks must not wait the 20 s of the default. */
const CONNECT_TIMEOUT_MS = 10_000;

/** Every event of the gateway, and the end of the connection, whoever ended it. Nothing is called after `close`. */
export type LinkEvents = ServerToClientEvents & { closed: (error: TranscriptionError) => void };

const EVENTS = [
  'connected',
  'transcription_started',
  'transcription_queued',
  'transcription_resumed',
  'transcription_result',
  'transcription_gap',
  'transcription_stopped',
  'audio_ack',
  'server_draining',
  'taken_over',
  'token_expired',
  'error',
] as const satisfies readonly (keyof ServerToClientEvents)[];

interface LinkOptions {
  readonly url: string;
  /** Sent as `cid` in the query of every request; who hashes it sends them all to the same gateway. */
  readonly cid: string;
  readonly token: string | undefined;
  readonly unresponsiveMs: number;
  readonly socket: SocketChoices;
}

/** One connection, made once and never reconnected: what follows a lost one is not Socket.IO's to decide. */
export class Link {
  readonly #socket: Socket;
  readonly #events: LinkEvents;
  readonly #watch: ReturnType<typeof setInterval>;
  #closed = false;
  /** When something was heard last, or an answer began to be due. */
  #quietSince = now();
  #owed = 0;

  constructor(options: LinkOptions, events: LinkEvents) {
    const { cid, socket: chosen, token, unresponsiveMs, url } = options;
    this.#events = events;
    // A query in the URL takes the place of the option.
    this.#socket = io(url.includes('?') ? `${url}&cid=${cid}` : url, {
      transports: ['websocket'],
      timeout: CONNECT_TIMEOUT_MS,
      ...chosen,
      query: { cid, ...chosen.query },
      auth: { protocol: 2, ...(token !== undefined && { token }) },
      autoConnect: false,
      forceNew: true,
      reconnection: false,
    });
    this.#watch = setInterval(() => this.#checkSilence(unresponsiveMs), unresponsiveMs / 4);
    this.#listen();
    this.#socket.connect();
  }

  /** @param answer called with the gateway's reply, unless the connection ends before */
  emit(event: string, data?: object, answer?: (reply: AckReply | undefined) => void): void {
    if (this.#closed) return;
    const args: unknown[] = data === undefined ? [] : [data];
    if (answer !== undefined) {
      args.push((reply: AckReply | undefined) => {
        if (this.#closed) return;
        this.#heard();
        answer(reply);
      });
    }
    this.#socket.emit(event, ...args);
  }

  /** The gateway owes an answer: if it then says nothing at all for too long, the connection is dead. */
  owe(): void {
    if (this.#owed === 0) this.#heard();
    this.#owed += 1;
  }

  /** Answers have come, or will not come any more. */
  settle(count = 1): void {
    this.#owed = Math.max(0, this.#owed - count);
  }

  /** Idempotent. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    clearInterval(this.#watch);
    this.#socket.offAny();
    this.#socket.disconnect();
  }

  #listen(): void {
    const socket = this.#socket;
    for (const name of EVENTS) {
      socket.on(name, (event?: never) => {
        if (this.#closed) return;
        this.#heard();
        // A gateway that sends an event without data, or with null, must not bring the application down.
        this.#events[name](event ?? ({} as never));
      });
    }
    socket.io.on('ping', () => this.#heard());
    socket.on('disconnect', (reason) =>
      this.#end(new TranscriptionError('unreachable', `The connection ended: ${reason}.`)),
    );
    socket.on('connect_error', (error) => this.#end(connectError(error)));
  }

  #heard(): void {
    this.#quietSince = now();
  }

  #checkSilence(limit: number): void {
    if (this.#owed === 0 || now() - this.#quietSince < limit) return;
    this.#end(new TranscriptionError('no_answer', `The gateway has not answered for ${limit} ms.`));
  }

  #end(error: TranscriptionError): void {
    if (this.#closed) return;
    this.close();
    this.#events.closed(error);
  }
}

/** A refusal by the gateway carries its error as data; all else is the network. */
function connectError(error: Error & { data?: Partial<ErrorEvent> }): TranscriptionError {
  if (typeof error.data?.code === 'string') return errorOf({ message: error.message, ...error.data });
  return new TranscriptionError('unreachable', `The gateway cannot be reached: ${error.message}.`, { cause: error });
}
