/** A client that writes bytes as it likes, and hears packets of Socket.IO. */
import { Agent, request } from 'node:http';
import type { Socket } from 'node:net';
import { frame, rawTcp, UPGRADE } from '../raw-client.ts';

const SEPARATOR = '\x1e';
const PATH = '/socket.io/?EIO=4&transport=polling';
const MAX_SHORT = 125;
/** Says that the length follows in 64 bits. */
const LONG = 127;
/** First byte of a frame that is text, and of one that says goodbye. */
const TEXT = 0x81;
const CLOSE = 0x88;

/** A packet as it is sent: text, or the bytes of an attachment. */
export type Packet = string | Buffer;

export interface Attacker {
  readonly isClosed: boolean;
  /** Resolves when the gateway has ended the connection, or the attacker has. */
  readonly closed: Promise<void>;
  /** Hears the packets that come from now on. */
  hear(listener: (packet: string) => void): void;
  send(packets: readonly Packet[]): Promise<void>;
  /** @param manner `reset` leaves as a network does; `orderly` says goodbye */
  leave(manner: 'reset' | 'orderly'): Promise<void>;
}

/** By WebSocket, on a TCP connection of its own. */
export async function byWebSocket(url: string): Promise<Attacker & { readonly socket: Socket }> {
  const { socket } = await rawTcp(url, UPGRADE);
  let listener: (packet: string) => void = () => undefined;
  const upgraded = Promise.withResolvers<void>();
  const closed = closing(socket).then(() => upgraded.resolve());
  let rest = Buffer.alloc(0);
  let isUpgraded = false;
  socket.on('data', (data) => {
    rest = rest.length === 0 ? data : Buffer.concat([rest, data]);
    if (!isUpgraded) {
      const end = rest.indexOf('\r\n\r\n');
      if (end < 0) return;
      isUpgraded = true;
      rest = rest.subarray(end + 4);
      upgraded.resolve();
    }
    for (let size = frameLength(rest); size !== undefined && size.end <= rest.length; size = frameLength(rest)) {
      const isText = rest[0] === TEXT;
      // The gateway waits for the answer to it.
      if (rest[0] === CLOSE) socket.end();
      const packet = isText ? rest.toString('utf8', size.head, size.end) : '';
      rest = rest.subarray(size.end);
      if (packet === '2') socket.write(frame('text', '3'));
      else if (isText) listener(packet);
    }
  });
  await upgraded.promise;
  return {
    socket,
    closed,
    get isClosed() {
      return socket.closed || !socket.writable;
    },
    hear: (next) => {
      listener = next;
    },
    send: async (packets) => {
      if (!socket.writable) return;
      const frames = packets.map((packet) => frame(typeof packet === 'string' ? 'text' : 'binary', packet));
      if (!socket.write(Buffer.concat(frames)))
        await Promise.race([new Promise((resolve) => socket.once('drain', resolve)), closed]);
    },
    leave: async (manner) => {
      if (manner === 'reset') socket.resetAndDestroy();
      else socket.end(frame('text', '41'));
    },
  };
}

/** Resolves when it is closed, with an error or without; `once` would reject. */
export function closing(socket: Socket): Promise<unknown> {
  return new Promise((resolve) => socket.once('close', resolve));
}

/** Where the payload of the first frame begins and ends; undefined while that cannot be told. */
function frameLength(bytes: Buffer): { head: number; end: number } | undefined {
  if (bytes.length < 2) return undefined;
  const short = (bytes[1] ?? 0) & LONG;
  if (short <= MAX_SHORT) return { head: 2, end: 2 + short };
  const head = short === LONG ? 10 : 4;
  if (bytes.length < head) return undefined;
  const length = short === LONG ? Number(bytes.readBigUInt64BE(2)) : bytes.readUInt16BE(2);
  return { head, end: head + length };
}

const agent = new Agent({ keepAlive: true, maxSockets: 64 });

/** @returns status 0 if there was no answer */
function http(url: URL, method: string, body?: string | Buffer): Promise<{ status: number; text: string }> {
  return new Promise((resolve) => {
    const lost = () => resolve({ status: 0, text: '' });
    const sent = request(url, { agent, method, headers: { 'Content-Type': 'text/plain;charset=UTF-8' } }, (answer) => {
      let text = '';
      answer.setEncoding('utf8').on('data', (data: string) => {
        text += data;
      });
      answer.on('end', () => resolve({ status: answer.statusCode ?? 0, text }));
      answer.on('error', lost);
    });
    sent.on('error', lost);
    sent.end(body);
  });
}

/** By polling: what is sent at once is one poll. */
export async function byPolling(url: string): Promise<Attacker> {
  const handshake = await http(new URL(PATH, url), 'GET');
  if (handshake.status !== 200) throw new Error(`no handshake: ${handshake.status}`);
  const { sid } = JSON.parse(handshake.text.slice(1)) as { sid: string };
  const address = new URL(`${PATH}&sid=${sid}`, url);
  let listener: (packet: string) => void = () => undefined;
  const gone = Promise.withResolvers<void>();
  let isClosed = false;
  const end = () => {
    isClosed = true;
    gone.resolve();
  };
  const listen = async () => {
    while (!isClosed) {
      const { status, text } = await http(address, 'GET');
      if (status !== 200) return end();
      for (const packet of text.split(SEPARATOR)) {
        if (packet === '1') return end();
        if (packet === '2') void http(address, 'POST', '3');
        else listener(packet);
      }
    }
  };
  void listen();
  return {
    closed: gone.promise,
    get isClosed() {
      return isClosed;
    },
    hear: (next) => {
      listener = next;
    },
    send: async (packets) => {
      const texts = packets.map((packet) => (typeof packet === 'string' ? packet : `b${packet.toString('base64')}`));
      // Whatever it is answered with: the poll that waits hears of the end.
      await http(address, 'POST', texts.join(SEPARATOR));
    },
    // Without a goodbye the gateway finds out by its pings only, which take longer than a test.
    leave: async () => {
      await http(address, 'POST', '1');
      end();
    },
  };
}

/** Ends the connections that polls have left open. */
export function forgetPolls(): void {
  agent.destroy();
}
