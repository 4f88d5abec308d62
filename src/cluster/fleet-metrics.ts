import { setTimeout as delay } from 'node:timers/promises';
import { AggregatorRegistry } from 'prom-client';
import type { ClusterMetrics } from '../metrics/metrics.ts';
import type { MetricsSnapshot } from './messages.ts';

/** How long a scrape waits for the workers, in milliseconds. Scrapers give up after ten seconds or less. */
const ANSWER_MS = 1_000;

/** The workers, as far as metrics go. */
interface Workforce {
  readonly slots: readonly number[];
  askForMetrics(request: number): number[];
}

/**
 * The metrics of a cluster as one gateway's: the sums over its workers, and the primary's own.
 *
 * The sums of counters never drop. A worker that does not answer in time counts with what it last said, gauges too, for
 * its sessions are still there; `worker_up` tells it. One that has ended leaves its counters and histograms behind.
 *
 * The aggregation is prom-client's, the asking is not: its `clusterMetrics()` waits five seconds for a worker that is
 * blocked and then fails the whole scrape, and does not know workers that are held out.
 */
export class FleetMetrics {
  readonly #own: ClusterMetrics;
  readonly #workers: Workforce;
  readonly #latest = new Map<number, MetricsSnapshot>();
  /** Sums over the workers that have ended; no more entries than one worker has. */
  #left: MetricsSnapshot = [];
  readonly #requests = new Map<number, { readonly missing: Set<number>; readonly complete: () => void }>();
  #lastRequest = 0;

  constructor(own: ClusterMetrics, workers: Workforce) {
    this.#own = own;
    this.#workers = workers;
  }

  get contentType(): string {
    return this.#own.registry.contentType;
  }

  reported(slot: number, metrics: MetricsSnapshot, request: number | undefined): void {
    this.#latest.set(slot, metrics);
    if (request !== undefined) this.#answered(request, slot);
  }

  exited(slot: number): void {
    this.#own.workerExitsTotal.inc();
    const last = this.#latest.get(slot);
    this.#latest.delete(slot);
    if (last !== undefined) this.#left = addUp([this.#left, last.filter(isCumulative)]);
    for (const request of [...this.#requests.keys()]) this.#answered(request, slot);
  }

  /** In the text format of Prometheus. */
  async metrics(): Promise<string> {
    const silent = await this.#ask();
    for (const slot of this.#workers.slots) {
      const isUp = this.#latest.has(slot) && !silent.has(slot);
      this.#own.workerUp.set({ worker: String(slot) }, isUp ? 1 : 0);
    }
    const own = await this.#own.registry.getMetricsAsJSON();
    return AggregatorRegistry.aggregate([own, this.#left, ...this.#latest.values()]).metrics();
  }

  /** Asks all workers and waits a while; returns those that have not answered. */
  async #ask(): Promise<ReadonlySet<number>> {
    const request = ++this.#lastRequest;
    const { promise, resolve } = Promise.withResolvers<void>();
    const missing = new Set(this.#workers.askForMetrics(request));
    if (missing.size === 0) return missing;
    this.#requests.set(request, { missing, complete: resolve });
    const timeout = new AbortController();
    await Promise.race([promise, delay(ANSWER_MS, undefined, { signal: timeout.signal }).catch(() => undefined)]);
    timeout.abort();
    this.#requests.delete(request);
    return missing;
  }

  #answered(request: number, slot: number): void {
    const pending = this.#requests.get(request);
    if (pending?.missing.delete(slot) && pending.missing.size === 0) pending.complete();
  }
}

/** What only grows, and so still counts when its process is gone. prom-client's types have numbers here, its values are words. */
function isCumulative({ type }: MetricsSnapshot[number]): boolean {
  return ['counter', 'histogram'].includes(String(type));
}

function addUp(snapshots: MetricsSnapshot[]): MetricsSnapshot {
  // The aggregated metrics are their own snapshots: prom-client lays the sums on them.
  return AggregatorRegistry.aggregate(snapshots).getMetricsAsArray() as unknown as MetricsSnapshot;
}
