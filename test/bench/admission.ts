/**
 * A ramp to twice the quota: `npm run bench:admission -- --streams 10 --starts 5 --sessions 20 --pods 3`. With `--kill` a
 * gateway is killed in the middle, with `--drain` one is drained.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { admissionRamp } from '../support/admission-ramp.ts';
import { quantile } from '../support/quantile.ts';
import { isClean } from '../support/reconcile.ts';
import { RedisServer } from '../support/redis.ts';

const { values } = parseArgs({
  options: {
    pods: { type: 'string', default: '3' },
    streams: { type: 'string', default: '10' },
    starts: { type: 'string', default: '5' },
    sessions: { type: 'string', default: '20' },
    utterances: { type: 'string', default: '5' },
    kill: { type: 'boolean', default: false },
    drain: { type: 'boolean', default: false },
  },
});
const sessions = Number(values.sessions);
const few = Math.floor(sessions / 4);
const redis = await RedisServer.start();
try {
  const report = await admissionRamp({
    redis,
    pods: Number(values.pods),
    streams: Number(values.streams),
    startsPerSecond: Number(values.starts),
    sessions: { many: sessions - 2 * few, few, some: few },
    rampMs: 3_000,
    utterances: Number(values.utterances),
    ...((values.kill || values.drain) && {
      strike: async (pods) => {
        await delay(5_000);
        if (values.kill) pods.kill(0);
        else pods.gateway(0)?.child.kill('SIGTERM');
      },
    }),
  });
  const waits = report.speakers.flatMap(({ waitedMs }) => (waitedMs === undefined ? [] : [waitedMs]));
  const seconds = (share: number, of: readonly number[] = waits) => ((quantile(of, share) ?? 0) / 1_000).toFixed(1);
  console.log(`${sessions} sessions on ${values.streams} streams and ${values.starts} starts a second`);
  console.log(`served ${waits.length}, refused by AWS ${JSON.stringify(report.refusals)}`);
  console.log(`most streams at a time ${report.mostStreams}, in all ${(report.tookMs / 1_000).toFixed(1)} s`);
  console.log(`waited s: median ${seconds(0.5)}, p95 ${seconds(0.95)}, longest ${seconds(1)}`);
  for (const tenant of new Set(report.served)) {
    const own = report.speakers.flatMap((one) => (one.tenant === tenant ? [one.waitedMs ?? Number.NaN] : []));
    console.log(`  ${tenant}: ${own.length} sessions, median ${seconds(0.5, own)}, longest ${seconds(1, own)}`);
  }
  console.log(`served in the order ${report.served.join(' ')}`);
  const accounts = report.speakers.map(({ account }) => account);
  const sum = (of: (one: (typeof accounts)[number]) => number) => accounts.reduce((total, one) => total + of(one), 0);
  console.log(
    `blocks ${sum((one) => one.sent)}, lost ${sum((one) => one.lost.length)}, in gaps ${sum((one) => one.coveredByGap.length)}, doubled ${sum((one) => one.doubled.length)}`,
  );
  console.log(`errors ${JSON.stringify(report.speakers.flatMap(({ errors }) => errors))}`);
  if (!accounts.every(isClean) || Object.keys(report.refusals).length > 0) process.exitCode = 1;
} finally {
  await redis.stop();
}
