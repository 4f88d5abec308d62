import { describe, expect, it } from 'vitest';
import { FleetMetrics } from '../../../src/cluster/fleet-metrics.ts';
import type { MetricsSnapshot } from '../../../src/cluster/messages.ts';
import { createClusterMetrics, createMetrics, type Metrics } from '../../../src/metrics/metrics.ts';

/** Workers that answer when the test says so. */
class Workers {
  readonly slots = [1, 2];
  alive = new Set(this.slots);
  /** The last request, and the workers that have it. */
  asked: { request: number; slots: number[] } | undefined;
  onAsked: (request: number, slots: readonly number[]) => void = () => undefined;

  askForMetrics(request: number): number[] {
    const slots = [...this.alive];
    this.asked = { request, slots };
    queueMicrotask(() => this.onAsked(request, slots));
    return slots;
  }
}

function fleet() {
  const workers = new Workers();
  const metrics = new FleetMetrics(createClusterMetrics(), workers);
  const processes = new Map<number, Metrics>(workers.slots.map((slot) => [slot, createMetrics()]));
  const of = (slot: number) => processes.get(slot) as Metrics;
  const snapshot = (slot: number): Promise<MetricsSnapshot> => of(slot).registry.getMetricsAsJSON();
  workers.onAsked = async (request, slots) => {
    for (const slot of slots) metrics.reported(slot, await snapshot(slot), request);
  };
  const replace = (slot: number) => void processes.set(slot, createMetrics());
  const scrape = async () => {
    const text = await metrics.metrics();
    return (sample: string) => {
      const line = text.split('\n').find((one) => one.startsWith(`transcribe_gateway_${sample} `));
      return line === undefined ? undefined : Number(line.split(' ').at(-1));
    };
  };
  return { workers, metrics, of, snapshot, replace, scrape };
}

describe('the metrics of a cluster', () => {
  it('are sums over the workers, unless a sum would say nothing', async () => {
    const { of, scrape } = fleet();
    of(1).audioSecondsTotal.inc(2);
    of(2).audioSecondsTotal.inc(3);
    of(1).connections.inc({ protocol: '1' });
    of(2).connections.inc({ protocol: '2' }, 4);
    of(1).resultLatencySeconds.observe({ type: 'final' }, 0.2);
    of(2).resultLatencySeconds.observe({ type: 'final' }, 0.2);
    of(1).storeAvailable.set(1);
    of(2).storeAvailable.set(0);
    of(1).awsPoolState.set({ entry: 'a' }, 2);
    of(2).awsPoolState.set({ entry: 'a' }, 1);
    of(2).draining.set(1);
    const value = await scrape();
    expect(value('audio_seconds_total')).toBe(5);
    expect(value('connections{protocol="1"}')).toBe(1);
    expect(value('connections{protocol="2"}')).toBe(4);
    expect(value('result_latency_seconds_bucket{le="0.25",type="final"}')).toBe(2);
    expect(value('store_available')).toBe(0);
    expect(value('aws_pool_state{entry="a"}')).toBe(2);
    expect(value('draining')).toBe(1);
    expect(value('worker_up{worker="2"}')).toBe(1);
  });

  it('include the process of the primary itself', async () => {
    const { metrics } = fleet();
    expect(await metrics.metrics()).toMatch(/^process_resident_memory_bytes [1-9]/m);
    expect(metrics.contentType).toMatch(/^text\/plain/);
  });

  it('keep what a dead worker counted, and forget its gauges, however often workers die', async () => {
    const { metrics, of, replace, scrape, snapshot, workers } = fleet();
    for (let deaths = 1; deaths <= 3; deaths++) {
      of(1).audioSecondsTotal.inc(10);
      of(1).sessions.set(7);
      of(1).resultLatencySeconds.observe({ type: 'final' }, 0.2);
      metrics.reported(1, await snapshot(1), undefined);
      workers.alive.delete(1);
      metrics.exited(1);
      replace(1);
      const value = await scrape();
      expect(value('audio_seconds_total')).toBe(10 * deaths);
      expect(value('result_latency_seconds_count{type="final"}')).toBe(deaths);
      expect(value('sessions')).toBe(0);
      expect(value('worker_up{worker="1"}')).toBe(0);
      expect(value('worker_exits_total')).toBe(deaths);
      workers.alive.add(1);
    }
    expect((await scrape())('worker_up{worker="1"}')).toBe(1);
  });

  it('come after a second from a worker that is blocked, with what it last said', async () => {
    const { metrics, of, scrape, snapshot, workers } = fleet();
    of(1).sessions.set(3);
    of(2).sessions.set(4);
    await scrape();
    workers.onAsked = async (request) => metrics.reported(2, await snapshot(2), request);
    const begin = performance.now();
    const value = await scrape();
    expect(performance.now() - begin).toBeGreaterThan(900);
    expect(value('sessions')).toBe(7);
    expect(value('worker_up{worker="1"}')).toBe(0);
    expect(value('worker_up{worker="2"}')).toBe(1);
  });

  it('do not wait for a worker that dies while it is asked', async () => {
    const { metrics, scrape, snapshot, workers } = fleet();
    workers.onAsked = async (request) => {
      metrics.reported(2, await snapshot(2), request);
      metrics.exited(1);
    };
    const begin = performance.now();
    expect((await scrape())('worker_up{worker="1"}')).toBe(0);
    expect(performance.now() - begin).toBeLessThan(900);
  });

  it('are the own ones alone while no worker is up', async () => {
    const { scrape, workers } = fleet();
    workers.alive.clear();
    const value = await scrape();
    expect(value('worker_up{worker="1"}')).toBe(0);
    expect(value('sessions')).toBeUndefined();
  });
});
