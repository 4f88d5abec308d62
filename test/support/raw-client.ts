/** Clients that write what no client library would. */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

/** Separates the packets of one poll. Source: Engine.IO protocol 4. */
const SEPARATOR = '\x1e';
const HANDSHAKE = '/socket.io/?EIO=4&transport=';
const FIN_AND_MASK = { text: 0x81, binary: 0x82, ping: 0x89 };

export interface RawClient {
  /** Packets so far, but for the pings, which are answered. */
  readonly received: readonly string[];
  readonly isClosed: boolean;
  send(packet: string | Uint8Array): void;
  close(): void;
}

/** Speaks Engine.IO packets as they are, over a WebSocket that is open. */
export async function rawWebSocket(url: string): Promise<RawClient> {
  const socket = new WebSocket(`${url.replace('http', 'ws')}${HANDSHAKE}websocket`);
  const received: string[] = [];
  socket.addEventListener('message', ({ data }) => {
    if (data === '2') socket.send('3');
    else received.push(String(data));
  });
  await new Promise((resolve) => socket.addEventListener('open', resolve, { once: true }));
  return {
    received,
    get isClosed() {
      return socket.readyState === WebSocket.CLOSED;
    },
    send: (packet) => socket.send(packet as Uint8Array<ArrayBuffer>),
    close: () => socket.close(),
  };
}

export interface RawPoller {
  /** Brings packets. @returns status of the answer; 0 if the connection was cut */
  post(packets: readonly string[]): Promise<number>;
  /** @returns the answer; its status if it was refused, and 0 if the connection was cut */
  poll(): Promise<string | number>;
}

/** The same by polling, after the handshake. */
export async function rawPolling(url: string): Promise<RawPoller> {
  const handshake = await (await fetch(`${url}${HANDSHAKE}polling`)).text();
  const { sid } = JSON.parse(handshake.slice(1)) as { sid: string };
  const address = `${url}${HANDSHAKE}polling&sid=${sid}`;
  return {
    post: (packets) =>
      fetch(address, { method: 'POST', body: packets.join(SEPARATOR) }).then(
        ({ status }) => status,
        () => 0,
      ),
    poll: async () => {
      const answer = await fetch(address).catch(() => undefined);
      if (answer === undefined) return 0;
      return answer.ok ? answer.text() : answer.status;
    },
  };
}

export interface RawConnection {
  readonly socket: Socket;
  readonly isClosed: boolean;
  /** What came so far, as Latin-1. */
  readonly received: string;
}

/** A TCP connection to a server, which says what it is told to say. */
export async function rawTcp(url: string, ...says: readonly (string | Buffer)[]): Promise<RawConnection> {
  const socket = connect(Number(new URL(url).port), '127.0.0.1');
  socket.on('error', () => undefined);
  let received = '';
  socket.on('data', (data) => {
    received += data.toString('latin1');
  });
  await once(socket, 'connect');
  for (const text of says) socket.write(text);
  return {
    socket,
    get isClosed() {
      return socket.closed;
    },
    get received() {
      return received;
    },
  };
}

/** The head of a request as a client writes it. */
export function requestHead(line: string, ...headers: readonly string[]): string {
  return `${[`${line} HTTP/1.1`, 'Host: localhost', ...headers].join('\r\n')}\r\n\r\n`;
}

/** Asks for a WebSocket of Engine.IO, on a raw connection. */
export const UPGRADE = requestHead(
  `GET ${HANDSHAKE}websocket`,
  'Connection: Upgrade',
  'Upgrade: websocket',
  'Sec-WebSocket-Version: 13',
  'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==',
);

/** A frame of a WebSocket as a client sends it, with a mask of zeros. */
export function frame(kind: keyof typeof FIN_AND_MASK, payload: string | Buffer): Buffer {
  const bytes = Buffer.from(payload);
  const { length } = bytes;
  const more = length < 126 ? 0 : length < 0x1_0000 ? 2 : 8;
  const head = Buffer.alloc(6 + more);
  head[0] = FIN_AND_MASK[kind];
  head[1] = 0x80 | (more === 0 ? length : more === 2 ? 126 : 127);
  if (more === 2) head.writeUInt16BE(length, 2);
  if (more === 8) head.writeBigUInt64BE(BigInt(length), 2);
  return Buffer.concat([head, bytes]);
}
