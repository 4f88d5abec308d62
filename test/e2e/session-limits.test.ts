/** How many sessions there may be at a time: of a user, a tenant and a token, over the gateways that share a Redis. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { newApiKey } from '../../src/auth/api-keys.ts';
import { connect, emitWithAck, type TestClient, tone } from '../support/client.ts';
import { CodedEngine } from '../support/coded-engine.ts';
import { startGateway, type TestGateway } from '../support/gateway.ts';
import { killAll, serveGateway } from '../support/process.ts';
import { describeWithRedis, RedisServer } from '../support/redis.ts';
import { JWT_AUTH, signToken } from '../support/tokens.ts';
import { TwoGateways } from '../support/two-gateways.ts';
import { WORKERS } from '../support/workers.ts';

const ONE_EACH = { ...JWT_AUTH, GATEWAY_SESSIONS_PER_USER: '1' };

const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
  killAll();
});

async function gatewayWith(environment: Record<string, string>): Promise<TestGateway> {
  const gateway = await startGateway(new CodedEngine(), environment);
  closers.push(() => gateway.release());
  return gateway;
}

async function arrive({ url }: { url: string }, token: string, protocol = 2): Promise<TestClient> {
  const client = connect(url, { transports: ['websocket'], auth: { protocol, token } });
  closers.push(client.close);
  await client.next('connected');
  return client;
}

let keys = 0;
const newKey = () => `limit-key-${String(++keys).padStart(16, '0')}`;

function start(client: TestClient, more: object = {}): Promise<unknown> {
  return emitWithAck(client, 'start_transcription', { acks: true, start_key: newKey(), attempt: 1, ...more });
}

const REFUSED = {
  ok: false,
  error: { code: 'sessions_exceeded', retryable: true, retry_after_ms: expect.any(Number) },
};

describe('sessions at a time', () => {
  it('of a user are as many as the setting says; the next is refused until one has ended', async () => {
    const gateway = await gatewayWith(ONE_EACH);
    const [ann, again, bob] = [
      await arrive(gateway, await signToken()),
      await arrive(gateway, await signToken()),
      await arrive(gateway, await signToken({ sub: 'bob' })),
    ];
    expect(await start(ann)).toMatchObject({ ok: true });
    expect(await start(again)).toMatchObject(REFUSED);
    expect(await start(bob)).toMatchObject({ ok: true });
    expect(await gateway.metric('transcribe_gateway_limit_refusals_total{limit="sessions_per_user"}')).toBe(1);
    expect(await emitWithAck(ann, 'stop_transcription')).toMatchObject({ ok: true });
    await expect.poll(() => start(again)).toMatchObject({ ok: true });
  });

  it('of a user of version 1 are counted with the others, and end with their connection', async () => {
    const gateway = await gatewayWith(ONE_EACH);
    const first = await arrive(gateway, await signToken(), 1);
    first.socket.emit('start_transcription', {});
    await first.next('transcription_started');
    const second = await arrive(gateway, await signToken(), 1);
    second.socket.emit('start_transcription', {});
    expect(Object.keys(await second.next('error'))).toEqual(['message']);
    expect(await start(await arrive(gateway, await signToken()))).toMatchObject(REFUSED);
    first.close();
    await expect.poll(async () => start(await arrive(gateway, await signToken()))).toMatchObject({ ok: true });
  });

  it('are more or fewer where the token says so', async () => {
    const gateway = await gatewayWith(ONE_EACH);
    const token = await signToken({ limits: { sessions: 2 } });
    const [one, two, three] = [
      await arrive(gateway, token),
      await arrive(gateway, token),
      await arrive(gateway, token),
    ];
    expect(await start(one)).toMatchObject({ ok: true });
    expect(await start(two)).toMatchObject({ ok: true });
    expect(await start(three)).toMatchObject(REFUSED);
  });

  it('of a tenant are counted over its users, and who is refused for that keeps no place of its own', async () => {
    const gateway = await gatewayWith({ ...ONE_EACH, GATEWAY_SESSIONS_PER_TENANT: '1' });
    const ann = await arrive(gateway, await signToken({ tenant: 'acme' }));
    const bob = await arrive(gateway, await signToken({ tenant: 'acme', sub: 'bob' }));
    const carl = await arrive(gateway, await signToken({ tenant: 'other', sub: 'carl' }));
    expect(await start(ann)).toMatchObject({ ok: true });
    expect(await start(bob)).toMatchObject(REFUSED);
    expect(await start(carl)).toMatchObject({ ok: true });
    expect(await emitWithAck(ann, 'stop_transcription')).toMatchObject({ ok: true });
    await expect.poll(() => start(bob)).toMatchObject({ ok: true });
  });

  it('of a start key is one: a later attempt takes the place of the session that it ends', async () => {
    const gateway = await gatewayWith(ONE_EACH);
    const start_key = newKey();
    const [one, two, three] = [
      await arrive(gateway, await signToken()),
      await arrive(gateway, await signToken()),
      await arrive(gateway, await signToken()),
    ];
    expect(await start(one, { start_key, attempt: 2 })).toMatchObject({ ok: true });
    expect(await start(two, { start_key, attempt: 3 })).toMatchObject({ ok: true });
    expect(await start(three, { start_key, attempt: 1 })).toMatchObject({ error: { code: 'session_exists' } });
    expect(await start(three)).toMatchObject(REFUSED);
    expect(await emitWithAck(two, 'stop_transcription')).toMatchObject({ ok: true });
    await expect.poll(() => start(three)).toMatchObject({ ok: true });
  });

  it('of a minted token is one, and another token has another', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'keys-'));
    closers.push(() => rmSync(folder, { recursive: true }));
    const file = join(folder, 'keys.json');
    const { key, sha256 } = newApiKey();
    writeFileSync(file, JSON.stringify({ keys: [{ id: 'back-end', sha256 }] }));
    const gateway = await gatewayWith({
      GATEWAY_AUTH: 'api_key',
      GATEWAY_API_KEYS_FILE: file,
      GATEWAY_TOKEN_SECRET: 'the secret that minted tokens are signed with',
    });
    const mint = async () => {
      const answer = await fetch(`${gateway.url}/v1/tokens`, {
        method: 'POST',
        headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
        body: JSON.stringify({ user: 'ann' }),
      });
      return ((await answer.json()) as { token: string }).token;
    };
    const token = await mint();
    const [one, two] = [await arrive(gateway, token), await arrive(gateway, token)];
    expect(await start(one)).toMatchObject({ ok: true });
    expect(await start(two)).toMatchObject(REFUSED);
    expect(await start(await arrive(gateway, await mint()))).toMatchObject({ ok: true });
    // The key itself is for many.
    for (const _ of [1, 2]) expect(await start(await arrive(gateway, key))).toMatchObject({ ok: true });
    expect(await emitWithAck(one, 'stop_transcription')).toMatchObject({ ok: true });
    await expect.poll(() => start(two)).toMatchObject({ ok: true });
  });
});

describeWithRedis('sessions at a time on two gateways', () => {
  let redis: RedisServer;
  beforeAll(async () => {
    redis = await RedisServer.start();
  });
  afterAll(() => redis.stop());

  const started = async (client: TestClient) => {
    client.socket.emit('start_transcription', { acks: true, start_key: newKey(), attempt: 1 });
    return (await client.next('transcription_started')) as { session_id: string; resume_token: string };
  };
  const resumeOf = ({ resume_token, session_id }: { session_id: string; resume_token: string }, attempt = 2) => ({
    ...{ session_id, resume_token, attempt, epoch: 1, last_seq: 0, last_end: 0, acked: 0 },
    ...{ oldest_chunk: 1, oldest_offset: 0 },
  });

  it('are counted on both, and a resume on the other one neither frees nor doubles a place', async () => {
    const two = await TwoGateways.start(redis, { ...ONE_EACH, GATEWAY_SESSIONS_PER_USER: '2' });
    closers.push(() => two.close());
    const { a, b } = two;
    const token = await signToken();
    const session = await started(await arrive(a, token));
    const elsewhere = await arrive(b, token);
    expect(await emitWithAck(elsewhere, 'resume_transcription', resumeOf(session))).toMatchObject({ ok: true });
    await expect.poll(() => a.metric('transcribe_gateway_leases{limit="sessions_per_user"}')).toBe(0);
    expect(await start(await arrive(a, token))).toMatchObject({ ok: true });
    for (const pod of [a, b]) expect(await start(await arrive(pod, token))).toMatchObject(REFUSED);
    expect(await emitWithAck(elsewhere, 'stop_transcription')).toMatchObject({ ok: true });
    await expect.poll(async () => start(await arrive(a, token))).toMatchObject({ ok: true });
  });

  it('keep their place while a gateway that drains hands them over, and where they are resumed then', async () => {
    const two = await TwoGateways.start(redis, { ...ONE_EACH, GATEWAY_DRAIN_TIMEOUT_MS: '5000' });
    closers.push(() => two.close());
    const { a, b } = two;
    const token = await signToken();
    const leaving = await arrive(a, token);
    const session = await started(leaving);
    // The client stays, so that its session is handed over.
    await a.close();
    expect(await start(await arrive(b, token))).toMatchObject(REFUSED);
    const elsewhere = await arrive(b, token);
    expect(await emitWithAck(elsewhere, 'resume_transcription', resumeOf(session))).toMatchObject({ ok: true });
    expect(await start(await arrive(b, token))).toMatchObject(REFUSED);
    expect(await emitWithAck(elsewhere, 'stop_transcription')).toMatchObject({ ok: true });
    await expect.poll(async () => start(await arrive(b, token))).toMatchObject({ ok: true });
  });

  it('go on while Redis is away; each gateway then decides by its own, and all are counted when it is back', async () => {
    const two = await TwoGateways.start(redis, ONE_EACH);
    closers.push(() => two.close());
    const { a, b } = two;
    const v1 = async (pod: TestGateway, sub: string) => {
      const client = await arrive(pod, await signToken({ sub }), 1);
      client.socket.emit('start_transcription', {});
      return client;
    };
    const before = await v1(a, 'ann');
    await before.next('transcription_started');
    a.redisGate.shut();
    await expect.poll(() => a.metric('transcribe_gateway_store_available')).toBe(0);
    // Each worker of a gateway has a place of its own to give now.
    let given = 0;
    for (let refused = false; !refused; ) {
      const bob = await v1(a, 'bob');
      refused = await Promise.race([
        bob.next('error').then(() => true),
        bob.next('transcription_started').then(() => false),
      ]);
      if (!refused) given++;
    }
    expect(given).toBeGreaterThan(0);
    expect(given).toBeLessThanOrEqual(WORKERS);
    expect(await a.metric('transcribe_gateway_limit_fallbacks_total{limit="sessions_per_user"}')).toBe(given + 1);
    before.socket.emit('audio_chunk', { chunk: tone(100) });
    before.socket.emit('stop_transcription');
    await before.next('transcription_stopped');
    a.redisGate.open();
    await expect
      .poll(async () => start(await arrive(b, await signToken({ sub: 'bob' }))), { timeout: 20_000 })
      .toMatchObject(REFUSED);
  });

  it('are free again within the term after the gateway that had them was killed', async () => {
    const environment = {
      ...ONE_EACH,
      REDIS_URL: redis.url,
      GATEWAY_REDIS_PREFIX: 'killed:',
      GATEWAY_ENGINE: 'scripted',
      GATEWAY_LEASE_MS: '3000',
    };
    const [a, b] = await Promise.all([serveGateway(environment), serveGateway(environment)]);
    const token = await signToken();
    await started(await arrive(a, token));
    const client = await arrive(b, token);
    expect(await start(client)).toMatchObject(REFUSED);
    a.child.kill('SIGKILL');
    await a.exited;
    await expect.poll(() => start(client), { timeout: 20_000, interval: 200 }).toMatchObject({ ok: true });
  });
});
