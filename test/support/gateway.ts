import { Writable } from 'node:stream';
import { App } from '../../src/app.ts';
import { loadConfig } from '../../src/config/load.ts';
import type { Engine } from '../../src/engines/engine.ts';
import { ScriptedEngine, type ScriptedEngineOptions } from '../../src/engines/scripted/scripted-engine.ts';
import { createLogger } from '../../src/log.ts';

/** A gateway that runs for a test, whatever processes it has. */
export interface TestGateway {
  readonly url: string;
  readonly adminUrl: string;
  /** Log lines so far, parsed. */
  readonly logs: readonly Record<string, unknown>[];
  /** The value of a metric sample, by its name with labels as the text format has it; 0 if absent. */
  metric(sample: string): Promise<number>;
  /** Drains and ends it. Idempotent. */
  close(): Promise<void>;
}

/** Starts a whole gateway on free ports of 127.0.0.1; the test keeps its engine. */
export async function startGateway(
  engine: Engine,
  environment: Readonly<Record<string, string>> = {},
): Promise<TestGateway> {
  const config = loadConfig({
    HOST: '127.0.0.1',
    PORT: '0',
    GATEWAY_ADMIN_HOST: '127.0.0.1',
    GATEWAY_ADMIN_PORT: '0',
    GATEWAY_ENGINE: 'scripted',
    ...environment,
  });
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
  return {
    url: `http://127.0.0.1:${app.port}`,
    adminUrl,
    logs,
    metric: (sample) => readMetric(adminUrl, sample),
    close: () => app.close(),
  };
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
