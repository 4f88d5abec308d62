import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { newApiKey } from '../../src/auth/api-keys.ts';
import { connect, emitWithAck } from '../support/client.ts';
import { scripted, startGateway, type TestGateway } from '../support/gateway.ts';
import { frame, rawPolling, rawTcp, rawWebSocket, requestHead, UPGRADE } from '../support/raw-client.ts';

/** What the largest message may have. */
const MESSAGE_BYTES = 1_000_000;

const closers: (() => unknown)[] = [];

afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

async function gatewayWith(environment: Record<string, string> = {}): Promise<TestGateway> {
  const gateway = await startGateway(scripted([{ do: 'final', atSample: 1600, text: 'hello' }]), environment);
  closers.push(() => gateway.release());
  return gateway;
}

/** Somebody else is served as ever. */
async function worksFor(gateway: TestGateway): Promise<void> {
  const other = connect(gateway.url, { auth: { protocol: 2 } });
  closers.push(other.close);
  expect(await emitWithAck(other, 'start_transcription')).toMatchObject({ ok: true });
}

function offences(gateway: TestGateway, reason: string): Promise<number> {
  return gateway.metric(`transcribe_gateway_offending_connections_total{reason="${reason}"}`);
}

async function connections(gateway: TestGateway): Promise<number> {
  const of = (protocol: number) => gateway.metric(`transcribe_gateway_connections{protocol="${protocol}"}`);
  return (await of(1)) + (await of(2));
}

/** A connection of the test, closed with it. */
async function tcp(gateway: TestGateway, ...says: readonly (string | Buffer)[]) {
  const connection = await rawTcp(gateway.url, ...says);
  closers.push(() => connection.socket.destroy());
  return connection;
}

async function webSocket(gateway: TestGateway) {
  const raw = await rawWebSocket(gateway.url);
  closers.push(raw.close);
  return raw;
}

describe('one transport', () => {
  it('carries one socket, whoever asks for thousands in one poll', async () => {
    const gateway = await gatewayWith();
    const client = await rawPolling(gateway.url);
    await client.post(new Array(300_000).fill('40'));
    await expect.poll(() => offences(gateway, 'connect_flood')).toBe(1);
    expect(await gateway.metric('transcribe_gateway_connections_total{protocol="1"}')).toBeLessThanOrEqual(1);
    await expect.poll(() => connections(gateway)).toBe(0);
    expect(gateway.warnings).toEqual([]);
    await worksFor(gateway);
  });

  it('has no namespace but /, and is cut when many others are asked for', async () => {
    const gateway = await gatewayWith();
    const raw = await webSocket(gateway);
    raw.send('40/admin,');
    await expect.poll(() => raw.received.at(-1)).toBe('44/admin,{"message":"Invalid namespace"}');
    for (let n = 0; n < 100; n++) raw.send(`40/${n},{}`);
    await expect.poll(() => raw.isClosed).toBe(true);
    expect(await offences(gateway, 'connect_flood')).toBe(1);
    await worksFor(gateway);
  });

  it.each(['3', '43[]', '42["nothing"]'])(
    'is cut when it brings hundreds of thousands of packets in one poll: %s',
    async (packet) => {
      const gateway = await gatewayWith();
      const client = await rawPolling(gateway.url);
      await client.post(['40']);
      await client.poll();
      await client.post(new Array(Math.floor(MESSAGE_BYTES / (packet.length + 1)) - 1).fill(packet));
      await expect.poll(() => connections(gateway)).toBe(0);
      await worksFor(gateway);
    },
  );

  it.each([
    ['a thousand million attachments', '451000000000-["audio_chunk",{}]'],
    ['two attachments', '452-["audio_chunk",{}]'],
    ['one for an event that fills the memory', `451-["audio_chunk",${'['.repeat(20_000)}${']'.repeat(20_000)}]`],
  ])('is cut when %s are announced', async (_, packet) => {
    const gateway = await gatewayWith();
    const raw = await webSocket(gateway);
    raw.send('40');
    await expect.poll(() => connections(gateway)).toBe(1);
    raw.send(packet);
    await expect.poll(() => raw.isClosed).toBe(true);
    expect(await offences(gateway, 'attachments')).toBe(1);
    await worksFor(gateway);
  });

  it('is cut when nobody is on it any more', async () => {
    const gateway = await gatewayWith({ GATEWAY_CONNECT_TIMEOUT_MS: '200' });
    const raw = await webSocket(gateway);
    raw.send('40');
    await expect.poll(() => connections(gateway)).toBe(1);
    raw.send('41');
    await expect.poll(() => raw.isClosed).toBe(true);
    expect(await offences(gateway, 'no_socket')).toBe(1);
  });

  it('is cut when nobody ever comes on it', async () => {
    const gateway = await gatewayWith({ GATEWAY_CONNECT_TIMEOUT_MS: '200' });
    const raw = await webSocket(gateway);
    await expect.poll(() => raw.isClosed).toBe(true);
    const poller = await rawPolling(gateway.url);
    // The first answer ends it, and the next one knows it no more.
    await expect.poll(() => poller.poll()).toBe(400);
  });
});

