import { once } from 'node:events';
import { createServer, type Server, type Socket } from 'node:net';
import { GatewayError } from '../../errors.ts';
import type { Engine, EngineStream, EngineStreamOptions } from '../engine.ts';
import { Channel } from './channel.ts';
import type { FromHost, ToHost } from './messages.ts';
import { toSentError } from './sent-error.ts';

/** How often it is looked whether the engine has room, in milliseconds. */
const ROOM_MS = 500;

export interface EngineHost {
  /** Ends every client's streams and connection. The engine stays as it is. Idempotent. */
  close(): Promise<void>;
}

/**
 * Lets other processes of this machine use an engine, by `connectEngine`. Whoever can open the path can use it.
 * @param path of a Unix domain socket that is made here and removed by `close`; on Windows the name of a pipe
 * @throws GatewayError `engine_unavailable` with the reason for the operator
 */
export async function serveEngine(engine: Engine, path: string): Promise<EngineHost> {
  const clients = new Set<Client>();
  const server = createServer((socket) => {
    const client = new Client(engine, socket);
    clients.add(client);
    void client.gone.then(() => clients.delete(client));
  });
  await listen(server, path);
  // A connection that could not be accepted is the client's to report.
  server.on('error', () => undefined);
  const closed = once(server, 'close').then(() => undefined);
  return {
    close() {
      if (server.listening) server.close();
      for (const client of clients) client.cut();
      return closed;
    },
  };
}

async function listen(server: Server, path: string): Promise<void> {
  try {
    server.listen(path);
    await once(server, 'listening');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const message = `The engine cannot be shared at ${path} (${code}): TMPDIR must name a writable directory with a short path.`;
    throw new GatewayError('engine_unavailable', message, { retryable: false, cause: error });
  }
}

/** A stream of a client: `stream` is undefined while it opens. */
interface Hosted {
  readonly opening: AbortController;
  stream?: EngineStream;
}

/** One connection, with the streams that run for it. */
class Client {
  readonly #engine: Engine;
  readonly #channel: Channel<FromHost, ToHost>;
  readonly #streams = new Map<number, Hosted>();
  #toldFull = false;

  constructor(engine: Engine, socket: Socket) {
    this.#engine = engine;
    this.#channel = new Channel(socket, (message) => this.#receive(message));
    const looks = setInterval(() => this.#tellRoom(), ROOM_MS);
    looks.unref();
    void this.gone.then(() => {
      clearInterval(looks);
      for (const id of [...this.#streams.keys()]) this.#abort(id);
    });
    this.#channel.send({ type: 'hello', capabilities: engine.capabilities });
  }

  #tellRoom(): void {
    const { isFull = false } = this.#engine;
    if (isFull === this.#toldFull) return;
    this.#toldFull = isFull;
    this.#channel.send({ type: 'room', isFull });
  }

  get gone(): Promise<void> {
    return this.#channel.closed;
  }

  cut(): void {
    this.#channel.destroy();
  }

  #receive(message: ToHost): void {
    switch (message.type) {
      case 'open':
        void this.#serve(message.stream, message.options);
        break;
      case 'audio':
        this.#write(message.stream, message.audio);
        break;
      case 'end':
        this.#streams.get(message.stream)?.stream?.end();
        break;
      case 'abort':
        this.#abort(message.stream);
        break;
      default:
        message satisfies never;
    }
  }

  /** The life of one stream. Never rejects. */
  async #serve(id: number, options: EngineStreamOptions): Promise<void> {
    const hosted: Hosted = { opening: new AbortController() };
    this.#streams.set(id, hosted);
    try {
      hosted.stream = await this.#engine.open(options, hosted.opening.signal);
      if (hosted.opening.signal.aborted) {
        hosted.stream.abort();
        return;
      }
      this.#channel.send({ type: 'opened', stream: id });
      for await (const result of hosted.stream.results) {
        this.#channel.send({ type: 'result', stream: id, result });
        // While the client does not read, results wait in the engine, which knows how to bound them.
        await this.#channel.keepsUp();
      }
      this.#over(id, { type: 'ended', stream: id });
    } catch (error) {
      this.#over(id, { type: 'failed', stream: id, error: toSentError(error) });
    }
  }

  #write(id: number, audio: Buffer): void {
    this.#streams
      .get(id)
      ?.stream?.write(audio)
      .then(
        () => this.#channel.send({ type: 'taken', stream: id }),
        (error: unknown) => this.#over(id, { type: 'failed', stream: id, error: toSentError(error) }),
      );
  }

  /** The stream has told its last; of one that was aborted nobody wants to know. */
  #over(id: number, last: FromHost): void {
    if (!this.#streams.has(id)) return;
    this.#abort(id);
    this.#channel.send(last);
  }

  #abort(id: number): void {
    const hosted = this.#streams.get(id);
    this.#streams.delete(id);
    hosted?.opening.abort();
    hosted?.stream?.abort();
  }
}
