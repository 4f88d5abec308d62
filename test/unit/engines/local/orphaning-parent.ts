/** Run as a process by a test: starts an engine, prints its recognisers' process ids and stays until it is killed. */
import { startEngine } from './support.ts';

const engine = await startEngine();
process.stdout.write(`${JSON.stringify(engine.recogniserPids)}\n`);
