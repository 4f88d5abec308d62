import { Cluster, type Redis } from 'ioredis';
import type { Logger } from '../log.ts';
import { createClient, retryDelay } from './redis-client.ts';
import type { RedisTarget } from './redis-target.ts';
import type { ScriptName } from './scripts.ts';
import { StoreUnavailableError } from './store.ts';

/** An answer of Redis: numbers, byte strings, lists. */
export type Reply = Buffer | number | null | readonly Reply[];

/** What a store needs of Redis: to run one atomic operation. */
export interface ScriptRunner {
  /**
   * Calls of one caller reach Redis in order.
   * @throws StoreUnavailableError at once while there is no connection, or when no answer came in time
   */
  run(name: ScriptName, keys: readonly string[], args: readonly (string | number | Buffer)[]): Promise<Reply>;
  readonly available: boolean;
  /** Whether keys with several hash tags need several calls. */
  readonly isCluster: boolean;
  onAvailability(listener: (available: boolean) => void): () => void;
  close(): void;
}

/** Told of each call. @param seconds that the answer took; undefined if there was none */
export type CallObserver = (call: ScriptName, seconds: number | undefined) => void;

/** The calls that a worker may have under way: far above what its sessions make in the time that a call may take. */
const MAX_UNDER_WAY = 10_000;

/** The text is all that ioredis gives to tell this error by. */
const TIMED_OUT = 'Command timed out';

type Command = (keys: number, ...args: readonly (string | number | Buffer)[]) => Promise<Reply>;

/**
 * The connection to Redis, or to the nodes of a cluster, and whether it is there. Every failure of whatever kind becomes
 * a `StoreUnavailableError`; no rejection and no error event is left unhandled.
 *
 * Scripts are sent by their hash, and in full where a connection first needs them. Only if an operator empties the
 * script cache under a living connection is a call sent twice, and can be overtaken by one that came after it. The same
 * holds for a call that a cluster redirects. The head that every write names shows that, and a repeat mends it.
 */
export class RedisLink implements ScriptRunner {
  readonly isCluster: boolean;
  readonly #client: Redis | Cluster;
  readonly #log: Logger;
  readonly #onCall: CallObserver;
  readonly #listeners = new Set<(available: boolean) => void>();
  /** Nodes that a ping is on the way to, and those that did not answer one. */
  readonly #probed = new WeakSet<Redis>();
  #available = false;
  #closed = false;
  #underWay = 0;
  /** How often in a row the client has given up. */
  #ends = 0;
  #lastError = 'not connected yet';

  private constructor(client: Redis | Cluster, log: Logger, onCall: CallObserver) {
    this.#client = client;
    this.#log = log;
    this.#onCall = onCall;
    this.isCluster = client instanceof Cluster;
  }

  /** Begins to connect, and keeps trying until it is closed. */
  static open(target: RedisTarget, timeoutMs: number, log: Logger, onCall: CallObserver = () => undefined): RedisLink {
    const link = new RedisLink(createClient(target, timeoutMs), log, onCall);
    link.#listen();
    return link;
  }

  get available(): boolean {
    return this.#available;
  }

  /** For a library that brings operations of its own, and deals with their failures. */
  get client(): Redis | Cluster {
    return this.#client;
  }