describe('a message', () => {
  it('of more than a megabyte is refused in a poll, whether it says its length or not', async () => {
    const gateway = await gatewayWith();
    const poller = await rawPolling(gateway.url);
    expect(await poller.post([`4${'x'.repeat(MESSAGE_BYTES)}`])).toBe(413);
    const handshake = await (await fetch(`${gateway.url}/socket.io/?EIO=4&transport=polling`)).text();
    const { sid } = JSON.parse(handshake.slice(1)) as { sid: string };
    const head = requestHead(
      `POST /socket.io/?EIO=4&transport=polling&sid=${sid}`,
      'Transfer-Encoding: chunked',
      'Content-Type: text/plain',
    );
    const piece = `10000\r\n${'4'.repeat(65_536)}\r\n`;
    const endless = await tcp(gateway, head, ...new Array(20).fill(piece));
    await expect.poll(() => endless.received).toMatch(/^HTTP\/1.1 413 /);
    await worksFor(gateway);
  });

  it('of more than a megabyte ends a WebSocket, in one frame or in pieces', async () => {
    const gateway = await gatewayWith();
    const raw = await webSocket(gateway);
    raw.send(`4${'x'.repeat(MESSAGE_BYTES)}`);
    await expect.poll(() => raw.isClosed).toBe(true);
    const first = frame('text', 'x'.repeat(60_000));
    first[0] = 0x01;
    const more = frame('text', 'x'.repeat(60_000));
    more[0] = 0x00;
    const inPieces = await tcp(gateway, UPGRADE, first, ...new Array(20).fill(more));
    await expect.poll(() => inPieces.isClosed).toBe(true);
    await worksFor(gateway);
  });

  it('of a million frames with a byte in each ends a WebSocket', async () => {
    const gateway = await gatewayWith();
    const first = frame('text', 'x');
    first[0] = 0x01;
    const more = frame('text', 'x');
    more[0] = 0x00;
    const inPieces = await tcp(gateway, UPGRADE, first, Buffer.concat(new Array(20_000).fill(more)));
    await expect.poll(() => inPieces.isClosed).toBe(true);
    await worksFor(gateway);
  });
});

describe('a request', () => {
  it.each([
    ['is deep', '['.repeat(8_000) + ']'.repeat(8_000), 400],
    ['changes prototypes', '{"user":"ann","__proto__":{"polluted":true}}', 400],
    ['changes constructors', '{"user":"ann","constructor":{"prototype":{"polluted":true}}}', 400],
    ['has numbers out of range', '{"user":"ann","ttl_seconds":1e999}', 400],
    ['is no JSON', '{"user":', 400],
    ['is too long', `{"user":"${'x'.repeat(17_000)}"}`, 413],
  ])('whose body %s is refused by its status and a code', async (_, body, status) => {
    const folder = mkdtempSync(join(tmpdir(), 'keys-'));
    closers.push(() => rmSync(folder, { recursive: true }));
    const { key, sha256 } = newApiKey();
    const file = join(folder, 'keys.json');
    writeFileSync(file, JSON.stringify({ keys: [{ id: 'back-end', sha256 }] }));
    const gateway = await gatewayWith({
      GATEWAY_AUTH: 'api_key',
      GATEWAY_API_KEYS_FILE: file,
      GATEWAY_TOKEN_SECRET: 'a secret of two hundred and fifty-six bits',
    });
    const answer = await fetch(`${gateway.url}/v1/tokens`, {
      method: 'POST',
      headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
      body,
    });
    expect(answer.status).toBe(status);
    expect(await answer.json()).toMatchObject({ error: { code: 'bad_request', message: expect.any(String) } });
    expect({}).not.toHaveProperty('polluted');
  });

  it.each(['PUT', 'DELETE', 'PATCH', 'POST'])('by %s opens no transport', async (method) => {
    const gateway = await gatewayWith();
    const answer = await fetch(`${gateway.url}/socket.io/?EIO=4&transport=polling`, { method });
    expect(answer.status).toBe(400);
    await worksFor(gateway);
  });

  it.each([
    'sid=__proto__',
    'sid=constructor',
    'transport=__proto__',
    'transport=constructor',
    'EIO=3',
    'EIO=__proto__',
  ])('with a query that means something to JavaScript alone is refused: %s', async (query) => {
    const gateway = await gatewayWith();
    const [name = ''] = query.split('=');
    const others = ['EIO=4', 'transport=polling'].filter((one) => !one.startsWith(name));
    const answer = await fetch(`${gateway.url}/socket.io/?${[...others, query].join('&')}`);
    expect(answer.status).toBe(400);
    await worksFor(gateway);
  });
});

