import { TranscriptionError } from './errors.ts';
import type { TranscriptionOptions } from './options.ts';

/** Refusals in a row after which a fresh token is not worth asking for. */
const MAX_REFUSALS = 5;

/** The token of the handshake: asked for when there is none, kept until it is refused. */
export class Tokens {
  readonly #source: TranscriptionOptions['token'];
  #token: string | undefined;
  #refusals = 0;

  constructor(source: TranscriptionOptions['token']) {
    this.#source = source;
  }

  /** @throws TranscriptionError `token_failed` when the application's function throws or rejects */
  async get(): Promise<string | undefined> {
    if (typeof this.#source !== 'function') return this.#source;
    try {
      this.#token ??= await this.#source();
      return this.#token;
    } catch (error) {
      throw new TranscriptionError('token_failed', 'The token function failed.', { cause: error });
    }
  }

  /** The gateway said `unauthorized`. Returns whether another token may help. */
  refuse(): boolean {
    this.#token = undefined;
    this.#refusals += 1;
    return typeof this.#source === 'function' && this.#refusals <= MAX_REFUSALS;
  }

  accepted(): void {
    this.#refusals = 0;
  }
}
