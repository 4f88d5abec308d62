import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { chromium } from 'playwright-core';
import { afterEach, describe, expect, it } from 'vitest';
import { killAll, ROOT, serveGateway } from '../support/process.ts';

const CHROMIUM = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find(existsSync);
if (CHROMIUM === undefined && process.env.CI !== undefined) throw new Error('Chromium must be installed in CI');

afterEach(killAll);

describe.skipIf(CHROMIUM === undefined)('a real browser', () => {
  it('runs the console snippet of the README', async () => {
    const readme = readFileSync(join(ROOT, 'README.md'), 'utf8');
    const snippet = readme.match(/```js\n(\/\/ browser console[\s\S]*?)```/)?.[1];
    expect(snippet).toContain("io('http://localhost:5001')");
    const gateway = await serveGateway({ GATEWAY_ENGINE: 'scripted' });
    const browser = await chromium.launch({
      executablePath: CHROMIUM ?? '',
      args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--disable-background-networking', '--disable-sync'],
    });
    try {
      const page = await browser.newPage();
      const printed: string[] = [];
      page.on('console', (message) => printed.push(message.text()));
      await page.goto(gateway.url);
      await page.evaluate(`(async () => {${(snippet ?? '').replaceAll('http://localhost:5001', gateway.url)}})()`);
      await expect.poll(() => printed.join('\n'), { timeout: 15_000 }).toContain('Transcription stopped');
      expect(printed.join('\n')).toContain('second 1');
    } finally {
      await browser.close();
    }
  });
});
