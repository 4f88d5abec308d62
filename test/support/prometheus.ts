/** A real Prometheus that scrapes gateways of a test. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Running, run } from './process.ts';

const COMMAND = 'prometheus';

/** A time and a value in text, which may be `NaN`. */
type Sample = readonly [number, string];

export interface Series {
  readonly metric: Readonly<Record<string, string>>;
  readonly values: readonly Sample[];
}

interface PrometheusOptions {
  /** Paths of files with rules, which are evaluated after each scrape. */
  readonly rules?: readonly string[];
  /** Longer than a second where a worker may be blocked: so long the gateway waits for it. */
  readonly scrapeMs?: number;
}

/** Whether it is installed. A laptop may lack it; in CI nothing is skipped. */
export const NO_PROMETHEUS = !isInstalled() && process.env.CI === undefined;

export class Prometheus {
  readonly #url: string;
  readonly #folder: string;
  readonly #running: Running;
  readonly #startedAt = Date.now();

  private constructor(url: string, folder: string, running: Running) {
    this.#url = url;
    this.#folder = folder;
    this.#running = running;
  }

  /** @param adminUrls of the gateways, which become targets of the job `transcribe-gateway` */
  static async start(adminUrls: readonly string[], options: PrometheusOptions = {}): Promise<Prometheus> {
    const { rules = [], scrapeMs = 2_000 } = options;
    const folder = mkdtempSync(join(tmpdir(), 'prometheus-test-'));
    const targets = adminUrls.map((url) => new URL(url).host);
    const scrape = { job_name: 'transcribe-gateway', static_configs: [{ targets }] };
    const every = `${scrapeMs}ms`;
    // JSON is YAML.
    const configuration = {
      global: { scrape_interval: every, scrape_timeout: every, evaluation_interval: every },
      rule_files: rules,
      scrape_configs: [scrape],
    };
    writeFileSync(join(folder, 'prometheus.yml'), JSON.stringify(configuration));
    const running = run(COMMAND, [
      `--config.file=${join(folder, 'prometheus.yml')}`,
      `--storage.tsdb.path=${join(folder, 'data')}`,
      '--web.listen-address=127.0.0.1:0',
    ]);
    const [, address = ''] = await running.saw(/msg="Listening on" address=(\S+)/);
    // Until then it answers questions with 503.
    await running.saw(/Server is ready/);
    return new Prometheus(`http://${address}`, folder, running);
  }

  /**
   * What a panel over the time since the start gets.
   * @throws Error with what Prometheus says of a query that it cannot read
   */
  async range(query: string): Promise<readonly Series[]> {
    const parameters = { query, start: String(this.#startedAt / 1000), end: String(Date.now() / 1000), step: '1' };
    const { result } = await this.#ask<{ result: readonly Series[] }>('query_range', parameters);
    return result;
  }

  /** The alerts that wait for the end of their `for`, or fire, by name. */
  async alerts(): Promise<ReadonlyMap<string, 'pending' | 'firing'>> {
    type Alert = { readonly labels: { readonly alertname: string }; readonly state: 'pending' | 'firing' };
    const { alerts } = await this.#ask<{ alerts: readonly Alert[] }>('alerts', {});
    // One name may be there for several gateways: it fires where one fires.
    const inOrder = alerts.toSorted((a, b) => (a.state > b.state ? -1 : 1));
    return new Map(inOrder.map(({ labels, state }) => [labels.alertname, state]));
  }

  async #ask<T>(what: string, parameters: Readonly<Record<string, string>>): Promise<T> {
    const response = await fetch(`${this.#url}/api/v1/${what}?${new URLSearchParams(parameters)}`);
    const answer = (await response.json()) as { data?: T; error?: string };
    if (answer.data === undefined) throw new Error(`${Object.values(parameters)[0]}: ${answer.error}`);
    return answer.data;
  }

  async stop(): Promise<void> {
    this.#running.child.kill('SIGKILL');
    await this.#running.exited;
    rmSync(this.#folder, { recursive: true });
  }
}

function isInstalled(): boolean {
  try {
    execFileSync(COMMAND, ['--version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}
