import { collectDefaultMetrics, Registry } from 'prom-client';
import { declaringIn, PREFIX } from './declaring.ts';
import { createEngineMetrics, createStreamMetrics } from './engine-metrics.ts';
import { createLimitMetrics } from './limit-metrics.ts';
import { createServerMetrics } from './server-metrics.ts';
import { createSessionMetrics } from './session-metrics.ts';
import { createSocketMetrics } from './socket-metrics.ts';

/**
 * Every metric of the gateway, declared once. Labels are bounded: never a session, a user or an address.
 * Names follow the Prometheus conventions: base units, `_total` for counters.
 */
export function createMetrics() {
  const registry = new Registry();
  const { closedCounter, counter, gauge } = declaringIn(registry);

  return {
    registry,
    ...createSocketMetrics(registry),
    ...createSessionMetrics(registry),
    ...createStreamMetrics(registry),
    ...createEngineMetrics(registry),
    ...createServerMetrics(registry),
    viewers: gauge('viewers', 'Watches of sessions, one for each viewer and session.'),
    viewerReadsTotal: closedCounter('viewer_reads_total', 'Reads of journals for viewers, by outcome.', {
      outcome: ['read', 'unknown', 'forbidden', 'unavailable'],
    }),
    viewerPartialsSkippedTotal: counter(
      'viewer_partials_skipped_total',
      'Partials not sent to a viewer because an earlier one was still on its way.',
    ),
    liveMessagesTotal: closedCounter(
      'live_messages_total',
      'Messages to the workers of viewers, by whether Redis took them.',
      { outcome: ['published', 'lost'] },
    ),
    ...createLimitMetrics(registry),
    draining: gauge('draining', '1 while the gateway drains.', [], 'max'),
  };
}

export type Metrics = ReturnType<typeof createMetrics>;

/** What the primary of a cluster measures itself, its process included; beside the sums over its workers. */
export function createClusterMetrics() {
  const registry = new Registry();
  const { counter, gauge } = declaringIn(registry);
  collectDefaultMetrics({ register: registry });
  return {
    registry,
    workerUp: gauge(
      'worker_up',
      'With GATEWAY_WORKERS: 1 if the worker answered this scrape, 0 if it is blocked or being replaced.',
      ['worker'],
    ),
    workerExitsTotal: counter('worker_exits_total', 'With GATEWAY_WORKERS: workers that ended.'),
  };
}

export type ClusterMetrics = ReturnType<typeof createClusterMetrics>;

/** Adds the process and Node metrics; they use timers and native hooks, so only a whole gateway wants them. */
export function collectProcessMetrics(metrics: Metrics): void {
  collectDefaultMetrics({ register: metrics.registry });
}

/** What prom-client keeps of a metric; its types leave the names of the labels out. */
interface Declared {
  readonly name: string;
  readonly type: unknown;
  readonly help: string;
  readonly labelNames?: readonly string[];
}

/** The gateway's own metrics as rows of a Markdown table, for the README. */
export function metricsTable(...registries: readonly Registry[]): string {
  const rows = registries
    .flatMap((registry) => registry.getMetricsAsArray() as unknown as Declared[])
    .filter(({ name }) => name.startsWith(PREFIX))
    .map(({ help, labelNames = [], name, type }) => {
      const labels = labelNames.map((label) => `\`${label}\``).join(' ');
      return `| \`${name}\` | ${String(type)} | ${labels} | ${help} |`;
    });
  return ['| metric | type | labels | meaning |', '|---|---|---|---|', ...rows].join('\n');
}
