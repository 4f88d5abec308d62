/**
 * What a gateway makes of a million pieces of nonsense, and what they leave in it:
 *
 *     npm run bench:fuzz -- --cases 1000000 --seed 1
 *     npm run bench:fuzz -- --redis redis://127.0.0.1:6379
 *
 * Exits with 1 unless somebody who speaks meanwhile is heard to the last word, and nothing is left.
 */
import { parseArgs } from 'node:util';
import { formatFuzz, fuzz, isCleanRun } from '../support/fuzz/run.ts';

const EACH = 50_000;

const { values } = parseArgs({
  options: {
    redis: { type: 'string' },
    cases: { type: 'string', default: '1000000' },
    seed: { type: 'string', default: '1' },
  },
});
let told = 0;
const report = await fuzz({
  cases: Number(values.cases),
  seed: Number(values.seed),
  isPatient: true,
  redisUrl: values.redis,
  onProgress: (cases) => {
    if (cases - told < EACH) return;
    told = cases;
    console.error(`${cases} cases`);
  },
});
console.log(formatFuzz(report));
process.exitCode = isCleanRun(report) ? 0 : 1;
