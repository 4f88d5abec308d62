/** A drill: a fault of a live stack, the alerts that must fire for it, and their end when the fault is mended. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { type Emulator, startEmulator } from '../../src/emulator/emulator.ts';
import type { EmulatorOptions } from '../../src/emulator/options.ts';
import { type Act, Actor } from './actors.ts';
import { CronProbe } from './cron-probe.ts';
import { type ServedGateway, serveGateway } from './process.ts';
import { Prometheus } from './prometheus.ts';
import { RedisServer } from './redis.ts';
import { writeScaledRules } from './scaled-rules.ts';

const LOOK_MS = 250;
/** From the end of one probe to the next. */
const PROBE_EVERY_MS = 3_000;
/** For an alert to fire, and for it to be over. */
const PATIENCE_MS = 150_000;
/** Scrapes in health, so that there is something to compare with. */
const HEALTHY_SCRAPES = 4;

/** Something that goes wrong, and is put right again. */
export interface Fault {
  strike(): unknown;
  /** Idempotent. */
  mend(): unknown;
}

export interface Drill {
  /** What goes wrong, in words of the table. */
  readonly fault: string;
  /** The alerts that must fire, each with the factor by which its rules are quicker than in earnest. */
  readonly alerts: Readonly<Record<string, number>>;
  /** Between scrapes; a second by default. */
  readonly scrapeMs?: number;
  /** Builds a stack in health, with people who use it. */
  readonly prepare: (stage: Stage) => Promise<Fault>;
}

export interface DrillResult {
  readonly alert: string;
  readonly fault: string;
  readonly factor: number;
  /** Milliseconds from the beginning of the fault; undefined if it did not fire in time. */
  readonly firedMs: number | undefined;
  /** Milliseconds from the end of the fault; undefined if it was not over in time. */
  readonly clearedMs: number | undefined;
}

/** What a drill is made of; all of it ends with the drill. */
export class Stage {
  readonly #closers: (() => unknown)[] = [];
  readonly #adminUrls = new Set<string>();

  get adminUrls(): readonly string[] {
    return [...this.#adminUrls];
  }

  async gateway(env: Readonly<Record<string, string>>): Promise<ServedGateway> {
    const gateway = await serveGateway(env);
    this.#adminUrls.add(gateway.adminUrl);
    this.onClose(() => gateway.child.kill('SIGKILL'));
    return gateway;
  }

  async emulator(options: Partial<EmulatorOptions> = {}): Promise<Emulator> {
    const latency = { finalMs: { min: 100, max: 100 } };
    const emulator = await startEmulator({ recogniser: { kind: 'scripted', latency }, ...options });
    this.onClose(() => emulator.close());
    return emulator;
  }

  async redis(): Promise<RedisServer> {
    const redis = await RedisServer.start();
    this.onClose(() => redis.stop());
    return redis;
  }

  /** @returns what makes them stop */
  actors(count: number, url: string, auth: Readonly<Record<string, unknown>>, act: Act): () => Promise<unknown> {
    const actors = Array.from({ length: count }, () => new Actor(url, auth, act));
    const stop = () => Promise.all(actors.map((actor) => actor.stop()));
    this.onClose(stop);
    return stop;
  }

  /** Probes a gateway regularly. @returns once that has gone well for the first time */
  async probeOf(gatewayUrl: string): Promise<void> {
    const probe = await CronProbe.start(gatewayUrl, PROBE_EVERY_MS);
    this.#adminUrls.add(probe.adminUrl);
    this.onClose(() => probe.stop());
  }

  folder(): string {
    const folder = mkdtempSync(join(tmpdir(), 'drill-'));
    this.onClose(() => rmSync(folder, { recursive: true }));
    return folder;
  }

  /** What is added last is done first. */
  onClose(close: () => unknown): void {
    this.#closers.push(close);
  }

  async close(): Promise<void> {
    for (const close of this.#closers.splice(0).reverse()) await close();
  }
}

/** @throws Error if the stack does not come up or is not in health before the fault */
export async function runDrill({ alerts, fault, prepare, scrapeMs = 1_000 }: Drill): Promise<DrillResult[]> {
  const stage = new Stage();
  try {
    const accident = await prepare(stage);
    const factors = [...new Set(Object.values(alerts))];
    const watches = await Promise.all(
      factors.map(async (factor) => {
        const rules = writeScaledRules(stage.folder(), factor);
        const prometheus = await Prometheus.start(stage.adminUrls, { rules, scrapeMs });
        stage.onClose(() => prometheus.stop());
        return [factor, prometheus] as const;
      }),
    );
    const prometheuses = new Map(watches);
    const stateOf = async (alert: string) => (await prometheuses.get(alerts[alert] ?? 0)?.alerts())?.get(alert);
    await Promise.all([...prometheuses.values()].map(healthy));
    stage.onClose(() => accident.mend());

    const names = Object.keys(alerts);
    const struckAt = performance.now();
    await accident.strike();
    const fired = await Promise.all(
      names.map((name) => since(struckAt, async () => (await stateOf(name)) === 'firing')),
    );
    const mendedAt = performance.now();
    await accident.mend();
    const cleared = await Promise.all(
      names.map((name) => since(mendedAt, async () => (await stateOf(name)) === undefined)),
    );
    return names.map((alert, index) => ({
      alert,
      fault,
      factor: alerts[alert] ?? 1,
      firedMs: fired[index],
      clearedMs: fired[index] === undefined ? undefined : cleared[index],
    }));
  } finally {
    await stage.close();
  }
}

/** Waits until a Prometheus has seen every gateway for a while, and nothing is wrong with any. */
async function healthy(prometheus: Prometheus): Promise<void> {
  const query = `min(count_over_time(up[1h])) >= ${HEALTHY_SCRAPES} and min(up) == 1`;
  const isSeen = async () => (await prometheus.range(query)).length > 0;
  if ((await since(performance.now(), isSeen)) === undefined) throw new Error('the gateways are not scraped');
  const isQuiet = async () => ![...(await prometheus.alerts()).values()].includes('firing');
  if ((await since(performance.now(), isQuiet)) === undefined) throw new Error('alerts fire before there is a fault');
}

/** @returns milliseconds until something is so; undefined if that took too long */
async function since(beginning: number, isSo: () => Promise<boolean>): Promise<number | undefined> {
  const deadline = performance.now() + PATIENCE_MS;
  while (performance.now() < deadline) {
    if (await isSo()) return performance.now() - beginning;
    await delay(LOOK_MS);
  }
  return undefined;
}

export function hasPassed({ clearedMs, firedMs }: DrillResult): boolean {
  return firedMs !== undefined && clearedMs !== undefined;
}

/** The results as a table of Markdown; times in seconds. */
export function formatDrills(results: readonly DrillResult[]): string {
  const seconds = (ms: number | undefined) => (ms === undefined ? 'never' : `${(ms / 1_000).toFixed(1)} s`);
  const rows = results.map(
    ({ alert, clearedMs, factor, fault, firedMs }) =>
      `| ${alert} | ${fault} | ${seconds(firedMs)} | ${seconds(clearedMs)} | 1/${factor} |`,
  );
  return ['| alert | fault | fired after | cleared after | time |', '|---|---|---|---|---|', ...rows].join('\n');
}
