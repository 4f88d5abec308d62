import type { Server } from 'socket.io';
import { GatewayError } from '../errors.ts';
import type { ClientToServerEvents, ServerToClientEvents } from '../protocol/events.ts';
import type { WatchRequest } from '../protocol/watch-request.ts';
import { type WatchSecrets, watchSecretsOf } from '../resume/tokens.ts';
import { isSessionId } from '../store/session-id.ts';
import type { Viewer } from './viewer.ts';
import { WatchedSession, type WatchParts } from './watched-session.ts';

export type ViewersOptions = WatchParts;

/** The viewers of this process: those of one session share what is read and heard of it. */
export class Viewers {
  readonly #options: ViewersOptions;
  readonly #io: Server<ClientToServerEvents, ServerToClientEvents>;
  readonly #sessions = new Map<string, WatchedSession>();

  /** @param io whose rooms stay in this process */
  constructor(options: ViewersOptions, io: Server<ClientToServerEvents, ServerToClientEvents>) {
    this.#options = options;
    this.#io = io;
  }

  /**
   * Shows a session to a viewer: what it missed, then what comes.
   * @returns ends that, and resolves `joined` when the viewer has what there was; that rejects with `watch_refused` or
   *   `store_unavailable`
   * @throws GatewayError `watch_refused`
   */
  watch({ sessionId, watchToken }: WatchRequest, viewer: Viewer): { leave: () => void; joined: Promise<void> } {
    const secrets = watchSecretsOf(watchToken);
    // Nothing else ever was a session, and this becomes the name of a room.
    if (secrets === undefined || !isSessionId(sessionId))
      throw new GatewayError('watch_refused', 'watch_transcription: not a session that this token opens.');
    // Nobody may spoil the watch of others by a wrong token: who has another one watches another session.
    const key = `${sessionId} ${watchToken}`;
    const session = this.#sessions.get(key) ?? this.#open(key, sessionId, secrets);
    return { leave: () => session.leave(viewer), joined: session.join(viewer) };
  }

  #open(key: string, sessionId: string, secrets: WatchSecrets): WatchedSession {
    const session: WatchedSession = new WatchedSession({
      ...this.#options,
      io: this.#io,
      sessionId,
      secrets,
      onIdle: () => {
        if (this.#sessions.get(key) === session) this.#sessions.delete(key);
      },
    });
    this.#sessions.set(key, session);
    return session;
  }
}
