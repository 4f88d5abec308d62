/**
 * The soak: clients speak coded audio through a whole gateway to the emulator of Amazon Transcribe, while faults of
 * every kind strike it. Prints what became of every block, and ends with 1 when one was lost or doubled without a word.
 *
 *     node test/bench/aws-soak.ts [--seconds 600] [--sessions 20] [--seed 1] [--fault-rate 0.015] [--frames fast]
 */
import { parseArgs } from 'node:util';
import { formatSoak, soak } from '../support/soak.ts';

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '600' },
    sessions: { type: 'string', default: '20' },
    seed: { type: 'string', default: '1' },
    'fault-rate': { type: 'string', default: '0.015' },
    frames: { type: 'string', default: 'fast' },
  },
});

function number(name: 'seconds' | 'sessions' | 'seed' | 'fault-rate', min: number, max: number): number {
  const value = Number(values[name]);
  if (value >= min && value <= max) return value;
  throw new Error(`--${name} must be a number from ${min} to ${max}; got ${values[name]}`);
}

process.env.AWS_ACCESS_KEY_ID = 'test';
process.env.AWS_SECRET_ACCESS_KEY = 'test';

const report = await soak({
  seconds: number('seconds', 1, 86_400),
  sessions: number('sessions', 1, 1_000),
  seed: number('seed', 0, 1_000_000),
  faultRate: number('fault-rate', 0, 1),
  framePath: values.frames === 'stock' ? 'stock' : 'fast',
});
process.stdout.write(`${formatSoak(report)}\n`);
process.exitCode = report.clean && report.leftOpen === 0 ? 0 : 1;
