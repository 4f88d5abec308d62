import type { Metrics } from '../metrics/metrics.ts';
import type { Ack, ClientEvent, ProtocolVersion } from '../protocol/events.ts';

interface AnswerOptions {
  readonly event: ClientEvent;
  /** What came with it; a callback, if the client gave one, is the last. */
  readonly args: readonly unknown[];
  /** Version 1 gets the empty answer of the original server. */
  readonly protocol: ProtocolVersion;
  readonly metrics: Pick<Metrics, 'eventsTotal' | 'eventSeconds'>;
}

/** Answers an event that has just arrived, at most once. */
export function answerTo({ args, event, metrics, protocol }: AnswerOptions): Ack {
  const callback = args.at(-1);
  const arrivedAt = performance.now();
  let answered = false;
  return (reply) => {
    if (answered) return;
    answered = true;
    metrics.eventsTotal.inc({ event, outcome: reply?.ok === false ? 'error' : 'ok' });
    metrics.eventSeconds.observe({ event }, (performance.now() - arrivedAt) / 1000);
    if (typeof callback !== 'function') return;
    if (protocol === 1) callback();
    else callback(reply);
  };
}
