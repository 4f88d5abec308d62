import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { readme } from '../support/generate-docs.ts';

const ROOT = new URL('../../', import.meta.url);

describe('the README', () => {
  it('has the tables of settings, errors, limits and metrics that the source has; npm run docs writes them', async () => {
    const { expected, found } = await readme();
    expect(found).toBe(expected);
    for (const name of ['settings', 'errors', 'limits', 'metrics'])
      expect(found).toContain(`<!-- generated: ${name} -->`);
  });
});

/** What people read, beside the README. */
const DOCUMENTS = [
  ...['README.md', 'CONTRIBUTING.md', 'CHANGELOG.md', 'helm/transcribe-gateway/README.md'],
  ...readdirSync(new URL('docs', ROOT), { recursive: true }).flatMap((name) =>
    String(name).endsWith('.md') ? [`docs/${name}`] : [],
  ),
];

describe.each(DOCUMENTS)('%s', (document) => {
  it('names only npm scripts and files that exist', () => {
    const text = readFileSync(new URL(document, ROOT), 'utf8');
    const { scripts } = JSON.parse(readFileSync(new URL('package.json', ROOT), 'utf8')) as {
      scripts: Record<string, string>;
    };
    for (const [, name] of text.matchAll(/npm run ([\w:-]+)/g)) expect(Object.keys(scripts)).toContain(name);
    for (const [, path] of text.matchAll(/\]\((?!https?:|#)([^)#]+)/g)) {
      expect(existsSync(new URL(path ?? '', new URL(document, ROOT))), path).toBe(true);
    }
  });
});
