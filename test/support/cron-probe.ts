/** A CronJob of the probe, and what kube-state-metrics tells of it: there is no cluster here, but for the clock of both. */
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { cli } from './process.ts';

const LABELS = '{namespace="voice",cronjob="transcribe-gateway-probe"}';

export class CronProbe {
  readonly #gatewayUrl: string;
  readonly #everyMs: number;
  readonly #server: Server;
  readonly #ending = new AbortController();
  /** Seconds since 1970, as Kubernetes has them: without fractions. */
  #scheduledAt = 0;
  #succeededAt: number | undefined;
  #done: Promise<void> = Promise.resolve();

  private constructor(gatewayUrl: string, everyMs: number, server: Server) {
    this.#gatewayUrl = gatewayUrl;
    this.#everyMs = everyMs;
    this.#server = server;
  }

  /**
   * @param everyMs from one run to the next, in milliseconds; longer than a run takes
   * @returns once a first run has succeeded
   */
  static async start(gatewayUrl: string, everyMs: number): Promise<CronProbe> {
    const server = createServer((_, response) => response.end(probe.#metrics()));
    const probe = new CronProbe(gatewayUrl, everyMs, server);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    await probe.#runJob();
    probe.#done = probe.#runAll();
    return probe;
  }

  /** Where its metrics are, at `/metrics`. */
  get adminUrl(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async stop(): Promise<void> {
    this.#ending.abort();
    await this.#done;
    this.#server.close();
  }

  async #runAll(): Promise<void> {
    const { signal } = this.#ending;
    for (;;) {
      await delay(this.#everyMs, undefined, { signal }).catch(() => undefined);
      if (signal.aborted) return;
      await this.#runJob();
    }
  }

  async #runJob(): Promise<void> {
    this.#scheduledAt = nowS();
    const probe = cli(['probe', '--url', this.#gatewayUrl, '--timeout-ms', '20000']);
    const end = () => probe.child.kill('SIGKILL');
    this.#ending.signal.addEventListener('abort', end, { once: true });
    const status = await probe.exited;
    this.#ending.signal.removeEventListener('abort', end);
    if (status === 0) this.#succeededAt = nowS();
  }

  #metrics(): string {
    const gauge = (name: string, value: number) => `# TYPE ${name} gauge\n${name}${LABELS} ${value}\n`;
    const schedule = gauge('kube_cronjob_status_last_schedule_time', this.#scheduledAt);
    if (this.#succeededAt === undefined) return schedule;
    return schedule + gauge('kube_cronjob_status_last_successful_time', this.#succeededAt);
  }
}

function nowS(): number {
  return Math.floor(Date.now() / 1000);
}
