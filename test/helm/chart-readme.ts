/**
 * The table of values in the README of the chart, which comes from the schema and the defaults: `npm run docs:chart` writes
 * it, and a test fails when it differs. It stands between `<!-- generated: values -->` and `<!-- end -->`.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { resolved, SCHEMA, VALUES, type ValueSchema } from './chart-values.ts';
import { CHART } from './helm.ts';

const README = `${CHART}README.md`;

/** The README as it is, and as it should be. */
export function chartReadme(): { found: string; expected: string } {
  const found = readFileSync(README, 'utf8');
  const table = ['| value | default | meaning |', '|---|---|---|', ...rows(SCHEMA, VALUES)].join('\n');
  const expected = found.replace(
    /(<!-- generated: values -->\n)[\s\S]*?(<!-- end -->)/,
    (_all, begin: string, end: string) => `${begin}${table}\n${end}`,
  );
  return { found, expected };
}

/** A row for each value that has no others in it, in the order of the schema, which is that of the defaults. */
function rows(of: ValueSchema, defaults: Readonly<Record<string, unknown>>, path: readonly string[] = []): string[] {
  return Object.entries(of.properties ?? {}).flatMap(([name, unresolved]) => {
    const schema = resolved(unresolved);
    if (schema.deprecated === true || name === 'global') return [];
    const here = [...path, name];
    const value = defaults[name];
    if (schema.properties !== undefined && !here.includes('resources')) {
      return rows(schema, value as Record<string, unknown>, here);
    }
    const choices = schema.enum === undefined ? '' : ` One of ${schema.enum.map(code).join(', ')}.`;
    return [`| \`${here.join('.')}\` | ${shown(value)} | ${schema.description ?? ''}${choices} |`];
  });
}

function shown(value: unknown): string {
  return value === '' ? '' : code(JSON.stringify(value)?.replace(/^"(.*)"$/, '$1') ?? '');
}

function code(text: string): string {
  return `\`${text}\``;
}

if (import.meta.main) writeFileSync(README, chartReadme().expected);
