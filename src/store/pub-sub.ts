import { Cluster, type Redis } from 'ioredis';
import { createClient } from './redis-client.ts';
import type { RedisTarget } from './redis-target.ts';

/** A subscription that failed is asked for again, in milliseconds. */
const SUBSCRIBE_AGAIN_MS = 250;
/** A connection that only listens would not notice that nobody is there any more, in milliseconds. */
const PING_MS = 5_000;
/** The text is all that ioredis gives to tell this error by. */
const TIMED_OUT = 'Command timed out';

type Verb = 'psubscribe' | 'subscribe' | 'ssubscribe';
type Listener = (...args: never[]) => void;

/** The part of a client of Redis that publishes, as adapters of Socket.IO call it. */
export interface Publisher {
  publish(channel: string, message: string | Buffer): Promise<number>;
  spublish(channel: string, message: string | Buffer): Promise<number>;
  on(event: string, listener: Listener): void;
  off(event: string, listener: Listener): void;
}

/** The part that subscribes. */
export interface Subscriber {
  psubscribe(pattern: string): void;
  subscribe(channels: string | string[]): void;
  ssubscribe(channel: string): void;
  punsubscribe(pattern: string): void;
  unsubscribe(channels: string | string[]): void;
  sunsubscribe(channels: string | string[]): void;
  on(event: string, listener: Listener): void;
  off(event: string, listener: Listener): void;
}

/**
 * Messages between workers by way of Redis, for the adapters of Socket.IO, which neither wait for a client nor catch
 * what it throws. Nothing is queued, repeated or promised: what cannot be published at once is counted and forgotten, and
 * what cannot be subscribed to is asked for until it can.
 */
export class PubSub {
  readonly isCluster: boolean;
  readonly publisher: Publisher;
  readonly subscriber: Subscriber;
  readonly #clients: readonly (Redis | Cluster)[];
  readonly #ping: NodeJS.Timeout;
  readonly #wanted = new Set<string>();
  readonly #onPublished: (isLost: boolean) => void;
  #closed = false;

  /** @param onPublished told of each message, whether Redis took it */
  constructor(target: RedisTarget, timeoutMs: number, onPublished: (isLost: boolean) => void) {
    this.isCluster = target.mode === 'cluster';
    this.#onPublished = onPublished;
    const pub = createClient(target, timeoutMs);
    const sub = createClient(target, timeoutMs, true);
    this.#clients = [pub, sub];
    for (const client of this.#clients) {
      // The store's connection says what is wrong with Redis.
      client.on('error', () => undefined);
      client.on('end', () => this.#connectAgain(client));
    }
    // A connection begins without subscriptions; those of a cluster are kept by the client itself.
    if (!this.isCluster) sub.on('ready', () => this.#subscribeAgain(sub));
    this.publisher = {
      publish: (channel, message) => this.#publish(pub, () => pub.publish(channel, message)),
      spublish: (channel, message) => this.#publish(pub, () => pub.spublish(channel, message) as Promise<number>),
      on: () => undefined,
      off: () => undefined,
    };
    this.subscriber = {
      psubscribe: (pattern) => this.#subscribe(sub, 'psubscribe', pattern),
      subscribe: (channels) => this.#subscribe(sub, 'subscribe', channels),
      ssubscribe: (channel) => this.#subscribe(sub, 'ssubscribe', channel),
      punsubscribe: (pattern) => this.#unsubscribe('psubscribe', pattern, () => sub.punsubscribe(pattern)),
      unsubscribe: (channels) => this.#unsubscribe('subscribe', channels, () => sub.unsubscribe(...listOf(channels))),
      sunsubscribe: (channels) =>
        this.#unsubscribe('ssubscribe', channels, () => sub.sunsubscribe(...listOf(channels))),
      on: (event, listener) => void sub.on(event, listener as () => void),
      off: (event, listener) => void sub.off(event, listener as () => void),
    };
    this.#ping = setInterval(() => this.#checkSilence(sub), PING_MS);
    this.#ping.unref();
  }

  /** Resolves when both connections are there, or the time is over. */
  async connected(withinMs: number): Promise<void> {
    const deadline = AbortSignal.timeout(withinMs);
    const ready = (client: Redis | Cluster) =>
      new Promise<void>((resolve) => {
        if (client.status === 'ready') resolve();
        client.once('ready', resolve);
        deadline.addEventListener('abort', () => resolve());
      });
    await Promise.all(this.#clients.map(ready));
  }

  close(): void {
    this.#closed = true;
    clearInterval(this.#ping);
    for (const client of this.#clients) client.disconnect();
  }

  async #publish(client: Redis | Cluster, call: () => Promise<number>): Promise<number> {
    try {
      const receivers = await call();
      this.#onPublished(false);
      return receivers;
    } catch (error) {
      this.#onPublished(true);
      this.#dropIfSilent(client, error);
      return 0;
    }
  }

  #subscribe(client: Redis | Cluster, verb: Verb, channels: string | string[]): void {
    for (const channel of listOf(channels)) {
      this.#wanted.add(`${verb} ${channel}`);
      void this.#subscribeUntilDone(client, verb, channel);
    }
  }

  #subscribeAgain(client: Redis | Cluster): void {
    for (const wanted of this.#wanted) {
      const [verb, ...channel] = wanted.split(' ');
      void this.#subscribeUntilDone(client, verb as Verb, channel.join(' '));
    }
  }

  async #subscribeUntilDone(client: Redis | Cluster, verb: Verb, channel: string): Promise<void> {
    if (this.#closed || !this.#wanted.has(`${verb} ${channel}`)) return;
    try {
      await client[verb](channel);
    } catch {
      setTimeout(() => void this.#subscribeUntilDone(client, verb, channel), SUBSCRIBE_AGAIN_MS).unref();
    }
  }

  #unsubscribe(verb: Verb, channels: string | string[], call: () => Promise<unknown>): void {
    for (const channel of listOf(channels)) this.#wanted.delete(`${verb} ${channel}`);
    if (this.#closed) return;
    // Without a connection there is nothing to end but what is remembered for the next one.
    void call().catch(() => undefined);
  }

  #checkSilence(client: Redis | Cluster): void {
    if (client instanceof Cluster || client.status !== 'ready') return;
    client.ping().catch((error: unknown) => this.#dropIfSilent(client, error));
  }

  /** What a silent connection still holds would be delivered, stale, when the server wakes. */
  #dropIfSilent(client: Redis | Cluster, error: unknown): void {
    const isSilent = error instanceof Error && error.message === TIMED_OUT && client.status === 'ready';
    if (isSilent && !(client instanceof Cluster)) client.disconnect(true);
  }

  /** The client gives up where an attempt fails before there was a connection; nobody but we may end it. */
  #connectAgain(client: Redis | Cluster): void {
    if (this.#closed) return;
    setTimeout(() => {
      if (!this.#closed) client.connect().catch(() => undefined);
    }, SUBSCRIBE_AGAIN_MS).unref();
  }
}

function listOf(channels: string | string[]): string[] {
  return typeof channels === 'string' ? [channels] : channels;
}
