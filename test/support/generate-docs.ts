import { readFileSync, writeFileSync } from 'node:fs';
import { settingsTable } from '../../src/config/describe.ts';
import { createClusterMetrics, createMetrics, metricsTable } from '../../src/metrics/metrics.ts';
import { ERROR_CODES } from '../../src/protocol/error-codes.ts';
import { limitsTable } from './limits-table.ts';

/**
 * The tables of the README that come from the source. `npm run docs` writes them; a test fails when they differ.
 * Each stands between `<!-- generated: NAME -->` and `<!-- end -->`.
 */
const README = new URL('../../README.md', import.meta.url);

function errorsTable(): string {
  const rows = Object.entries(ERROR_CODES).map(
    ([code, { retryable, meaning }]) => `| \`${code}\` | ${retryable ? 'yes' : 'no'} | ${meaning} |`,
  );
  return ['| code | retryable | meaning |', '|---|---|---|', ...rows].join('\n');
}

/** The README as it is, and as it should be. */
export async function readme(): Promise<{ found: string; expected: string }> {
  const tables: Readonly<Record<string, string>> = {
    settings: settingsTable(),
    errors: errorsTable(),
    limits: limitsTable(),
    metrics: metricsTable(createMetrics().registry, createClusterMetrics().registry),
  };
  const found = readFileSync(README, 'utf8');
  const expected = found.replace(
    /(<!-- generated: (\w+) -->\n)[\s\S]*?(<!-- end -->)/g,
    (_all, begin: string, name: string, end: string) => `${begin}${tables[name] ?? `no table ${name}`}\n${end}`,
  );
  return { found, expected };
}

if (import.meta.main) writeFileSync(README, (await readme()).expected);
