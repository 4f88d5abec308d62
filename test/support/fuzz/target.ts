/** A gateway in this process, for attackers: with an engine that hears coded audio, and nothing that is kept for long. */
import { Writable } from 'node:stream';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { App } from '../../../src/app.ts';
import { loadConfig } from '../../../src/config/load.ts';
import { createLogger } from '../../../src/log.ts';
import { CodedEngine } from '../coded-engine.ts';
import { NO_LIMITS } from '../no-limits.ts';
import { FREE_PORTS } from '../process.ts';

const ENVIRONMENT = {
  ...FREE_PORTS,
  ...NO_LIMITS,
  GATEWAY_ENGINE: 'scripted',
  GATEWAY_RESUME_WINDOW_MS: '1000',
  GATEWAY_LINGER_MS: '0',
  GATEWAY_CONNECT_TIMEOUT_MS: '2000',
};

/** What must be back where it was when all clients are gone. */
export interface Holdings {
  readonly connections: number;
  readonly sessions: number;
  readonly streams: number;
  readonly viewers: number;
  /** TCP connections and the like, by Node's account of what keeps a process alive. */
  readonly handles: number;
  readonly timers: number;
  /** After a full garbage collection. */
  readonly heapMb: number;
}

export class Target {
  readonly #app: App;
  readonly #engine: CodedEngine;
  /** Lines of the log, by level and message, which are static texts. */
  readonly lines: Map<string, number>;

  private constructor(app: App, engine: CodedEngine, lines: Map<string, number>) {
    this.#app = app;
    this.#engine = engine;
    this.lines = lines;
  }

  /** @param redisUrl where sessions are kept; in memory without it */
  static async start(redisUrl?: string): Promise<Target> {
    const lines = new Map<string, number>();
    const destination = new Writable({
      write(line: Buffer, _encoding, done) {
        const { level, msg } = JSON.parse(line.toString()) as { level: string; msg: string };
        lines.set(`${level}: ${msg}`, (lines.get(`${level}: ${msg}`) ?? 0) + 1);
        done();
      },
    });
    const engine = new CodedEngine();
    const startEngine = async () => engine;
    const environment = redisUrl === undefined ? ENVIRONMENT : { ...ENVIRONMENT, REDIS_URL: redisUrl };
    const app = await App.start(loadConfig(environment), createLogger('info', destination), { startEngine });
    return new Target(app, engine, lines);
  }

  get url(): string {
    return `http://127.0.0.1:${this.#app.port}`;
  }

  async metric(name: string, labels: Readonly<Record<string, string>> = {}): Promise<number> {
    const metric = (await this.#app.metricsSnapshot()).find((one) => one.name === `transcribe_gateway_${name}`);
    const values = (metric as { values?: { value: number; labels: Record<string, unknown> }[] } | undefined)?.values;
    const chosen = (values ?? []).filter((one) =>
      Object.entries(labels).every(([key, value]) => one.labels[key] === value),
    );
    return chosen.reduce((sum, { value }) => sum + value, 0);
  }

  async holdings(): Promise<Holdings> {
    collectGarbage();
    const resources = process.getActiveResourcesInfo();
    return {
      connections: await this.metric('connections'),
      sessions: await this.metric('sessions'),
      streams: this.#engine.openStreams,
      viewers: await this.metric('viewers'),
      handles: resources.filter((kind) => !['Immediate', 'Timeout'].includes(kind)).length,
      timers: resources.filter((kind) => kind === 'Timeout').length,
      heapMb: process.memoryUsage().heapUsed / 2 ** 20,
    };
  }

  close(): Promise<void> {
    return this.#app.close();
  }
}

let gc: (() => void) | undefined;

function collectGarbage(): void {
  setFlagsFromString('--expose-gc');
  gc ??= runInNewContext('gc') as () => void;
  gc();
}
