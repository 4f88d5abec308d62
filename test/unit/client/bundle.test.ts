import { readFileSync } from 'node:fs';
import { createContext, runInContext } from 'node:vm';
import { gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { bundledClient } from './bundled-client.ts';

const LIMITS = JSON.parse(readFileSync(new URL('./bundle-budget.json', import.meta.url), 'utf8')) as {
  minified: number;
  gzipped: number;
};

describe('the client library in a browser', async () => {
  const code = await bundledClient();

  it('stays within its budget', () => {
    const sizes = { minified: code.length, gzipped: gzipSync(code).length };
    console.log(`client library: ${sizes.minified} bytes minified, ${sizes.gzipped} gzipped`);
    expect(sizes.minified).toBeLessThan(LIMITS.minified);
    expect(sizes.gzipped).toBeLessThan(LIMITS.gzipped);
  });

  it('needs nothing of Node: no Buffer, no process, not even a clock but Date', () => {
    const sandbox = createContext({ setTimeout, clearTimeout, setInterval, clearInterval, crypto: globalThis.crypto });
    const made = runInContext(
      `${code}; const t = client.createTranscription({ url: 'http://x' }); t.send(new Float32Array(9600), { sampleRate: 48000 }); t.state`,
      sandbox,
    );
    expect(made).toBe('idle');
  });

  it('brings no code of the server', () => {
    expect(code).not.toMatch(/zod|pino|fastify/i);
  });
});
