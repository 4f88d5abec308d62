import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { readme } from '../support/generate-docs.ts';

describe('the README', () => {
  it('has the tables of settings, errors, limits and metrics that the source has; npm run docs writes them', async () => {
    const { expected, found } = await readme();
    expect(found).toBe(expected);
    for (const name of ['settings', 'errors', 'limits', 'metrics'])
      expect(found).toContain(`<!-- generated: ${name} -->`);
  });

  it('names only npm scripts and files that exist', async () => {
    const { found } = await readme();
    const { scripts } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
      scripts: Record<string, string>;
    };
    for (const [, name] of found.matchAll(/npm run ([\w:-]+)/g)) expect(Object.keys(scripts)).toContain(name);
    for (const [, path] of found.matchAll(/\]\((?!https?:|#)([^)]+)\)/g)) {
      expect(existsSync(new URL(`../../${path}`, import.meta.url)), path).toBe(true);
    }
  });
});
