/**
 * Kills the owners of running sessions and prints the block account and how long clients waited for their next result:
 * `npm run bench:takeover -- --kills 50 --sessions 3 --failpoints commit.after=0.02`. With `--splits` owners are cut off
 * from Redis instead, and clients driven to other gateways.
 */
import { parseArgs } from 'node:util';
import { quantile } from '../support/quantile.ts';
import { formatAccount, isClean } from '../support/reconcile.ts';
import { RedisServer } from '../support/redis.ts';
import { splits } from '../support/splits.ts';
import { takeover } from '../support/takeover.ts';

const { values } = parseArgs({
  options: {
    kills: { type: 'string', default: '50' },
    sessions: { type: 'string', default: '3' },
    pods: { type: 'string', default: '3' },
    seed: { type: 'string', default: '1' },
    failpoints: { type: 'string' },
    splits: { type: 'boolean', default: false },
  },
});

const redis = await RedisServer.start();
const report = await takeover({
  redis,
  pods: Number(values.pods),
  kills: Number(values.kills),
  sessions: Number(values.sessions),
  seed: Number(values.seed),
  ...(values.failpoints !== undefined && { failpoints: values.failpoints }),
  ...(values.splits && { strike: splits(Number(values.seed)) }),
});
await redis.stop();

for (const account of report.accounts) console.log(formatAccount(account));
for (const disorder of report.disorders) console.log(`disorder: ${disorder}`);
const strikes = values.splits ? 'splits' : 'kills';
const at = (share: number) => Math.round(quantile(report.pausesMs, share) ?? 0);
console.log(
  `${values.kills} ${strikes}, ${report.deaths} deaths, ${report.gaps} gaps, ${report.sessions} sessions for ${values.sessions} clients`,
);
console.log(
  `${values.splits ? 'cut' : 'kill -9'} to the next live result: median ${at(0.5)} ms, p95 ${at(0.95)} ms, max ${at(1)} ms`,
);
process.exitCode = report.accounts.every(isClean) && report.disorders.length === 0 ? 0 : 1;