  /** Resolves when the connection is there, or has not come about in the given time: false then. */
  async connected(withinMs: number): Promise<boolean> {
    if (this.#available) return true;
    return new Promise((resolve) => {
      const done = (isThere: boolean) => {
        clearTimeout(timer);
        stop();
        resolve(isThere);
      };
      const stop = this.onAvailability(done);
      const timer = setTimeout(done, withinMs, false);
    });
  }

  async run(name: ScriptName, keys: readonly string[], args: readonly (string | number | Buffer)[]): Promise<Reply> {
    if (this.#closed) throw new StoreUnavailableError('the store is closed');
    const begin = performance.now();
    let seconds: number | undefined;
    try {
      const reply = await this.#call(name, keys, args);
      seconds = (performance.now() - begin) / 1000;
      return reply;
    } finally {
      this.#onCall(name, seconds);
    }
  }

  onAvailability(listener: (available: boolean) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#client.disconnect();
    this.#setAvailable(false);
    this.#listeners.clear();
  }

  async #call(name: ScriptName, keys: readonly string[], args: readonly (string | number | Buffer)[]): Promise<Reply> {
    if (!this.#available) throw new StoreUnavailableError(`Redis is not reachable: ${this.#lastError}`);
    if (this.#underWay >= MAX_UNDER_WAY) throw new StoreUnavailableError('too many calls to Redis are under way');
    this.#underWay++;
    try {
      // Defined by ioredis from the scripts; its types cannot know the names.
      const commands = this.#client as unknown as Record<string, Command>;
      return (await commands[`${name}Buffer`]?.(keys.length, ...keys, ...args)) ?? null;
    } catch (error) {
      if (error instanceof Error && error.message === TIMED_OUT) this.#dropSilentConnections();
      throw new StoreUnavailableError(`Redis did not carry out ${name}: ${describe(error)}`);
    } finally {
      this.#underWay--;
    }
  }

  #listen(): void {
    const client = this.#client;
    client.on('error', (error: Error) => {
      this.#lastError = describe(error);
    });
    if (client instanceof Cluster) {
      client.on('ready', () => void this.#connectNodes());
      client.on('+node', () => setImmediate(() => void this.#connectNodes()));
    } else client.on('ready', () => this.#setAvailable(true));
    for (const event of ['close', 'reconnecting', 'end']) client.on(event, () => this.#setAvailable(false));
    // The client gives up where an attempt fails before there was a connection; nobody but we may end it.
    client.on('end', () => {
      if (!this.#closed) setTimeout(() => void this.#connectAgain(), retryDelay(++this.#ends)).unref();
    });
  }

  async #connectAgain(): Promise<void> {
    try {
      if (!this.#closed) await this.#client.connect();
    } catch (error) {
      this.#lastError = describe(error);
    }
  }

  /**
   * A cluster is ready when it knows its nodes. It connects to one with the first call for it, and meanwhile fails all
   * others, so the connections are made before. Not before it is ready: its own first question would fail likewise; and
   * not in the event that tells of a new node, because the call that was redirected there is its first.
   */
  async #connectNodes(): Promise<void> {
    if (!(this.#client instanceof Cluster) || this.#client.status !== 'ready') return;
    await Promise.all(this.#client.nodes().map(connectNode));
    if (this.#client.status === 'ready') this.#setAvailable(true);
  }

  /**
   * A connection on which nothing comes back is given up: otherwise the calls that have failed would pile up on it, and
   * would all be carried out when the server wakes. Which node of a cluster it is, a ping to each tells.
   */
  #dropSilentConnections(): void {
    if (!(this.#client instanceof Cluster)) {
      // Once: of the calls on one connection, all that are silent fail together.
      if (!this.#available) return;
      this.#client.disconnect(true);
      this.#lastError = TIMED_OUT;
      this.#setAvailable(false);
      return;
    }
    for (const node of this.#client.nodes()) {
      if (this.#probed.has(node)) continue;
      this.#probed.add(node);
      node
        .ping()
        .then(() => this.#probed.delete(node))
        .catch(() => node.disconnect());
    }
  }

  #setAvailable(available: boolean): void {
    if (this.#available === available || (available && this.#closed)) return;
    this.#available = available;
    if (available) {
      this.#ends = 0;
      this.#lastError = 'the connection was lost';
      this.#log.info('store available');
    }
    if (!available && !this.#closed) this.#log.warn({ reason: this.#lastError }, 'store unavailable');
    for (const listener of [...this.#listeners]) {
      try {
        listener(available);
      } catch (error) {
        // It runs in an event of the connection, where nobody else would catch it.
        this.#log.error({ err: error }, 'store listener failed');
      }
    }
  }
}

/** Resolves when the connection is there or has failed; which of the two, the calls show. */
async function connectNode(node: Redis): Promise<void> {
  if (node.status === 'ready' || node.status === 'end') return;
  await new Promise((resolve) => {
    for (const event of ['ready', 'close', 'end']) node.once(event, resolve);
    if (node.status === 'wait') node.connect().catch(resolve);
  });
}

/**
 * What went wrong, without what was sent: errors of ioredis carry the arguments of the command, and Redis repeats some
 * of them in the text behind its code.
 */
function describe(error: unknown): string {
  if (!(error instanceof Error)) return 'unknown fault';
  if (error.name === 'ReplyError') return /^[A-Z]+/.exec(error.message)?.[0] ?? 'ERR';
  const { code } = error as NodeJS.ErrnoException;
  return code === undefined || error.message.includes(code) ? error.message : `${code}: ${error.message}`;
}
