import type { TranscriptionError } from './errors.ts';
import { Link, type LinkEvents } from './link.ts';
import type { LineSettings } from './options.ts';
import { balancerKey } from './random.ts';
import { Tokens } from './tokens.ts';

/** Makes connections, one at a time. */
export class Dialer {
  readonly #settings: LineSettings;
  readonly #tokens: Tokens;
  #link: Link | undefined;
  #calls = 0;
  #cid = balancerKey();

  constructor(settings: LineSettings) {
    this.#settings = settings;
    this.#tokens = new Tokens(settings.token);
  }

  /** The present connection. */
  get link(): Link | undefined {
    return this.#link;
  }

  /** Connects with a token; the events tell what becomes of it. */
  dial(events: LinkEvents): void {
    this.hangUp();
    const call = this.#calls;
    const { socket, unresponsiveMs, url } = this.#settings;
    this.#tokens.get().then(
      (token) => {
        if (call !== this.#calls) return;
        this.#link = new Link({ url, cid: this.#cid, token, socket, unresponsiveMs }, events);
        this.#link.owe();
      },
      (error: TranscriptionError) => {
        if (call === this.#calls) events.closed(error);
      },
    );
  }

  /** A load balancer that goes by the key chooses anew for the next connection. */
  chooseAnew(): void {
    this.#cid = balancerKey();
  }

  /** Nothing of the connection, or of the attempt, is heard any more. */
  hangUp(): void {
    this.#calls += 1;
    this.#link?.close();
    this.#link = undefined;
  }

  /** The gateway said `unauthorized`. Returns whether another token may help. */
  refuseToken(): boolean {
    return this.#tokens.refuse();
  }

  /** The token has ended in mid-connection: brings another in, if there is a function to get one from. */
  renewToken(): void {
    const link = this.#link;
    // Otherwise the gateway will end the connection and say why.
    if (!this.#tokens.refuse()) return;
    this.#tokens.get().then(
      (token) => {
        if (link !== this.#link) return;
        link?.emit('refresh_token', { token }, (reply) => {
          if (reply?.ok === true) this.#tokens.accepted();
        });
      },
      // The next connection asks again, and fails with it.
      () => undefined,
    );
  }

  acceptToken(): void {
    this.#tokens.accepted();
  }
}
