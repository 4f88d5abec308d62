import { ClientSession, type SessionWorld } from './session.ts';

/** The present session of the gateway and the count of all. */
export class Sessions {
  readonly #world: SessionWorld;
  #current: ClientSession | undefined;
  #count = 0;
  #entries = 0;

  constructor(world: SessionWorld) {
    const { output } = world;
    this.#world = {
      ...world,
      output: {
        partial: (partial) => output.partial(partial),
        entry: (entry) => {
          this.#entries = entry.seq;
          output.entry(entry);
        },
      },
    };
  }

  get current(): ClientSession | undefined {
    return this.#current;
  }

  /** Sessions so far. */
  get count(): number {
    return this.#count;
  }

  /** The present session if the event is about it, otherwise a new one. */
  of(event: { session_id?: string; resume_token?: string; epoch?: number }): ClientSession {
    const { epoch, resume_token: resumeToken, session_id: id } = event;
    if (this.#current === undefined || this.#current.id !== id) {
      this.#count += 1;
      this.#current = new ClientSession({ ...this.#world, id, resumeToken, epoch, entriesBefore: this.#entries });
    }
    return this.#current;
  }

  /** Events without a name are about the present session. */
  isOurs(event: { session_id?: string }): boolean {
    return event.session_id === undefined || event.session_id === this.#current?.id;
  }

  /** The connection is lost. */
  connectionLost(): void {
    if (this.#current?.resumable !== true) this.#current = undefined;
  }

  forget(): void {
    this.#current = undefined;
  }
}
