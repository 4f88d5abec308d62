import { io, type ManagerOptions, type Socket, type SocketOptions } from 'socket.io-client';

type Received = { readonly event: string; readonly data: Record<string, unknown> };

/** The real `socket.io-client` with a record of all that it received. */
export interface TestClient {
  readonly socket: Socket;
  readonly received: readonly Received[];
  /** Data of all events of that name so far. */
  all(event: string): Record<string, unknown>[];
  /** The next event of that name which no earlier `next` has returned. */
  next(event: string, timeoutMs?: number): Promise<Record<string, unknown>>;
  close(): void;
}

/** Connects; `options` go to `io` as they are. */
export function connect(url: string, options: Partial<ManagerOptions & SocketOptions> = {}): TestClient {
  const socket = io(url, { forceNew: true, reconnection: false, ...options });
  const received: Received[] = [];
  const taken = new Map<string, number>();
  const listeners = new Set<() => void>();
  socket.onAny((event: string, data: Record<string, unknown>) => {
    received.push({ event, data });
    for (const listener of listeners) listener();
  });
  const all = (event: string) => received.filter((one) => one.event === event).map((one) => one.data);
  return {
    socket,
    received,
    all,
    next(event, timeoutMs = 20_000) {
      const index = taken.get(event) ?? 0;
      taken.set(event, index + 1);
      return new Promise((resolve, reject) => {
        const check = () => {
          const found = all(event)[index];
          if (found === undefined) return;
          clearTimeout(timer);
          listeners.delete(check);
          resolve(found);
        };
        const timer = setTimeout(() => {
          listeners.delete(check);
          const seen = received.map((one) => one.event).join(', ');
          reject(new Error(`no ${event} within ${timeoutMs} ms; received: ${seen}`));
        }, timeoutMs);
        listeners.add(check);
        check();
      });
    },
    close: () => void socket.disconnect(),
  };
}

/** Emits with an acknowledgement callback and waits for the reply. */
export function emitWithAck(client: TestClient, event: string, ...data: unknown[]): Promise<unknown> {
  return client.socket.timeout(20_000).emitWithAck(event, ...data);
}

/** Silence of a length in milliseconds, as PCM. */
export function silence(ms: number): Buffer {
  return Buffer.alloc(ms * 32);
}

/** A tone of a length in milliseconds, as PCM: audio that nobody takes for silence. */
export function tone(ms: number, hertz = 440): Buffer {
  const samples = Buffer.alloc(ms * 32);
  for (let i = 0; i < ms * 16; i++) {
    samples.writeInt16LE(Math.round(8000 * Math.sin((2 * Math.PI * hertz * i) / 16_000)), i * 2);
  }
  return samples;
}
