/**
 * `npm test`: runs the stages, or those that are named, one after the other, prints what each took against its budget in
 * budgets.json, and fails when a test failed or a budget was exceeded. Ends with what failed and the line
 * `N passed, N failed`; writes the same to the file named by TEST_COUNTS, if any, for a caller that sums several
 * runners: the counts on the first line, what failed on the others.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** What needs packages or images of its own, as `helm` and `roll` do, or takes long, as `fleet` and those on workers, runs only when it is named. */
const STAGES = ['unit', 'contract', 'integration', 'e2e', 'chaos'];
/** A stage that runs the tests of a project in its own way. */
interface Variant {
  readonly project: string;
  readonly more: readonly string[];
  readonly env: NodeJS.ProcessEnv;
}
/**
 * The end-to-end tests once more, on gateways of four workers. All of them take a quarter of an hour on two cores, which
 * start hundreds of processes then: `workers` runs those about what clients do, `all-workers` every one.
 */
const WITH_WORKERS: Variant = {
  project: 'e2e',
  // Each test file has ten processes at a time.
  more: ['--maxWorkers=2'],
  env: { ...process.env, GATEWAY_WORKERS: '4' },
};
const CLIENT_TESTS = [
  'resume',
  'protocol',
  'viewers',
  'drain',
  'hostile-clients',
  'start-request',
  'authentication',
].map((name) => `test/e2e/${name}.test.ts`);
const SPECIAL: Readonly<Record<string, Variant>> = {
  // Each test file has a dozen processes.
  fleet: { project: 'fleet', more: ['--maxWorkers=3'], env: process.env },
  workers: { ...WITH_WORKERS, more: [...WITH_WORKERS.more, ...CLIENT_TESTS] },
  'all-workers': WITH_WORKERS,
};
const named = process.argv.slice(2);

const budgets = JSON.parse(readFileSync(new URL('./budgets.json', import.meta.url), 'utf8')) as Record<string, number>;
const vitest = new URL('../node_modules/vitest/vitest.mjs', import.meta.url).pathname;
const folder = mkdtempSync(join(tmpdir(), 'test-run-'));
const total = { passed: 0, failed: 0 };
const rows: string[] = [];
const failures: string[] = [];

for (const stage of named.length > 0 ? named : STAGES) {
  const report = join(folder, `${stage}.json`);
  const { project, more, env } = SPECIAL[stage] ?? { project: stage, more: [], env: process.env };
  const begin = performance.now();
  const args = [
    vitest,
    'run',
    '--project',
    project,
    '--reporter=default',
    '--reporter=json',
    `--outputFile.json=${report}`,
    ...more,
  ];
  const { status } = spawnSync(process.execPath, args, { stdio: 'inherit', env });
  const seconds = Math.ceil((performance.now() - begin) / 1000);
  const { passed, failed } = resultsOf(report);
  // A run that failed without a failed test (a hook, an unhandled rejection) is a failure all the same.
  if (status !== 0 && failed.length === 0) failed.push('the run itself, not one of its tests');
  const budget = budgets[stage] ?? 0;
  if (seconds > budget) failed.push(`the budget: ${seconds} s of ${budget} s`);
  total.passed += passed;
  total.failed += failed.length;
  failures.push(...failed.map((what) => `FAILED ${stage}: ${what}`));
  const verdict = seconds > budget ? 'OVER BUDGET' : '';
  rows.push(`${stage.padEnd(12)} ${String(seconds).padStart(4)} s of ${String(budget).padStart(4)} s  ${verdict}`);
}

rmSync(folder, { recursive: true });
console.log(`\n${rows.join('\n')}\n`);
for (const failure of failures) console.log(failure);
console.log(`${total.passed} passed, ${total.failed} failed`);
const { TEST_COUNTS } = process.env;
if (TEST_COUNTS !== undefined) {
  writeFileSync(TEST_COUNTS, `${[`${total.passed} ${total.failed}`, ...failures].join('\n')}\n`);
}
process.exit(total.failed === 0 ? 0 : 1);

interface Report {
  numPassedTests: number;
  testResults: { assertionResults: { status: string; fullName: string; failureMessages: string[] }[] }[];
}

/** How many tests passed, and each failed one with the first line of what it said. */
function resultsOf(report: string): { passed: number; failed: string[] } {
  try {
    const { numPassedTests, testResults } = JSON.parse(readFileSync(report, 'utf8')) as Report;
    const tests = testResults.flatMap((file) => file.assertionResults);
    const failed = tests.filter((test) => test.status === 'failed');
    return {
      passed: numPassedTests,
      failed: failed.map((test) => `${test.fullName}: ${test.failureMessages[0]?.split('\n')[0]}`),
    };
  } catch {
    return { passed: 0, failed: ['the run itself left no report'] };
  }
}
