import { type Store, StoreUnavailableError } from '../store/store.ts';
import type { OwnedSession } from './owned-session.ts';

/** How often watermarks are committed and fenced owners notice, in milliseconds. One round trip for all sessions. */
const HEARTBEAT_MS = 1_000;

/** Commits the watermarks of all sessions of a process and keeps their records. */
export class Heartbeat {
  readonly #store: Store;
  readonly #sessions: ReadonlyMap<string, OwnedSession>;
  readonly #timer: NodeJS.Timeout;
  #beating = false;

  /** @param sessions read anew at each beat */
  constructor(store: Store, sessions: ReadonlyMap<string, OwnedSession>) {
    this.#store = store;
    this.#sessions = sessions;
    this.#timer = setInterval(() => void this.#beat(), HEARTBEAT_MS);
    this.#timer.unref();
  }

  /** Idempotent. */
  close(): void {
    clearInterval(this.#timer);
  }

  async #beat(): Promise<void> {
    if (this.#beating || !this.#store.available) return;
    this.#beating = true;
    const now = performance.now();
    const due = [...this.#sessions.values()].flatMap((session) => {
      const update = session.update(now);
      return update === undefined ? [] : [{ session, update }];
    });
    try {
      const answers = due.length === 0 ? [] : await this.#store.update(due.map(({ update }) => update));
      for (const [index, { session, update }] of due.entries()) {
        const answer = answers[index];
        if (answer !== undefined) session.journal?.updated(update, answer);
      }
    } catch (error) {
      if (!(error instanceof StoreUnavailableError)) throw error;
    } finally {
      this.#beating = false;
    }
  }
}
