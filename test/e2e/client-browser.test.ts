import { existsSync } from 'node:fs';
import { chromium } from 'playwright-core';
import { describe, expect, it } from 'vitest';
import type { Entry, Summary } from '../../src/client/index.ts';
import { ProtocolModel } from '../support/protocol-model.ts';
import { isClean } from '../support/reconcile.ts';
import { bundledClient } from '../unit/client/bundled-client.ts';
import { accountOf, speech } from '../unit/client/spoken.ts';

const CHROMIUM = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find(existsSync);
if (CHROMIUM === undefined && process.env.CI !== undefined) throw new Error('Chromium must be installed in CI');

describe.skipIf(CHROMIUM === undefined)('the client library in a real browser', () => {
  it('survives lost connections and a lost session', async () => {
    const model = await ProtocolModel.listen();
    const browser = await chromium.launch({
      executablePath: CHROMIUM ?? '',
      args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--disable-background-networking', '--disable-sync'],
    });
    try {
      const audio = speech(31, 10);
      const page = await browser.newPage();
      let chunks = 0;
      await page.exposeFunction('chunkSent', () => {
        chunks += 1;
        if (chunks === 10 || chunks === 20) model.cut();
        if (chunks === 30) model.forget();
      });
      await page.addScriptTag({ content: await bundledClient() });
      const told = (await page.evaluate(`(async () => {
        const pcm = Uint8Array.from(atob('${audio.pcm.toString('base64')}'), (one) => one.charCodeAt(0));
        const transcription = client.createTranscription({ url: '${model.url}', backoff: { initialMs: 10 } });
        const entries = [];
        transcription.on('final', (entry) => entries.push(entry));
        transcription.on('gap', (entry) => entries.push(entry));
        await transcription.start();
        for (let at = 0; at < pcm.length; at += 3200) {
          transcription.send(new Int16Array(pcm.buffer, at, Math.min(3200, pcm.length - at) / 2));
          await window.chunkSent();
          await new Promise((resolve) => setTimeout(resolve, 5));
        }
        return { summary: await transcription.stop(), entries };
      })()`)) as { summary: Summary; entries: Entry[] };
      expect(isClean(accountOf(audio, told.entries))).toBe(true);
      expect(told.summary).toMatchObject({ sessions: 2, gaps: 0 });
      expect(model.violations).toEqual([]);
    } finally {
      await browser.close();
      await model.close();
    }
  });
});
