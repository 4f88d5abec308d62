import { existsSync, readFileSync } from 'node:fs';
import { expect, it } from 'vitest';

const ROOT = new URL('../../', import.meta.url);
const text = readFileSync(new URL('docs/security.md', ROOT), 'utf8');

/** Tests as the tables name them: the file, then the title as the source has it. */
const named = [...text.matchAll(/`(test\/[\w/.-]+\.test\.ts)` › (.+?)(?=; `test\/| \|)/g)].map(
  ([, file = '', title = '']) => ({
    file,
    title,
  }),
);

it('the threat model names a test for each of its threats', () => {
  const [threats = ''] = text.split('## The storm');
  const rows = threats
    .slice(threats.indexOf('## Threats'))
    .split('\n')
    .filter((line) => /^\| (?!-|threat)/.test(line));
  expect(rows.length).toBeGreaterThan(35);
  const without = rows.filter((row) => !/\| (`test\/.*|the same) \|$/.test(row));
  expect(without).toEqual([]);
});

it.each(named)('the test that the threat model names exists: $file › $title', ({ file, title }) => {
  const path = new URL(file, ROOT);
  expect(existsSync(path), file).toBe(true);
  // As it is written there, where quotes may be escaped.
  expect(readFileSync(path, 'utf8').replaceAll('\\', '')).toContain(title);
});
