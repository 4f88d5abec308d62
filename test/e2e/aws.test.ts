import { afterEach, describe, expect, it } from 'vitest';
import { cli, killAll, ROOT, type ServedGateway, serveGateway, startServe, toEmulator } from '../support/process.ts';
import { wordErrorRate } from '../support/words.ts';

/** The gateway on Amazon Transcribe, which is the emulator with the local recogniser behind it; all are processes. */
const SAMPLE_TEXT =
  'go forward ten meters go somewhere and do something and mister john dashwood had then leisure to consider how ' +
  'much there might be prudently in his power to do for them';
const CERT = `${ROOT}test/fixtures/emulator/cert.pem`;
const KEY = `${ROOT}test/fixtures/emulator/key.pem`;

afterEach(killAll);

async function startEmulator(...args: string[]): Promise<{ url: string; adminUrl: string }> {
  // The shell of somebody who runs the gateway beside it: what the gateway is told is not meant for the emulator.
  const env = { GATEWAY_ENGINE: 'aws', AWS_REGION: 'us-east-1' };
  const emulator = cli(['emulator', '--port', '0', '--admin-port', '0', ...args], { env });
  const [, url = ''] = await emulator.saw(/listens on (\S+),/);
  const [, adminUrl = ''] = await emulator.saw(/admin API is at (\S+)\.\n/);
  return { url, adminUrl };
}

function serveAws(endpoint: string, env: Readonly<Record<string, string>> = {}): Promise<ServedGateway> {
  return serveGateway({
    ...toEmulator(endpoint),
    ...env,
  });
}

async function expectSampleTranscribed(gateway: ServedGateway, ...pace: string[]): Promise<void> {
  const stream = cli(['stream', '--sample', ...pace, '--url', gateway.url]);
  expect(await stream.exited, stream.stderr()).toBe(0);
  expect(wordErrorRate(SAMPLE_TEXT, stream.stdout())).toBeLessThan(0.15);
  expect(stream.stderr()).toMatch(/… go forward/);
}

describe('the gateway with GATEWAY_ENGINE=aws beside the emulator', () => {
  it('transcribes the sample in real time', async () => {
    const emulator = await startEmulator('--recogniser', 'local');
    const gateway = await serveAws(emulator.url);
    await expectSampleTranscribed(gateway, '--realtime');
    const usage = (await (await fetch(`${emulator.adminUrl}/usage`)).json()) as { outcomes: unknown };
    expect(usage.outcomes).toEqual({ completed: 1 });
    expect(gateway.stdout()).not.toContain('"level":"warn"');
  });

  it('transcribes the sample over TLS, and with the frames of the stock SDK', async () => {
    const emulator = await startEmulator('--recogniser', 'local', '--tls-cert', CERT, '--tls-key', KEY);
    expect(emulator.url).toMatch(/^https:/);
    const gateway = await serveAws(emulator.url, { NODE_EXTRA_CA_CERTS: CERT, GATEWAY_AWS_FRAME_PATH: 'stock' });
    await expectSampleTranscribed(gateway, '--fast');
  });

  it('goes on in the next entry of the pool when a stream breaks, unnoticed by the client', async () => {
    const [first, second] = [
      await startEmulator('--recogniser', 'local'),
      await startEmulator('--recogniser', 'local'),
    ];
    const fault = { kind: 'disconnect', afterAudioMs: 4000 };
    const pool = [
      { name: 'first', region: 'us-east-1', endpoint: first.url },
      { name: 'second', region: 'us-east-1', endpoint: second.url, priority: 2 },
    ];
    const rules = [
      { fault, next: 1 },
      { fault: { kind: 'http_error', status: 503 }, rate: 1 },
    ];
    const gateway = await serveAws('', { GATEWAY_AWS_ENDPOINT: '', GATEWAY_AWS_POOL: JSON.stringify(pool) });
    await addRule(first.adminUrl, rules[0]);
    const stream = cli(['stream', '--sample', '--url', gateway.url]);
    await stream.saw(/… go forward/);
    await addRule(first.adminUrl, rules[1]);
    expect(await stream.exited, stream.stderr()).toBe(0);
    expect(wordErrorRate(SAMPLE_TEXT, stream.stdout())).toBeLessThan(0.15);
    const usage = (await (await fetch(`${second.adminUrl}/usage`)).json()) as { outcomes: unknown };
    expect(usage.outcomes).toEqual({ completed: 1 });
  });

  it('says what to set when the region is missing', async () => {
    const serve = startServe({ GATEWAY_ENGINE: 'aws' });
    expect(await serve.exited).toBe(1);
    expect(serve.stderr()).toContain('set AWS_REGION, such as us-east-1, or GATEWAY_AWS_POOL');
  });
});

async function addRule(adminUrl: string, rule: unknown): Promise<void> {
  const response = await fetch(`${adminUrl}/faults`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(rule),
  });
  expect(response.status).toBe(201);
}
