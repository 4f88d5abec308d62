/** What one address may do, before and after anybody knows who is there. */
import { randomBytes } from 'node:crypto';
import { afterEach, describe, expect, it } from 'vitest';
import { connect, emitWithAck, type TestClient } from '../support/client.ts';
import { CodedEngine } from '../support/coded-engine.ts';
import { startGateway, type TestGateway } from '../support/gateway.ts';
import { isClean } from '../support/reconcile.ts';
import { JWT_AUTH, signToken } from '../support/tokens.ts';
import { WORKERS } from '../support/workers.ts';
import { accountOf, recorded, speech } from '../unit/client/spoken.ts';

/** As behind a balancer that tells whom it passes on. */
const BEHIND = { GATEWAY_TRUSTED_PROXIES: '1' };

const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

async function gatewayWith(environment: Record<string, string>): Promise<TestGateway> {
  const gateway = await startGateway(new CodedEngine(), { ...BEHIND, ...environment });
  closers.push(() => gateway.release());
  return gateway;
}

interface From {
  readonly address?: string;
  readonly protocol?: 1 | 2;
  readonly token?: string;
}

function dial({ url }: TestGateway, { address, protocol = 2, token }: From = {}): TestClient {
  const extraHeaders: Record<string, string> = address === undefined ? {} : { 'x-forwarded-for': address };
  const client = connect(url, { transports: ['websocket'], auth: { protocol, token }, extraHeaders });
  closers.push(client.close);
  return client;
}

async function arrive(gateway: TestGateway, from: From = {}): Promise<TestClient> {
  const client = dial(gateway, from);
  await client.next('connected');
  return client;
}

/** Why a client is not let in, or `connected`. */
function outcome(gateway: TestGateway, from: From): Promise<unknown> {
  const { socket } = dial(gateway, from);
  return new Promise((resolve) => {
    socket.once('connect_error', ({ data, message }: Error & { data?: unknown }) => resolve(data ?? message));
    socket.once('connected', () => resolve('connected'));
  });
}

const ADDRESS = '203.0.113.7';
/** A worker learns that an address is shut out by its next failure there: after so many, all have. */
const TRIES = 3 + 3 * WORKERS;
const refusals = (gateway: TestGateway, limit: string) =>
  gateway.metric(`transcribe_gateway_limit_refusals_total{limit="${limit}"}`);

describe('connections of an address', () => {
  const CONNECTIONS = { GATEWAY_CONNECTIONS_PER_ADDRESS: '2' };

  it('are as many at a time as the setting says, whatever protocol they speak', async () => {
    const gateway = await gatewayWith(CONNECTIONS);
    const first = await arrive(gateway, { address: ADDRESS });
    await arrive(gateway, { address: ADDRESS, protocol: 1 });
    expect(await outcome(gateway, { address: ADDRESS })).toMatchObject({
      code: 'connections_exceeded',
      retryable: true,
      retry_after_ms: expect.any(Number),
    });
    expect(await outcome(gateway, { address: ADDRESS, protocol: 1 })).toMatch(/^There are too many connections/);
    expect(await refusals(gateway, 'connections_per_address')).toBe(2);
    await arrive(gateway, { address: '203.0.113.8' });
    first.close();
    await expect.poll(() => outcome(gateway, { address: ADDRESS })).toBe('connected');
  });

  it('are waited for by the library, which then goes on as if nothing had been', async () => {
    const gateway = await gatewayWith({ GATEWAY_CONNECTIONS_PER_ADDRESS: '1' });
    const first = await arrive(gateway, { address: ADDRESS });
    const socket = { transports: ['websocket'], extraHeaders: { 'x-forwarded-for': ADDRESS } };
    const { client, entries, retries } = recorded({ url: gateway.url, socket });
    closers.push(() => client.close());
    const audio = speech(41, 3);
    void client.start();
    client.send(audio.pcm);
    await expect.poll(() => retries.map(({ error }) => error.code)).toContain('connections_exceeded');
    first.close();
    await client.stop();
    expect(isClean(accountOf(audio, entries))).toBe(true);
  });

  it('are counted by the /64 of IPv6', async () => {
    const gateway = await gatewayWith(CONNECTIONS);
    for (const address of ['2001:db8::1', '2001:db8::2']) await arrive(gateway, { address });
    expect(await outcome(gateway, { address: '2001:db8::3' })).toMatchObject({ code: 'connections_exceeded' });
    await arrive(gateway, { address: '2001:db8:0:1::1' });
  });

  it('are not limited where all come through a balancer that does not tell whom it passes on', async () => {
    const gateway = await gatewayWith({ ...CONNECTIONS, GATEWAY_TRUSTED_PROXIES: '0' });
    for (let n = 0; n < 5; n++) await arrive(gateway, { address: ADDRESS });
  });

  it('leave nothing behind where they are not let in, or go while they are asked who they are', async () => {
    const gateway = await gatewayWith({ ...CONNECTIONS, ...JWT_AUTH });
    for (let n = 0; n < 4; n++) {
      expect(await outcome(gateway, { address: ADDRESS, token: 'nonsense' })).toMatchObject({ code: 'unauthorized' });
      const hasty = dial(gateway, { address: ADDRESS, token: await signToken() });
      hasty.socket.io.once('open', () => hasty.close());
      await new Promise((resolve) => hasty.socket.io.once('close', resolve));
    }
    await expect.poll(() => gateway.metric('transcribe_gateway_leases{limit="connections_per_address"}')).toBe(0);
    for (let n = 0; n < 2; n++) await arrive(gateway, { address: ADDRESS, token: await signToken() });
  });
});

