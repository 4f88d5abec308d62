import type { Registry } from 'prom-client';
import type { Verdict } from '../admin/server.ts';
import type { DrainPace } from '../app.ts';

/** All metrics of a process at one moment. */
export type MetricsSnapshot = Awaited<ReturnType<Registry['getMetricsAsJSON']>>;

/** What the primary tells a worker. */
export type ToWorker =
  /** Finish the sessions and end. */
  | { readonly type: 'drain'; readonly pace: DrainPace }
  /** Answer with `metrics` and the same number. */
  | { readonly type: 'report'; readonly request: number };

/** What a worker tells the primary. The first is `ready` or `start_failed`. */
export type FromWorker =
  /** Takes connections from now on. */
  | { readonly type: 'ready'; readonly engine: string }
  /** Ends; the message is for the operator. */
  | { readonly type: 'start_failed'; readonly message: string }
  /** Takes no connections any more: it ends after an uncaught error. */
  | { readonly type: 'failing' }
  /** Without a request it comes unasked, so that little is missing from the counters of a worker that dies. */
  | { readonly type: 'metrics'; readonly request: number | undefined; readonly metrics: MetricsSnapshot }
  /** Whether new clients are welcome. Comes with the unasked metrics. */
  | { readonly type: 'readiness'; readonly verdict: Verdict };

/**
 * The channel also carries the messages of `@socket.io/sticky`, which are told by a `type` of their own; ours are one
 * level down, so that neither side ever takes one for the other.
 */
export interface Envelope<Message> {
  readonly gateway: Message;
}

/** Our message in what came over the channel, if it is one of ours. Both ends are always the same version. */
export function unwrap<Message>(received: unknown): Message | undefined {
  const isOurs = typeof received === 'object' && received !== null && 'gateway' in received;
  return isOurs ? (received as Envelope<Message>).gateway : undefined;
}
