/** A gateway of several workers, as `serve` runs it, but for the engine: that is one of the test, which serves it. */
import { Primary } from '../../src/cluster/primary.ts';
import { slotOfThisProcess, work } from '../../src/cluster/worker.ts';
import { loadConfig } from '../../src/config/load.ts';
import { connectEngine } from '../../src/engines/hosted/connect-engine.ts';
import { closeOnSignals } from '../../src/lifecycle.ts';
import { createLogger } from '../../src/log.ts';
import { ENGINE_VARIABLE } from './workers.ts';

const path = process.env[ENGINE_VARIABLE] ?? '';
const config = loadConfig();
const log = createLogger(config.logLevel);
const slot = slotOfThisProcess();
if (slot !== undefined) {
  await work(config, log, slot, { startEngine: () => connectEngine(path) });
} else {
  const primary = await Primary.start(config, log);
  closeOnSignals(() => primary.close(), config.drainTimeoutMs, log);
}
