/** A TCP proxy that can be shut: the network between one gateway and what it needs. */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

export class TcpGate {
  readonly #server: Server;
  readonly #links = new Map<Socket, Socket>();
  #target: number;
  #open = true;
  #answers = true;
  #holds = false;

  private constructor(target: number) {
    this.#target = target;
    this.#server = createServer((socket) => this.#forward(socket));
  }

  /** @param target port of 127.0.0.1 */
  static async to(target: number): Promise<TcpGate> {
    const gate = new TcpGate(target);
    await once(gate.#server.listen(0, '127.0.0.1'), 'listening');
    return gate;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Cuts every connection and takes no other. */
  shut(): void {
    this.#open = false;
    for (const side of this.#sides()) side.destroy();
  }

  /** What is asked gets through from now on, and its answers are lost. */
  swallowAnswers(): void {
    this.#answers = false;
  }

  /** New connections go to another port from now on. */
  leadTo(target: number): void {
    this.#target = target;
  }

  /**
   * Nothing gets through from now on, and neither side hears that. What was under way is not lost: it arrives when the
   * gate is opened, also if its sender has given the connection up by then, as with packets that are sent again.
   */
  blackHole(): void {
    this.#holds = true;
    for (const side of this.#sides()) side.pause();
  }

  /** Undoes `shut`, `blackHole` and, for new connections, `swallowAnswers`. */
  open(): void {
    this.#open = true;
    this.#answers = true;
    this.#holds = false;
    for (const side of this.#sides()) side.resume();
  }

  close(): void {
    this.shut();
    this.#server.close();
  }

  #sides(): Socket[] {
    return [...this.#links].flat();
  }

  #forward(socket: Socket): void {
    socket.on('error', () => undefined);
    if (!this.#open) {
      socket.destroy();
      return;
    }
    const upstream = connect(this.#target, '127.0.0.1');
    this.#links.set(socket, upstream);
    upstream.on('error', () => undefined);
    socket.on('data', (bytes: Buffer) => upstream.write(bytes));
    let isHeard = true;
    upstream.on('data', (bytes: Buffer) => {
      isHeard &&= this.#answers;
      if (isHeard) socket.write(bytes);
    });
    upstream.once('close', () => socket.destroy());
    socket.once('close', () => {
      this.#links.delete(socket);
      // What it had sent arrives before the end.
      upstream.destroySoon();
    });
    if (!this.#holds) return;
    socket.pause();
    upstream.pause();
  }
}

/** How a network is cut: both sides are told, neither is, or what is asked arrives and its answer does not. */
export const CUTS = {
  reset: (gate: TcpGate) => gate.shut(),
  'black hole': (gate: TcpGate) => gate.blackHole(),
  'lost answers': (gate: TcpGate) => gate.swallowAnswers(),
} as const;

export type Cut = keyof typeof CUTS;
