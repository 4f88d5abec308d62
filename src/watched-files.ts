import { readFile } from 'node:fs/promises';

/** How often files are read, in milliseconds. A Secret of Kubernetes is replaced by a link, which no watcher sees well. */
const CHECK_MS = 5_000;

interface WatchOptions<T> {
  /** Of the texts, in the order of the paths; throws an error whose message says what is wrong. */
  readonly parse: (texts: readonly string[]) => T;
  /** Told of each change: undefined if the new version is in force, otherwise why it is not. */
  readonly changed: (error: unknown) => void;
  /** Milliseconds; default 5,000. */
  readonly checkMs?: number;
}

/** What files say that may be changed while the gateway runs. A faulty version never replaces a good one. */
export class WatchedFiles<T> {
  readonly #paths: readonly string[];
  readonly #options: WatchOptions<T>;
  readonly #timer: NodeJS.Timeout;
  #texts: readonly string[];
  #value: T;
  #fault: string | undefined;

  private constructor(paths: readonly string[], texts: readonly string[], options: WatchOptions<T>) {
    this.#paths = paths;
    this.#options = options;
    this.#texts = texts;
    this.#value = options.parse(texts);
    this.#timer = setInterval(() => void this.#check(), options.checkMs ?? CHECK_MS);
    this.#timer.unref();
  }

  /** @throws whatever reading and parsing throw at first */
  static async open<T>(paths: readonly string[], options: WatchOptions<T>): Promise<WatchedFiles<T>> {
    return new WatchedFiles(paths, await readAll(paths), options);
  }

  get value(): T {
    return this.#value;
  }

  /** Idempotent. */
  close(): void {
    clearInterval(this.#timer);
  }

  async #check(): Promise<void> {
    try {
      const texts = await readAll(this.#paths);
      if (texts.every((text, index) => text === this.#texts[index])) return;
      this.#texts = texts;
      this.#value = this.#options.parse(texts);
      this.#fault = undefined;
      this.#options.changed(undefined);
    } catch (error) {
      // A file that stays away is told of once, not every five seconds.
      const fault = String(error);
      if (fault !== this.#fault) this.#options.changed(error);
      this.#fault = fault;
    }
  }
}

function readAll(paths: readonly string[]): Promise<string[]> {
  return Promise.all(paths.map((path) => readFile(path, 'utf8')));
}
