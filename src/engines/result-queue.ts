import type { EngineResult } from './engine.ts';

/**
 * Results between an engine's stream and its single reader. It never refuses a result: the stream stops sending audio
 * while `hasRoom` is false, which bounds what can still come. A partial that waits is replaced by the next result of
 * its utterance, so only finals pile up.
 */
export class ResultQueue implements AsyncIterable<EngineResult> {
  readonly #limit: number;
  readonly #onRoom: () => void;
  readonly #onAbandoned: () => void;
  #queue: EngineResult[] = [];
  /** Set once no result will be added; `error` is thrown to the reader when the queue is empty. */
  #closed: { readonly error?: Error } | undefined;
  #reader: PromiseWithResolvers<IteratorResult<EngineResult, undefined>> | undefined;

  /**
   * @param limit results that may wait before `hasRoom` turns false
   * @param onAbandoned called when the reader leaves its loop early
   * @param onRoom called when a reader has made room again
   */
  constructor(limit: number, onAbandoned: () => void, onRoom: () => void = () => undefined) {
    this.#limit = limit;
    this.#onRoom = onRoom;
    this.#onAbandoned = onAbandoned;
  }

  get hasRoom(): boolean {
    return this.#queue.length < this.#limit;
  }

  /** True once no result will be added. */
  get closed(): boolean {
    return this.#closed !== undefined;
  }

  push(result: EngineResult): void {
    if (this.#closed !== undefined) return;
    if (this.#reader !== undefined) {
      this.#reader.resolve({ done: false, value: result });
      this.#reader = undefined;
      return;
    }
    const last = this.#queue.at(-1);
    if (last?.isPartial && last.resultId === result.resultId) this.#queue.pop();
    this.#queue.push(result);
  }

  /** No result will follow. Those that wait are still read, then the reader ends, or gets `error`. */
  close(error?: Error): void {
    if (this.#closed !== undefined) return;
    this.#closed = error === undefined || this.#reader !== undefined ? {} : { error };
    if (this.#reader === undefined) return;
    if (error === undefined) this.#reader.resolve({ done: true, value: undefined });
    // A reader that waits gets the error now, and only once.
    else this.#reader.reject(error);
    this.#reader = undefined;
  }

  /** Forgets what waits and ends the reader, also when an error was waiting for it. */
  discard(): void {
    this.#queue = [];
    this.close();
    this.#closed = {};
  }

  [Symbol.asyncIterator](): AsyncIterator<EngineResult, undefined> {
    return {
      next: () => this.#next(),
      return: async () => {
        this.#onAbandoned();
        return { done: true, value: undefined };
      },
    };
  }

  async #next(): Promise<IteratorResult<EngineResult, undefined>> {
    const hadRoom = this.hasRoom;
    const value = this.#queue.shift();
    if (value !== undefined) {
      if (!hadRoom && this.hasRoom) this.#onRoom();
      return { done: false, value };
    }
    if (this.#closed?.error !== undefined) {
      const { error } = this.#closed;
      this.#closed = {};
      throw error;
    }
    if (this.#closed !== undefined) return { done: true, value: undefined };
    if (this.#reader !== undefined) throw new Error('the results of a stream have a single reader');
    this.#reader = Promise.withResolvers();
    return this.#reader.promise;
  }
}
