import { createAdapter, createShardedAdapter } from '@socket.io/redis-adapter';
import { type DefaultEventsMap, Server, type Socket } from 'socket.io';
import type { SealedPartial } from '../resume/partial-cipher.ts';
import type { Audience, ShownPartial } from '../session/audience.ts';
import type { PubSub } from '../store/index.ts';
import type { JournalEntry } from '../store/store.ts';

/** What the owner of a session says to the workers of its viewers. */
export type LiveEvent =
  | { readonly kind: 'entry'; readonly epoch: number; readonly entry: JournalEntry }
  | { readonly kind: 'partial'; readonly partial: ShownPartial }
  | { readonly kind: 'stopped' };

interface BetweenServers {
  watched: (sessionId: string) => void;
  claimed: (sessionId: string, epoch: number) => void;
}

/** What workers tell one another of sessions, wherever these are. Nothing rests on it but speed. */
export interface Notices {
  /** Viewers have come. */
  watched(sessionId: string): void;
  /** Another worker has claimed it. */
  claimedElsewhere(sessionId: string, epoch: number): void;
}

/**
 * The rooms that workers share: one for each watched session, whose members are the workers of its viewers and no
 * clients. It is a Socket.IO server on which nobody can connect, so that the one with the clients, whose results are
 * private, has no adapter by which they could leave the process. What passes here is sealed as it is in the journal.
 */
export class PodBus implements Audience {
  readonly #server: Server<DefaultEventsMap, DefaultEventsMap, BetweenServers>;
  readonly #isShared: boolean;
  #members = 0;
  #notices: Notices | undefined;

  /**
   * @param pubSub undefined where there is no other worker
   * @param prefix before every channel
   */
  constructor(pubSub: PubSub | undefined, prefix: string) {
    this.#isShared = pubSub !== undefined;
    this.#server = new Server();
    this.#server.on('watched', (sessionId) => this.#notices?.watched(sessionId));
    this.#server.on('claimed', (sessionId, epoch) => this.#notices?.claimedElsewhere(sessionId, epoch));
    if (pubSub === undefined) return;
    const { isCluster, publisher, subscriber } = pubSub;
    const channelPrefix = `${prefix}live`;
    this.#server.adapter(
      isCluster
        ? createShardedAdapter(publisher, subscriber, { channelPrefix, subscriptionMode: 'dynamic' })
        : createAdapter(publisher, subscriber, { key: channelPrefix }),
    );
  }

  /**
   * Hears of a session from now on.
   * @returns ends that
   */
  join(sessionId: string, listener: (event: LiveEvent) => void): () => void {
    const { adapter, sockets } = this.#server.of('/');
    const id = `${sessionId} ${++this.#members}`;
    // The adapter gives packets to the members of a room, and needs no more of a socket than this to do it.
    const member = {
      notifyOutgoingListeners: ({ data }: { data: unknown }) => {
        const event = liveEvent(data);
        if (event !== undefined) listener(event);
      },
      client: { writeToEngine: () => undefined },
    };
    sockets.set(id, member as unknown as Socket);
    void adapter.addAll(id, new Set([sessionId]));
    return () => {
      adapter.delAll(id);
      sockets.delete(id);
    };
  }

  /** Tells the owner of a session, wherever it is, that viewers have come. It would find out with its next write. */
  announce(sessionId: string): void {
    this.#notices?.watched(sessionId);
    if (this.#isShared) this.#server.serverSideEmit('watched', sessionId);
  }

  /** Tells all other workers that a session is this one's now. */
  tellClaim(sessionId: string, epoch: number): void {
    if (this.#isShared) this.#server.serverSideEmit('claimed', sessionId, epoch);
  }

  /** Who hears what others tell. */
  notify(notices: Notices): void {
    this.#notices = notices;
  }

  entry(sessionId: string, epoch: number, { data, endSample, seq, startSample }: JournalEntry): void {
    this.#say(sessionId, 'entry', epoch, seq, startSample, endSample, data);
  }

  partial(sessionId: string, { afterSeq, data, endSample, epoch, order, startSample }: ShownPartial): void {
    this.#say(sessionId, 'partial', epoch, order, afterSeq, startSample, endSample, data);
  }

  stopped(sessionId: string): void {
    this.#say(sessionId, 'stopped');
  }

  async close(): Promise<void> {
    await this.#server.of('/').adapter.close();
  }

  /** After what is said to the speaker, who comes first. */
  #say(sessionId: string, event: LiveEvent['kind'], ...data: unknown[]): void {
    setImmediate(() => this.#server.to(sessionId).emit(event, ...data));
  }
}

/** Undefined for what another version may say. Numbers and bytes are checked by opening what they belong to. */
function liveEvent(data: unknown): LiveEvent | undefined {
  if (!Array.isArray(data)) return undefined;
  const [kind, ...values] = data as readonly unknown[];
  const bytes = values.at(-1);
  const numbers = values.slice(0, -1).map(Number);
  switch (kind) {
    case 'entry': {
      const [epoch = 0, seq = 0, startSample = 0, endSample = 0] = numbers;
      if (!(bytes instanceof Uint8Array)) return undefined;
      return { kind, epoch, entry: { seq, startSample, endSample, data: Buffer.from(bytes) } };
    }
    case 'partial': {
      const [epoch = 0, order = 0, afterSeq = 0, startSample = 0, endSample = 0] = numbers;
      if (!(bytes instanceof Uint8Array)) return undefined;
      const sealed: SealedPartial = { afterSeq, startSample, endSample, data: Buffer.from(bytes) };
      return { kind, partial: { ...sealed, epoch, order } };
    }
    case 'stopped':
      return { kind };
    default:
      return undefined;
  }
}
