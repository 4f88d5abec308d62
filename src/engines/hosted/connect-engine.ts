import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { GatewayError } from '../../errors.ts';
import type { Engine, EngineCapabilities, EngineStream, EngineStreamOptions } from '../engine.ts';
import { Channel } from './channel.ts';
import type { FromHost, ToHost } from './messages.ts';
import { RemoteStream } from './remote-stream.ts';

/** The host says hello at once; one that does not within this, in milliseconds, is stuck. */
const HELLO_TIMEOUT_MS = 10_000;

/**
 * The engine that another process hosts at `path` by `serveEngine`, with its capabilities. To close it ends the streams of
 * this process and nothing else. When the host is gone, streams break with `engine_unavailable`, and so does every `open`.
 * @throws GatewayError `engine_unavailable` with the reason for the operator
 */
export async function connectEngine(path: string): Promise<Engine> {
  const socket = await reach(path);
  const hello = Promise.withResolvers<EngineCapabilities>();
  let receive = (message: FromHost) => {
    if (message.type === 'hello') hello.resolve(message.capabilities);
  };
  const channel = new Channel<ToHost, FromHost>(socket, (message) => receive(message));
  const timer = setTimeout(() => channel.destroy(), HELLO_TIMEOUT_MS);
  void channel.closed.then(() => hello.reject(new GatewayError('engine_unavailable', `Nobody answers at ${path}.`)));
  const engine = new RemoteEngine(await hello.promise.finally(() => clearTimeout(timer)), channel);
  receive = (message) => engine.receive(message);
  return engine;
}

async function reach(path: string): Promise<Socket> {
  const socket = connect(path);
  try {
    await once(socket, 'connect');
    return socket;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const message = `No engine is shared at ${path} (${code}).`;
    throw new GatewayError('engine_unavailable', message, { cause: error });
  }
}

class RemoteEngine implements Engine {
  readonly capabilities: EngineCapabilities;
  readonly #channel: Channel<ToHost, FromHost>;
  readonly #streams = new Map<number, RemoteStream>();
  #isFull = false;
  #lastStream = 0;
  /** Why no stream can be opened any more. */
  #over: string | undefined;

  constructor(capabilities: EngineCapabilities, channel: Channel<ToHost, FromHost>) {
    this.capabilities = capabilities;
    this.#channel = channel;
    void channel.closed.then(() => this.#lost());
  }

  async open({ applicant: _, ...options }: EngineStreamOptions, signal: AbortSignal): Promise<EngineStream> {
    signal.throwIfAborted();
    if (this.#over !== undefined) throw new GatewayError('engine_unavailable', this.#over);
    const id = ++this.#lastStream;
    this.#channel.send({ type: 'open', stream: id, options });
    const stream = new RemoteStream(id, options, {
      send: (message) => this.#channel.send(message),
      closed: () => this.#streams.delete(id),
    });
    this.#streams.set(id, stream);
    const onAbort = () => stream.abort();
    signal.addEventListener('abort', onAbort, { once: true });
    try {
      await stream.opened;
    } finally {
      signal.removeEventListener('abort', onAbort);
      signal.throwIfAborted();
    }
    return stream;
  }

  async close(): Promise<void> {
    this.#over ??= 'The engine is closed.';
    for (const stream of [...this.#streams.values()]) stream.abort();
    this.#channel.destroy();
    await this.#channel.closed;
  }

  get isFull(): boolean {
    return this.#isFull;
  }

  receive(message: FromHost): void {
    if (message.type === 'room') this.#isFull = message.isFull;
    else if (message.type !== 'hello') this.#streams.get(message.stream)?.receive(message);
  }

  #lost(): void {
    this.#over ??= 'The process that runs the speech engine is gone.';
    const error = new GatewayError('engine_unavailable', this.#over);
    for (const stream of [...this.#streams.values()]) stream.fail(error);
  }
}
