/** Several gateways that share a store, behind a balancer, as processes that can be killed: a cluster for tests. */
import { connect, createServer, type Server, type Socket } from 'node:net';
import { type ServedGateway, serveGateway } from './process.ts';
import { TcpGate } from './tcp-gate.ts';

export interface PodsOptions {
  readonly count: number;
  /** The store that they share. */
  readonly redis: { readonly port: number };
  /** For every gateway. */
  readonly env: Readonly<Record<string, string>>;
  /** Told of each gateway that ended unasked. */
  readonly onDeath?: () => void;
}

/** A TCP balancer that sends each connection to a gateway that takes it, and to another than the last one if it can. */
export class Pods {
  readonly #options: PodsOptions;
  readonly #pods: { readonly redisGate: TcpGate; gateway: ServedGateway | undefined }[];
  readonly #balancer: Server;
  readonly #links = new Map<Socket, { readonly upstream: Socket; readonly pod: number }>();
  readonly #launching = new Set<Promise<void>>();
  #next = 0;
  #closed = false;

  private constructor(options: PodsOptions, gates: readonly TcpGate[]) {
    this.#options = options;
    this.#pods = gates.map((redisGate) => ({ redisGate, gateway: undefined }));
    this.#balancer = createServer((socket) => this.#forward(socket, options.count));
  }

  static async start(options: PodsOptions): Promise<Pods> {
    const gates = await Promise.all(Array.from({ length: options.count }, () => TcpGate.to(options.redis.port)));
    const pods = new Pods(options, gates);
    await new Promise<void>((resolve) => pods.#balancer.listen(0, '127.0.0.1', resolve));
    await Promise.all(pods.#pods.map((_, index) => pods.#launch(index)));
    return pods;
  }

  /** Where clients connect. */
  get url(): string {
    return `http://127.0.0.1:${(this.#balancer.address() as { port: number }).port}`;
  }

  /** Gateways that serve now. */
  get alive(): number {
    return this.#pods.filter(({ gateway }) => gateway !== undefined).length;
  }

  /** The gateways that have a connection now. */
  get busy(): number[] {
    return [...new Set([...this.#links.values()].map(({ pod }) => pod))];
  }

  gateway(index: number): ServedGateway | undefined {
    return this.#pods[index]?.gateway;
  }

  /** The network between each gateway and the store. */
  get redisGates(): TcpGate[] {
    return this.#pods.map(({ redisGate }) => redisGate);
  }

  /** Ends a gateway as a crash does; another takes its place as soon as it has started. */
  kill(index: number): void {
    this.#pods[index]?.gateway?.child.kill('SIGKILL');
  }

  /** Closes connections, as a network does that changes. @param isMeant whether one of them; all by default */
  cut(isMeant = () => true): void {
    for (const [socket, { upstream }] of this.#links) {
      if (!isMeant()) continue;
      socket.destroy();
      upstream.destroy();
    }
  }

  /**
   * Connections of now stay and carry nothing: neither side hears that the other is gone.
   * @param isMeant whether one of them; all by default
   */
  swallow(isMeant = () => true): void {
    for (const [socket, { upstream }] of this.#links) {
      if (!isMeant()) continue;
      socket.unpipe(upstream);
      upstream.unpipe(socket);
      // Held for ever, as a network that swallows does; new connections are served.
      this.#links.delete(socket);
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.cut();
    this.#balancer.close();
    // A successor that is just starting is ended as well, or it would outlive the test.
    await Promise.all(this.#launching);
    await Promise.all(
      this.#pods.map(async ({ gateway, redisGate }) => {
        gateway?.child.kill('SIGKILL');
        await gateway?.exited;
        redisGate.close();
      }),
    );
  }

  async #launch(index: number): Promise<void> {
    const pod = this.#pods[index];
    if (pod === undefined || this.#closed) return;
    const gateway = await serveGateway({
      ...this.#options.env,
      REDIS_URL: `redis://127.0.0.1:${pod.redisGate.port}`,
    }).catch((error: unknown) => {
      if (this.#closed) return undefined;
      throw error;
    });
    if (gateway === undefined) return;
    if (this.#closed) {
      gateway.child.kill('SIGKILL');
      await gateway.exited;
      return;
    }
    pod.gateway = gateway;
    void gateway.exited.then(() => {
      pod.gateway = undefined;
      if (this.#closed) return;
      this.#options.onDeath?.();
      const launching = this.#launch(index).finally(() => this.#launching.delete(launching));
      this.#launching.add(launching);
    });
  }

  #forward(socket: Socket, tries: number): void {
    socket.on('error', () => undefined);
    const index = this.#next++ % this.#pods.length;
    const url = this.#pods[index]?.gateway?.url;
    if (url === undefined) {
      if (tries > 0) this.#forward(socket, tries - 1);
      else socket.destroy();
      return;
    }
    const upstream = connect(Number(new URL(url).port), '127.0.0.1');
    upstream.once('connect', () => {
      this.#links.set(socket, { upstream, pod: index });
      socket.pipe(upstream).pipe(socket);
    });
    upstream.once('error', () => socket.destroy());
    upstream.once('close', () => {
      this.#links.delete(socket);
      socket.destroy();
    });
    socket.once('close', () => {
      this.#links.delete(socket);
      upstream.destroy();
    });
  }
}
