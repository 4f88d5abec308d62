/** What a gateway of several workers that runs as `serve` tells of itself. */
import { readFileSync } from 'node:fs';
import { expect } from 'vitest';
import type { ServedGateway } from './process.ts';

export type LogLine = Record<string, unknown> & { readonly msg: string };

export function logsOf(gateway: ServedGateway): LogLine[] {
  const lines = gateway.stdout().split('\n');
  // The last one may be half written.
  return lines.slice(0, -1).map((line) => JSON.parse(line) as LogLine);
}

/** Process ids of the workers that became ready, by their places; of one place the newest. */
export function pidsOf(gateway: ServedGateway): Map<number, number> {
  const ready = logsOf(gateway).filter(({ msg }) => msg === 'worker ready');
  return new Map(ready.map(({ worker, worker_pid }) => [worker as number, worker_pid as number]));
}

export function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch {
    return false;
  }
  // One whose parent is gone may wait as a zombie for whoever takes it over.
  return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
}

/** Waits for the log lines of a place's replacement: the primary's, and the worker's own, which may come after it. */
export async function replaced(gateway: ServedGateway): Promise<void> {
  await gateway.saw(/"worker replaced"/);
  const place = logsOf(gateway).find(({ msg }) => msg === 'worker replaced')?.worker;
  const count = (text: string) => logsOf(gateway).filter(({ msg, worker }) => msg === text && worker === place).length;
  await expect.poll(() => count('worker ready') - count('worker ended unasked')).toBe(1);
}

/** The value of a sample of our metrics, by its name without the prefix; 0 if it is not there. */
export async function metricOf(gateway: ServedGateway, sample: string): Promise<number> {
  const text = await (await fetch(`${gateway.adminUrl}/metrics`)).text();
  const line = text.split('\n').find((one) => one.startsWith(`transcribe_gateway_${sample} `));
  return line === undefined ? 0 : Number(line.split(' ').at(-1));
}
