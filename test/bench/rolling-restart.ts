/**
 * Replaces three gateways one after the other under live coded sessions, and prints what became of them:
 * `npm run bench:rolling-restart -- --sessions 200 --drain 25000`.
 */
import { parseArgs } from 'node:util';
import { RedisServer } from '../support/redis.ts';
import { formatRolling, isWhole } from '../support/rolling-report.ts';
import { rollingRestart } from '../support/rolling-restart.ts';

const { values } = parseArgs({
  options: {
    sessions: { type: 'string', default: '200' },
    gateways: { type: 'string', default: '3' },
    workers: { type: 'string' },
    polling: { type: 'string', default: '4' },
    drain: { type: 'string', default: '25000' },
    seed: { type: 'string', default: '1' },
  },
});

const redis = await RedisServer.start();
const report = await rollingRestart({
  redis,
  gateways: Number(values.gateways),
  sessions: Number(values.sessions),
  pollingEvery: Number(values.polling),
  drainTimeoutMs: Number(values.drain),
  seed: Number(values.seed),
  onStep: (step) => console.error(`${Math.round(performance.now() / 1_000)} s: ${step}`),
  ...(values.workers !== undefined && { workers: Number(values.workers) }),
});
await redis.stop();

console.log(formatRolling(report));
const isEven = report.rolls.every(({ peakRate, steadyRate }) => peakRate <= 2 * steadyRate);
process.exitCode = isWhole(report) && isEven ? 0 : 1;
