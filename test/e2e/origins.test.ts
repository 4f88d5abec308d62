import { afterEach, describe, expect, it } from 'vitest';
import { connect, type TestClient } from '../support/client.ts';
import { CodedEngine } from '../support/coded-engine.ts';
import { startGateway } from '../support/gateway.ts';

const open: { close(): unknown }[] = [];

afterEach(async () => {
  for (const one of open.splice(0).reverse()) await one.close();
});

async function gateway(environment: Record<string, string> = {}) {
  const started = await startGateway(new CodedEngine(), environment);
  open.push(started);
  return started;
}

function page(url: string, origin: string | undefined, transport: string): TestClient {
  const extraHeaders = origin === undefined ? {} : { origin };
  const client = connect(url, {
    transports: [transport],
    auth: { protocol: 2 },
    extraHeaders,
    rejectUnauthorized: false,
  });
  open.push(client);
  return client;
}

describe.each(['polling', 'websocket'])('web origins over %s', (transport) => {
  it('are refused unless they are listed, or the own', async () => {
    const { metric, url } = await gateway({ GATEWAY_ALLOWED_ORIGINS: 'https://app.example.com,https://*.partner.org' });
    for (const origin of ['https://app.example.com', 'https://a.partner.org', url, undefined]) {
      await page(url, origin, transport).next('connected');
    }
    for (const origin of ['https://evil.example.com', 'http://app.example.com', 'null']) {
      await new Promise((resolve) => page(url, origin, transport).socket.once('connect_error', resolve));
    }
    expect(await metric('transcribe_gateway_errors_total{code="origin_refused"}')).toBe(3);
    expect(await metric('transcribe_gateway_connections_total{protocol="2"}')).toBe(4);
  });

  it('are all let in during development', async () => {
    const { url } = await gateway();
    await page(url, 'https://anything.example.com', transport).next('connected');
  });

  it('are none in production', async () => {
    const { url } = await gateway({ NODE_ENV: 'production', GATEWAY_AUTH_NONE_IN_PRODUCTION: 'yes' });
    await new Promise((resolve) =>
      page(url, 'https://app.example.com', transport).socket.once('connect_error', resolve),
    );
    await page(url, url.replace('http', 'https'), transport).next('connected');
  });
});

describe('HTTP answers', () => {
  it('may be read by pages of listed origins alone', async () => {
    const { url } = await gateway({ GATEWAY_ALLOWED_ORIGINS: 'https://app.example.com' });
    const poll = (origin: string) => fetch(`${url}/socket.io/?EIO=4&transport=polling`, { headers: { origin } });
    const allowed = await poll('https://app.example.com');
    expect(allowed.headers.get('access-control-allow-origin')).toBe('https://app.example.com');
    const refused = await poll('https://evil.example.com');
    expect(refused.status).toBe(403);
    expect(refused.headers.get('access-control-allow-origin')).toBeNull();
    expect(await refused.text()).toContain('origin_refused');
    const root = await fetch(url, { headers: { origin: 'https://evil.example.com' } });
    expect(root.status).toBe(403);
    expect(await root.json()).toMatchObject({ error: { code: 'origin_refused' } });
  });

  it('carry the headers that browsers heed', async () => {
    const { url } = await gateway();
    const { headers } = await fetch(url);
    expect(headers.get('content-security-policy')).toContain("default-src 'self'");
    expect(headers.get('x-content-type-options')).toBe('nosniff');
    expect(headers.get('x-frame-options')).toBe('SAMEORIGIN');
    expect(headers.get('strict-transport-security')).toContain('max-age=');
  });
});
