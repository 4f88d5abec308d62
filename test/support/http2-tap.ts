import { createServer, connect as dial, type Socket } from 'node:net';

const HEADER_BYTES = 9;
/** Types and flags of frames. Source: RFC 9113, section 6. */
const DATA = 0;
const HEADERS = 1;
const RST_STREAM = 3;
const END_STREAM = 1;

/** What the frames that a server sent on streams say of their ends. */
interface StreamEnds {
  /** Frames of headers or data that ended a stream in good order. */
  endStream: number;
  /** Error codes of the resets, in order. */
  readonly resets: number[];
}

export interface Http2Tap {
  readonly url: string;
  readonly ends: StreamEnds;
  close(): void;
}

/** Stands between an HTTP/2 client and a cleartext server, and reads what the server sends below any library. */
export async function tapHttp2(target: string): Promise<Http2Tap> {
  const ends: StreamEnds = { endStream: 0, resets: [] };
  const sockets = new Set<Socket>();
  const server = createServer((client) => {
    const upstream = dial(Number(new URL(target).port), new URL(target).hostname);
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on('error', () => undefined).once('close', () => sockets.delete(socket));
    }
    client.pipe(upstream);
    upstream.pipe(client);
    let bytes: Buffer = Buffer.alloc(0);
    upstream.on('data', (chunk: Buffer) => {
      bytes = readFrames(Buffer.concat([bytes, chunk]), ends);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return {
    url: `http://127.0.0.1:${address.port}`,
    ends,
    close() {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}

/** Takes note of the whole frames. @returns the bytes behind them */
function readFrames(bytes: Buffer, ends: StreamEnds): Buffer {
  while (bytes.length >= HEADER_BYTES) {
    const end = HEADER_BYTES + bytes.readUIntBE(0, 3);
    if (bytes.length < end) break;
    const type = bytes.readUInt8(3);
    if ((type === DATA || type === HEADERS) && (bytes.readUInt8(4) & END_STREAM) !== 0) ends.endStream++;
    if (type === RST_STREAM) ends.resets.push(bytes.readUInt32BE(HEADER_BYTES));
    bytes = bytes.subarray(end);
  }
  return bytes;
}
