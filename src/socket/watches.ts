import { GatewayError } from '../errors.ts';
import type { WatchRequest } from '../protocol/watch-request.ts';
import type { SendQueue } from './send-queue.ts';
import { Viewer } from './viewer.ts';
import type { Viewers } from './viewers.ts';

/** Sessions that one connection may watch: a page with a meeting in several rooms. */
const MAX_WATCHES = 16;

interface WatchesOptions {
  readonly socket: Viewer['socket'];
  readonly sendQueue: SendQueue;
  /** A watch was ended by a fault. */
  readonly failed: (error: GatewayError, sessionId: string) => void;
}

/** The sessions that one connection watches. */
export class Watches {
  readonly #viewers: Viewers;
  readonly #options: WatchesOptions;
  /** What ends each watch, by session. */
  readonly #leave = new Map<string, () => void>();

  constructor(viewers: Viewers, options: WatchesOptions) {
    this.#viewers = viewers;
    this.#options = options;
  }

  /**
   * @returns once the client has what was said before
   * @throws GatewayError `watch_refused`, `store_unavailable`, or `bad_request` if it watches too many
   */
  async begin(request: WatchRequest): Promise<void> {
    const { afterSeq, sessionId } = request;
    const { failed, sendQueue, socket } = this.#options;
    // Who watches again has lost its place.
    this.end(sessionId);
    if (this.#leave.size >= MAX_WATCHES) {
      throw new GatewayError('bad_request', `watch_transcription: at most ${MAX_WATCHES} sessions at once.`);
    }
    const forget = () => {
      if (this.#leave.get(sessionId) === leave) this.#leave.delete(sessionId);
    };
    const viewer = new Viewer({
      socket,
      sendQueue,
      afterSeq,
      onOver: (error) => {
        forget();
        if (error !== undefined) failed(error, sessionId);
      },
    });
    const { joined, leave } = this.#viewers.watch(request, viewer);
    this.#leave.set(sessionId, leave);
    try {
      await joined;
    } catch (error) {
      forget();
      throw error;
    }
  }

  end(sessionId: string): void {
    this.#leave.get(sessionId)?.();
    this.#leave.delete(sessionId);
  }

  /** Ends all. */
  close(): void {
    for (const leave of this.#leave.values()) leave();
  }
}