describe('a connection', () => {
  const SHORT = { GATEWAY_HEADERS_TIMEOUT_MS: '300', GATEWAY_REQUEST_TIMEOUT_MS: '600' };

  it.each([
    ['says nothing', ''],
    ['begins a request and no more', 'GET / HTT'],
    ['never ends its headers', 'GET / HTTP/1.1\r\nHost: localhost\r\n'],
    ['never ends a body', requestHead('POST /v1/tokens', 'Content-Type: application/json', 'Content-Length: 100')],
    [
      'never ends a poll',
      requestHead('POST /socket.io/?EIO=4&transport=polling', 'Content-Type: text/plain', 'Content-Length: 100'),
    ],
  ])('that %s is ended', async (_, says) => {
    const gateway = await gatewayWith(SHORT);
    const slow = await Promise.all(Array.from({ length: 20 }, () => tcp(gateway, says)));
    // A byte now and then does not help.
    const drip = setInterval(() => {
      for (const { socket } of slow) if (says !== '' && socket.writable) socket.write('a');
    }, 50);
    closers.push(() => clearInterval(drip));
    await expect.poll(() => slow.every(({ isClosed }) => isClosed)).toBe(true);
    await worksFor(gateway);
  });

  it('gets a pong for its newest ping, and not for each of thousands', async () => {
    const gateway = await gatewayWith();
    const pings = [...new Array(20_000).fill(frame('ping', 'early')), frame('ping', 'newest')];
    const flood = await tcp(gateway, UPGRADE, Buffer.concat(pings));
    await expect.poll(() => flood.received).toContain('newest');
    const pongs = flood.received.split('\x8a').length - 1;
    expect(pongs).toBeLessThan(1_000);
    await worksFor(gateway);
  });

  it('that asks again and again whether it could move to a WebSocket is cut', async () => {
    const gateway = await gatewayWith();
    const handshake = await (await fetch(`${gateway.url}/socket.io/?EIO=4&transport=polling`)).text();
    const { sid } = JSON.parse(handshake.slice(1)) as { sid: string };
    const probes = Buffer.concat(new Array(1_000).fill(frame('text', '2probe')));
    const upgrade = UPGRADE.replace('transport=websocket', `transport=websocket&sid=${sid}`);
    const prober = await tcp(gateway, upgrade, probes);
    await expect.poll(() => prober.isClosed).toBe(true);
    expect(await offences(gateway, 'probe_flood')).toBe(1);
    await worksFor(gateway);
  });

  it('gets no answer by a script, which pages of every origin could read', async () => {
    const gateway = await gatewayWith({ GATEWAY_ALLOWED_ORIGINS: 'https://app.example.com' });
    const answer = await fetch(`${gateway.url}/socket.io/?EIO=4&transport=polling&j=0`);
    expect(answer.status).toBe(403);
    expect(await answer.json()).toMatchObject({ message: expect.stringMatching(/^bad_request: .*JSONP/) });
  });

  it('gets the client of Socket.IO as it is, because it would be compressed anew for everybody', async () => {
    const gateway = await gatewayWith();
    const answer = await fetch(`${gateway.url}/socket.io/socket.io.min.js?v=1`, {
      headers: { 'Accept-Encoding': 'br, gzip' },
    });
    expect(answer.status).toBe(200);
    expect(answer.headers.get('content-encoding')).toBe(null);
    expect(await answer.text()).toMatch(/Socket\.IO/);
  });
});
