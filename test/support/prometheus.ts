/** A real Prometheus that scrapes gateways of a test every second. */
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
  static async start(adminUrls: readonly string[]): Promise<Prometheus> {
    const folder = mkdtempSync(join(tmpdir(), 'prometheus-test-'));
    const targets = adminUrls.map((url) => new URL(url).host);
    const scrape = { job_name: 'transcribe-gateway', static_configs: [{ targets }] };
    // JSON is YAML.
    // Longer than the gateway waits for a worker that is blocked.
    const configuration = { global: { scrape_interval: '2s', scrape_timeout: '2s' }, scrape_configs: [scrape] };
    writeFileSync(join(folder, 'prometheus.yml'), JSON.stringify(configuration));
    const running = run(COMMAND, [
      `--config.file=${join(folder, 'prometheus.yml')}`,
      `--storage.tsdb.path=${join(folder, 'data')}`,
      '--web.listen-address=127.0.0.1:0',
    ]);
    const [, address = ''] = await running.saw(/msg="Listening on" address=(\S+)/);
    return new Prometheus(`http://${address}`, folder, running);
  }

  /**
   * What a panel over the time since the start gets.
   * @throws Error with what Prometheus says of a query that it cannot read
   */
  async range(query: string): Promise<readonly Series[]> {
    const parameters = { query, start: String(this.#startedAt / 1000), end: String(Date.now() / 1000), step: '1' };
    const response = await fetch(`${this.#url}/api/v1/query_range?${new URLSearchParams(parameters)}`);
    const answer = (await response.json()) as { data?: { result: readonly Series[] }; error?: string };
    if (answer.data === undefined) throw new Error(`${query}: ${answer.error}`);
    return answer.data.result;
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
