/** A TCP proxy that can be shut: the network between one gateway and what it needs. */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

export class TcpGate {
  readonly #server: Server;
  readonly #links = new Map<Socket, Socket>();
  #open = true;
  #answers = true;

  private constructor(target: number) {
    this.#server = createServer((socket) => this.#forward(socket, target));
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
    for (const [socket, upstream] of this.#links) {
      socket.destroy();
      upstream.destroy();
    }
  }

  /** What is asked gets through from now on, and its answers are lost. */
  swallowAnswers(): void {
    this.#answers = false;
  }

  /** Undoes `shut` and, for new connections, `swallowAnswers`. */
  open(): void {
    this.#open = true;
    this.#answers = true;
  }

  close(): void {
    this.shut();
    this.#server.close();
  }

  #forward(socket: Socket, target: number): void {
    socket.on('error', () => undefined);
    if (!this.#open) {
      socket.destroy();
      return;
    }
    const upstream = connect(target, '127.0.0.1');
    this.#links.set(socket, upstream);
    upstream.on('error', () => undefined);
    socket.pipe(upstream);
    let isHeard = true;
    upstream.on('data', (bytes: Buffer) => {
      isHeard &&= this.#answers;
      if (isHeard) socket.write(bytes);
    });
    upstream.once('close', () => socket.destroy());
    socket.once('close', () => {
      this.#links.delete(socket);
      upstream.destroy();
    });
  }
}
