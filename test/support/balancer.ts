/**
 * An HTTP balancer before gateways, as a real one does it: asks `/readyz`, keeps an Engine.IO session where it began, and
 * hands WebSockets through. It notes when clients connect, so that spikes of reconnects show.
 */
import { once } from 'node:events';
import { Agent, createServer, type IncomingMessage, request, type Server, type ServerResponse } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import type { Duplex } from 'node:stream';

/** A gateway behind the balancer. */
export interface Target {
  readonly url: string;
  readonly adminUrl: string;
}

/** As HAProxy's `inter`, but quick: how late it hears that a gateway drains. */
const CHECK_MS = 250;

export class Balancer {
  readonly #server: Server;
  readonly #agent = new Agent({ keepAlive: true });
  readonly #ready = new Set<Target>();
  readonly #targets = new Set<Target>();
  /** The gateway of each Engine.IO session that began here with polling. */
  readonly #homes = new Map<string, Target>();
  readonly #checks: NodeJS.Timeout | undefined;
  readonly #sockets = new Set<Duplex>();
  readonly #connectsAt: number[] = [];
  #next = 0;

  private constructor(asksTargets: boolean) {
    this.#server = createServer((incoming, response) => this.#forward(incoming, response));
    this.#server.keepAliveTimeout = 60_000;
    this.#server.on('upgrade', (incoming: IncomingMessage, socket: Duplex, head: Buffer) =>
      this.#upgrade(incoming, socket, head),
    );
    this.#server.on('connection', (socket: Duplex) => this.#hold(socket));
    if (asksTargets) this.#checks = setInterval(() => void this.#check(), CHECK_MS);
  }

  /** @param asksTargets whether it finds out by itself who is ready; otherwise whoever adds and removes them does */
  static async start({ asksTargets = true } = {}): Promise<Balancer> {
    const balancer = new Balancer(asksTargets);
    await once(balancer.#server.listen(0, '127.0.0.1'), 'listening');
    return balancer;
  }

  /** Where clients connect. */
  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** When clients connected, in milliseconds of the monotonic clock. */
  get connectsAt(): readonly number[] {
    return this.#connectsAt;
  }

  /** Gateways that new clients are sent to. */
  get ready(): number {
    return this.#ready.size;
  }

  /** Sends new clients to a gateway, which is ready, too. */
  add(target: Target): void {
    this.#targets.add(target);
    this.#ready.add(target);
  }

  remove(target: Target): void {
    this.#targets.delete(target);
    this.#ready.delete(target);
  }

  close(): void {
    clearInterval(this.#checks);
    this.#agent.destroy();
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
  }

  async #check(): Promise<void> {
    await Promise.all(
      [...this.#targets].map(async (target) => {
        const isReady = await fetch(`${target.adminUrl}/readyz`).then(
          ({ ok }) => ok,
          () => false,
        );
        if (isReady && this.#targets.has(target)) this.#ready.add(target);
        else this.#ready.delete(target);
      }),
    );
  }

  #hold(socket: Duplex): void {
    this.#sockets.add(socket);
    socket.on('error', () => undefined);
    socket.once('close', () => this.#sockets.delete(socket));
  }

  /** Where a request goes: home, if it belongs to a session. */
  #targetOf(sid: string | null): Target | undefined {
    if (sid !== null) return this.#homes.get(sid);
    this.#connectsAt.push(performance.now());
    const ready = [...this.#ready];
    return ready[this.#next++ % ready.length];
  }

  #forward(incoming: IncomingMessage, response: ServerResponse): void {
    const sid = sidOf(incoming);
    const target = this.#targetOf(sid);
    if (target === undefined) {
      response.writeHead(sid === null ? 503 : 400).end();
      return;
    }
    const { headers, method, url } = incoming;
    const { hostname, port } = new URL(target.url);
    const outgoing = request({ agent: this.#agent, headers, hostname, method, path: url, port }, (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      if (sid === null) answer.on('data', (bytes: Buffer) => this.#learn(bytes, target));
      answer.pipe(response);
      answer.once('error', () => response.destroy());
    });
    outgoing.once('error', () => {
      if (response.headersSent) response.destroy();
      else response.writeHead(502).end();
    });
    response.once('close', () => outgoing.destroy());
    incoming.pipe(outgoing);
  }

  /** The first answer of a polling client has its session's id. */
  #learn(bytes: Buffer, target: Target): void {
    const sid = /"sid":"([^"]+)"/.exec(bytes.toString())?.[1];
    if (sid !== undefined && !this.#homes.has(sid)) this.#homes.set(sid, target);
  }

  #upgrade(incoming: IncomingMessage, socket: Duplex, head: Buffer): void {
    const target = this.#targetOf(sidOf(incoming));
    if (target === undefined) {
      socket.destroy();
      return;
    }
    const upstream = connect(Number(new URL(target.url).port), '127.0.0.1');
    this.#hold(upstream);
    const lines = [`${incoming.method} ${incoming.url} HTTP/1.1`];
    for (let n = 0; n < incoming.rawHeaders.length; n += 2) {
      lines.push(`${incoming.rawHeaders[n]}: ${incoming.rawHeaders[n + 1]}`);
    }
    upstream.write(`${lines.join('\r\n')}\r\n\r\n`);
    upstream.write(head);
    socket.pipe(upstream).pipe(socket);
    upstream.once('close', () => socket.destroy());
    socket.once('close', () => upstream.destroy());
  }
}

function sidOf({ url = '' }: IncomingMessage): string | null {
  return new URL(url, 'http://balancer').searchParams.get('sid');
}
