import { Writable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { App } from '../../src/app.ts';
import { loadConfig } from '../../src/config/load.ts';
import type { Engine } from '../../src/engines/engine.ts';
import { ScriptedEngine, type ScriptedEngineOptions } from '../../src/engines/scripted/scripted-engine.ts';
import { createLogger } from '../../src/log.ts';
import type { TestClient } from './client.ts';
import { FREE_PORTS } from './process.ts';
import { startWorkers } from './worker-gateway.ts';
import { WORKERS } from './workers.ts';

/** For a line of the log to come, in milliseconds. */
const LOG_MS = 10_000;

/** A gateway that runs for a test, whatever processes it has. */
export interface TestGateway {
  readonly url: string;
  readonly adminUrl: string;
  /** Log lines so far, parsed. */
  readonly logs: readonly Record<string, unknown>[];
  /** Names of the warnings of Node so far, such as one of too many listeners. */
  readonly warnings: readonly string[];
  /** The value of a metric sample, by its name with labels as the text format has it; 0 if absent. */
  metric(sample: string): Promise<number>;
  /** Drains and ends it. Idempotent. */
  close(): Promise<void>;
  /** The test needs it no more: ends it, or keeps it for a later test. Its clients are gone. Does nothing after `close`. */
  release(): Promise<void>;
}

/**
 * Starts a whole gateway on free ports of 127.0.0.1: in this process, or with the workers of the test run as processes,
 * which reach the test's engine over a socket.
 */
export function startGateway(engine: Engine, environment: Readonly<Record<string, string>> = {}): Promise<TestGateway> {
  const given = { ...FREE_PORTS, GATEWAY_ENGINE: 'scripted', ...environment };
  return WORKERS > 1 ? startWorkers(engine, given) : startHere(engine, given);
}

async function startHere(engine: Engine, environment: Readonly<Record<string, string>>): Promise<TestGateway> {
  const config = loadConfig(environment);
  const logs: Record<string, unknown>[] = [];
  const destination = new Writable({
    write(line: Buffer, _encoding, done) {
      logs.push(JSON.parse(line.toString()) as Record<string, unknown>);
      done();
    },
  });
  const log = createLogger('debug', destination);
  const app = await App.start(config, log, { startEngine: async () => engine });
  const adminUrl = `http://127.0.0.1:${app.adminPort}`;
  const warnings: string[] = [];
  const onWarning = ({ name }: Error) => warnings.push(name);
  process.on('warning', onWarning);
  const close = async () => {
    await app.close();
    process.off('warning', onWarning);
  };
  return {
    url: `http://127.0.0.1:${app.port}`,
    adminUrl,
    logs,
    warnings,
    metric: (sample) => readMetric(adminUrl, sample),
    close,
    release: close,
  };
}

/**
 * Connects until the worker of an earlier connection serves the new one too: at once where there is one process alone.
 * @param earlier of protocol version 2, may be closed by now
 * @param connect makes a connection each time, and waits until it is one
 */
export async function connectBeside(
  gateway: TestGateway,
  earlier: TestClient,
  connect: () => TestClient | Promise<TestClient>,
): Promise<TestClient> {
  const wanted = await workerOf(gateway, earlier);
  for (;;) {
    const one = await connect();
    if ((await workerOf(gateway, one)) === wanted) return one;
    one.close();
  }
}

/** Its line of the log may come after the client knows that it is connected. */
async function workerOf({ logs }: TestGateway, client: TestClient): Promise<unknown> {
  const connectionId = client.all('connected')[0]?.connection_id;
  const deadline = performance.now() + LOG_MS;
  for (;;) {
    const line = logs.find(({ connection_id, msg }) => msg === 'client connected' && connection_id === connectionId);
    if (line !== undefined) return line.worker;
    if (performance.now() > deadline) throw new Error(`no worker says that it has the connection ${connectionId}`);
    await delay(5);
  }
}

async function readMetric(adminUrl: string, sample: string): Promise<number> {
  const text = await (await fetch(`${adminUrl}/metrics`)).text();
  const line = text.split('\n').find((candidate) => candidate.startsWith(`${sample} `));
  return line === undefined ? 0 : Number(line.slice(sample.length + 1));
}

/** An engine whose streams all do the same. */
export function scripted(
  steps: ReturnType<ScriptedEngineOptions['script']>['steps'],
  options: Omit<ScriptedEngineOptions, 'script'> = {},
): ScriptedEngine {
  return new ScriptedEngine({ ...options, script: () => ({ steps }) });
}
