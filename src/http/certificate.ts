import type { RequestListener, ServerOptions } from 'node:http';
import { createServer, type Server } from 'node:https';
import { createSecureContext } from 'node:tls';
import type { Logger } from '../log.ts';
import { WatchedFiles } from '../watched-files.ts';

interface Pem {
  readonly cert: string;
  readonly key: string;
}

/** The certificate of the server; new connections get the newest that fits its key. */
export class Certificate {
  readonly #files: WatchedFiles<Pem>;
  #server: Server | undefined;

  private constructor(files: WatchedFiles<Pem>) {
    this.#files = files;
  }

  /** @throws Error when the files cannot be read, or are no certificate with its key */
  static async open(certFile: string, keyFile: string, log: Logger, checkMs?: number): Promise<Certificate> {
    let certificate: Certificate | undefined;
    const files = await WatchedFiles.open([certFile, keyFile], {
      parse: ([cert = '', key = '']) => {
        // Throws unless they belong together; of two files one is always written first.
        createSecureContext({ cert, key });
        return { cert, key };
      },
      changed: (error) => {
        if (error === undefined) {
          certificate?.renew();
          log.info('the TLS certificate was read again');
        } else log.error({ err: error }, 'the TLS certificate is at fault; the one read before stays in use');
      },
      ...(checkMs !== undefined && { checkMs }),
    });
    certificate = new Certificate(files);
    return certificate;
  }

  /** The server that this is the certificate of, also when it changes. */
  createServer(listener: RequestListener, options: ServerOptions = {}): Server {
    const handshakeTimeout = options.headersTimeout;
    const tls = handshakeTimeout === undefined ? this.#files.value : { ...this.#files.value, handshakeTimeout };
    this.#server = createServer({ ...options, ...tls }, listener);
    return this.#server;
  }

  renew(): void {
    this.#server?.setSecureContext(this.#files.value);
  }

  /** Idempotent. */
  close(): void {
    this.#files.close();
  }
}