describe('an address', () => {
  it('that connects too often has to wait', async () => {
    const gateway = await gatewayWith({ GATEWAY_CONNECTS_PER_MINUTE: '3' });
    for (let n = 0; n < 3; n++) (await arrive(gateway, { address: ADDRESS })).close();
    expect(await outcome(gateway, { address: ADDRESS })).toMatchObject({
      code: 'rate_exceeded',
      retryable: true,
      retry_after_ms: expect.any(Number),
    });
    expect(await refusals(gateway, 'connects_per_address')).toBe(1);
    await arrive(gateway, { address: '203.0.113.8' });
  });

  it('that sends too many bad tokens is not asked any more, by sockets and by HTTP alike', async () => {
    const gateway = await gatewayWith({ ...JWT_AUTH, GATEWAY_AUTH_FAILURES_PER_MINUTE: '3' });
    const bad = { address: ADDRESS, token: 'nonsense' };
    const codes: unknown[] = [];
    for (let n = 0; n < TRIES; n++) codes.push(((await outcome(gateway, bad)) as { code: string }).code);
    expect(codes.filter((code) => code === 'unauthorized').length).toBeLessThanOrEqual(3 + WORKERS);
    expect(codes.at(-1)).toBe('rate_exceeded');
    const good = { address: ADDRESS, token: await signToken() };
    expect(await outcome(gateway, good)).toMatchObject({ code: 'rate_exceeded', retry_after_ms: expect.any(Number) });
    expect(await outcome(gateway, { ...good, address: '203.0.113.8' })).toBe('connected');
  });

  it.each([
    ['POST', '/v1/tokens'],
    ['GET', '/v1/usage'],
  ])('that asks with bad keys is answered 429: %s %s', async (method, path) => {
    const gateway = await gatewayWith({
      GATEWAY_AUTH: 'api_key',
      GATEWAY_API_KEYS_FILE: new URL('../../deploy/api-keys.demo.json', import.meta.url).pathname,
      GATEWAY_TOKEN_SECRET: 'the secret that minted tokens are signed with',
      GATEWAY_AUTH_FAILURES_PER_MINUTE: '2',
    });
    const ask = () =>
      fetch(`${gateway.url}${path}`, {
        method,
        headers: { authorization: 'Bearer wrong', 'x-forwarded-for': ADDRESS, 'content-type': 'application/json' },
        ...(method === 'POST' && { body: '{"user":"ann"}' }),
      });
    const statuses: number[] = [];
    for (let n = 0; n < TRIES; n++) statuses.push((await ask()).status);
    expect(statuses.filter((status) => status === 401).length).toBeLessThanOrEqual(2 + WORKERS);
    expect(statuses.at(-1)).toBe(429);
    expect(Number((await ask()).headers.get('retry-after'))).toBeGreaterThan(0);
  });
});

describe('whoever guesses tokens of sessions', () => {
  const guess = () => ({
    session_id: `${randomBytes(17).toString('base64url').slice(0, 22)}.${randomBytes(17).toString('base64url').slice(0, 22)}`,
    resume_token: randomBytes(32).toString('base64url'),
    ...{ attempt: 1, epoch: 1, last_seq: 0, last_end: 0, acked: 0, oldest_chunk: 1, oldest_offset: 0 },
  });
  const resume = (client: TestClient) => emitWithAck(client, 'resume_transcription', guess());
  const TOO_MANY = { ok: false, error: { code: 'rate_exceeded', retry_after_ms: expect.any(Number) } };

  it('on one connection has to stop after some, and may still start a session', async () => {
    const gateway = await gatewayWith({});
    const client = await arrive(gateway);
    for (let n = 0; n < 20; n++) expect(await resume(client)).toMatchObject({ error: { code: 'resume_expired' } });
    expect(await resume(client)).toMatchObject(TOO_MANY);
    const watch = { session_id: guess().session_id, watch_token: randomBytes(32).toString('base64url'), after_seq: 0 };
    expect(await emitWithAck(client, 'watch_transcription', watch)).toMatchObject(TOO_MANY);
    expect(await refusals(gateway, 'resume_failures_per_connection')).toBe(2);
    expect(await emitWithAck(client, 'start_transcription')).toMatchObject({ ok: true });
  });

  it('on many connections of one address has to stop as well, and so has who watches', async () => {
    const gateway = await gatewayWith({ GATEWAY_RESUME_FAILURES_PER_MINUTE: '3' });
    for (let n = 0; n < TRIES; n++) await resume(await arrive(gateway, { address: ADDRESS }));
    expect(await resume(await arrive(gateway, { address: ADDRESS }))).toMatchObject(TOO_MANY);
    expect(await resume(await arrive(gateway, { address: '203.0.113.8' }))).toMatchObject({
      error: { code: 'resume_expired' },
    });
  });
});
