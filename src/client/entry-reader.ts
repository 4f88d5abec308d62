import { TranscriptionError } from './errors.ts';

/** Entries that a reader of the library may leave unread. */
const READER_LIMIT = 10_000;

interface Waiting<T> {
  resolve(result: IteratorResult<T, undefined>): void;
  reject(error: unknown): void;
}

/** An async iterator over what is pushed to it, bounded: a reader that falls behind for good gets an error. */
export class EntryReader<T> implements AsyncIterableIterator<T, undefined> {
  readonly #limit: number;
  readonly #onReturn: () => void;
  #queue: T[] = [];
  #waiting: Waiting<T>[] = [];
  #end: { readonly error: unknown } | undefined;

  constructor(limit: number, onReturn: () => void) {
    this.#limit = limit;
    this.#onReturn = onReturn;
  }

  push(entry: T): void {
    if (this.#end !== undefined) return;
    const waiting = this.#waiting.shift();
    if (waiting !== undefined) waiting.resolve({ done: false, value: entry });
    else if (this.#queue.length < this.#limit) this.#queue.push(entry);
    else this.end(new TranscriptionError('reader_overflow', `A reader has left ${this.#limit} entries unread.`));
  }

  /** What was pushed before can still be read; then comes the error, or the end. */
  end(error?: unknown): void {
    if (this.#end !== undefined) return;
    this.#end = { error };
    for (const waiting of this.#waiting.splice(0)) this.#settle(waiting);
  }

  next(): Promise<IteratorResult<T, undefined>> {
    const entry = this.#queue.shift();
    if (entry !== undefined) return Promise.resolve({ done: false, value: entry });
    return new Promise((resolve, reject) => {
      if (this.#end === undefined) this.#waiting.push({ resolve, reject });
      else this.#settle({ resolve, reject });
    });
  }

  return(): Promise<IteratorResult<T, undefined>> {
    this.#queue = [];
    this.end();
    this.#onReturn();
    return Promise.resolve({ done: true, value: undefined });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  /** An error is given once; after it there is nothing. */
  #settle(waiting: Waiting<T>): void {
    const error = this.#end?.error;
    this.#end = { error: undefined };
    if (error === undefined) waiting.resolve({ done: true, value: undefined });
    else waiting.reject(error);
  }
}

/** Everybody who reads the entries of one source, from when each came. */
export class EntryReaders<T> {
  readonly #open = new Set<EntryReader<T>>();
  #end: { readonly error: unknown } | undefined;

  add(): EntryReader<T> {
    const reader = new EntryReader<T>(READER_LIMIT, () => this.#open.delete(reader));
    if (this.#end === undefined) this.#open.add(reader);
    else reader.end(this.#end.error);
    return reader;
  }

  push(entry: T): void {
    for (const reader of this.#open) reader.push(entry);
  }

  /** Called once. */
  end(error: unknown): void {
    this.#end = { error };
    for (const reader of this.#open) reader.end(error);
    this.#open.clear();
  }
}
