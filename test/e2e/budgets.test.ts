import { afterEach, describe, expect, it } from 'vitest';
import { startEmulator } from '../../src/emulator/emulator.ts';
import { connect, emitWithAck, type TestClient } from '../support/client.ts';
import { audioChunks, type CodedAudio, codedAudio } from '../support/coded-audio.ts';
import { CodedEngine } from '../support/coded-engine.ts';
import { startGateway } from '../support/gateway.ts';
import { killAll, serveGateway, toEmulator } from '../support/process.ts';
import { describeWithRedis, RedisServer } from '../support/redis.ts';
import { JWT_AUTH, signToken } from '../support/tokens.ts';

const open: { close(): unknown }[] = [];
afterEach(async () => {
  for (const one of open.splice(0).reverse()) await one.close();
  killAll();
});

async function gateway(environment: Record<string, string>) {
  const started = await startGateway(new CodedEngine(), { ...JWT_AUTH, ...environment });
  open.push(started);
  return started;
}

async function arrive(url: string, claims: Record<string, unknown>, protocol = 2): Promise<TestClient> {
  const auth = { ...(protocol === 2 && { protocol }), token: await signToken({ tenant: 'acme', ...claims }) };
  const client = connect(url, { transports: ['websocket'], auth });
  open.push(client);
  await client.next('connected');
  return client;
}

/** Forty seconds. */
const LONG = codedAudio({ utterances: 20, blocks: 80, silentBlocks: 20 });
/** Five. */
const SHORT = codedAudio({ utterances: 2, blocks: 80, silentBlocks: 20 });

/** Sends audio as fast as the gateway takes it. */
async function speak(client: TestClient, { pcm }: CodedAudio): Promise<void> {
  const stopped = new Promise((resolve) => client.socket.once('transcription_stopped', resolve));
  for (const chunk of audioChunks(pcm, 32_000)) {
    await Promise.race([stopped, client.socket.emitWithAck('audio_chunk', { chunk })]);
    if (client.all('transcription_stopped').length > 0) return;
  }
}

interface Usage {
  readonly day?: string;
  readonly billed_seconds?: { readonly used: number };
}

async function usage(url: string, claims: Record<string, unknown> = {}) {
  const token = await signToken({ sub: 'boss', tenant: 'acme', scope: 'admin', ...claims });
  const answer = await fetch(`${url}/v1/usage`, { headers: { authorization: `Bearer ${token}` } });
  return { status: answer.status, body: (await answer.json()) as Usage };
}

/** Waits until so much is booked, which is every second. */
async function booked(url: string, figures: Record<string, unknown>): Promise<void> {
  await expect.poll(async () => (await usage(url)).body).toMatchObject(figures);
}

const wordsOf = (client: TestClient) =>
  client
    .all('transcription_result')
    .filter(({ is_partial }) => is_partial === false)
    .flatMap(({ text }) => String(text).split(' '));

describe('a tenant with a daily budget', () => {
  it('begins no session when it is used up, until the day ends; others do', async () => {
    const { metric, url } = await gateway({ GATEWAY_TENANT_DAILY_BILLED_SECONDS: '15' });
    const ann = await arrive(url, { sub: 'ann' });
    expect(await emitWithAck(ann, 'start_transcription', {})).toMatchObject({ ok: true });
    await booked(url, { billed_seconds: { used: 15, budget: 15 } });
    const bob = await arrive(url, { sub: 'bob' });
    const reply = (await emitWithAck(bob, 'start_transcription', {})) as { error: Record<string, number> };
    expect(reply).toMatchObject({ ok: false, error: { code: 'budget_exceeded', retryable: false } });
    expect(reply.error.retry_after_ms).toBeGreaterThan(0);
    expect(reply.error.retry_after_ms).toBeLessThanOrEqual(86_400_000);
    const stranger = await arrive(url, { sub: 'ann', tenant: 'globex' });
    expect(await emitWithAck(stranger, 'start_transcription', {})).toMatchObject({ ok: true });
    expect(await metric('transcribe_gateway_limit_refusals_total{limit="billed_seconds_per_tenant"}')).toBe(1);
  });

  it.each([
    ['billed seconds', { GATEWAY_TENANT_DAILY_BILLED_SECONDS: '20' }, {}],
    ['audio of the tenant', { GATEWAY_TENANT_DAILY_AUDIO_SECONDS: '20' }, {}],
    ['audio of the user, as its token says', {}, { limits: { dailySeconds: 20 } }],
  ])('hears the last finals of what runs, then the reason: %s', async (_case, environment, claims) => {
    const { url } = await gateway(environment);
    const client = await arrive(url, { sub: 'ann', ...claims });
    await emitWithAck(client, 'start_transcription', { acks: true });
    const speaking = speak(client, LONG);
    const stopped = await client.next('transcription_stopped', 60_000);
    await speaking;
    const words = wordsOf(client);
    expect(words).toEqual(LONG.blocks.slice(0, words.length).map(({ number }) => `b${number}`));
    const end = Number(stopped.audio_ms) * 16;
    expect(words).toHaveLength(LONG.blocks.filter(({ endSample }) => endSample <= end).length);
    expect(stopped).toMatchObject({ reason: 'budget_exceeded', durable: true });
    expect(client.all('error')).toMatchObject([{ code: 'budget_exceeded', retryable: false }]);
    expect(client.received.slice(-2).map(({ event }) => event)).toEqual(['error', 'transcription_stopped']);
  });

  it('is told by version 1 with a message, and with nothing that it does not know', async () => {
    const { url } = await gateway({
      GATEWAY_USER_DAILY_AUDIO_SECONDS: '20',
      // All of it comes at once, and may have to wait for the engine.
      GATEWAY_BACKLOG_MS: '60000',
    });
    const client = await arrive(url, { sub: 'ann' }, 1);
    client.socket.emit('start_transcription', {});
    await client.next('transcription_started');
    for (const chunk of audioChunks(LONG.pcm, 32_000))
      client.socket.emit('audio_chunk', { chunk: chunk.toString('base64') });
    const stopped = await client.next('transcription_stopped', 60_000);
    expect(Object.keys(stopped).sort()).toEqual(['message', 'status']);
    const events = client.received.map(({ event }) => event);
    expect(events.slice(events.indexOf('error'))).toEqual(['error', 'transcription_stopped']);
    expect(client.all('error')).toEqual([{ message: expect.stringMatching(/^A daily budget/) }]);
    expect(wordsOf(client).length).toBeGreaterThan(0);
  });
});

describe('GET /v1/usage', () => {
  it('tells an administrator what the tenant used today', async () => {
    const { url } = await gateway({ GATEWAY_TENANT_DAILY_AUDIO_SECONDS: '3600' });
    const client = await arrive(url, { sub: 'ann' });
    await emitWithAck(client, 'start_transcription', {});
    await speak(client, SHORT);
    client.socket.emit('stop_transcription');
    await client.next('transcription_stopped');
    const seconds = SHORT.pcm.length / 32_000;
    await booked(url, { audio_seconds: { used: seconds, budget: 3600 }, billed_seconds: { used: 15, budget: null } });
    const { body, status } = await usage(url);
    expect(status).toBe(200);
    expect(Object.keys(body)).toEqual(['day', 'ends_in_ms', 'billed_seconds', 'audio_seconds']);
    expect(body.day).toMatch(/^\d{4}-\d\d-\d\d$/);
    expect((await usage(url, { tenant: 'globex' })).body).toMatchObject({ audio_seconds: { used: 0 } });
  });

  it('tells nobody else', async () => {
    const { url } = await gateway({});
    expect(await usage(url, { scope: 'transcribe watch' })).toMatchObject({
      status: 403,
      body: { error: { code: 'forbidden' } },
    });
    expect((await fetch(`${url}/v1/usage`)).status).toBe(401);
  });
});

describeWithRedis('what a gateway counts that is killed', () => {
  it('is what AWS bills, but for one step of each session', async () => {
    const redis = await RedisServer.start();
    open.push({ close: () => redis.stop() });
    const emulator = await startEmulator({ recogniser: { kind: 'coded' }, seed: 1 });
    open.push(emulator);
    const environment = {
      ...JWT_AUTH,
      ...toEmulator(emulator.url),
      REDIS_URL: `redis://127.0.0.1:${redis.port}`,
      GATEWAY_CATCH_UP_SPEED: '20',
    };
    const [victim, other] = await Promise.all([serveGateway(environment), serveGateway(environment)]);
    const client = await arrive(victim.url, { sub: 'ann' });
    await emitWithAck(client, 'start_transcription', {});
    void speak(client, LONG);
    await expect.poll(() => emulator.usage().billedSeconds, { timeout: 30_000 }).toBeGreaterThan(32);
    // What is counted is booked within a second.
    await expect.poll(async () => Number((await usage(other.url)).body.billed_seconds?.used)).toBeGreaterThan(20);
    victim.child.kill('SIGKILL');
    await victim.exited;
    const { billedSeconds } = emulator.usage();
    const used = Number((await usage(other.url)).body.billed_seconds?.used);
    expect(used).toBeLessThanOrEqual(billedSeconds);
    // The step, and what was given while the last one was on its way, at twenty times the speed of speech.
    expect(billedSeconds - used).toBeLessThanOrEqual(10 + 20);
  });
});

describeWithRedis('what is used while Redis is away', () => {
  it('is counted all the same, and booked when it is back', async () => {
    const redis = await RedisServer.start();
    open.push({ close: () => redis.stop() });
    const { url } = await gateway({
      REDIS_URL: `redis://127.0.0.1:${redis.port}`,
      GATEWAY_REDIS_TIMEOUT_MS: '200',
      GATEWAY_TENANT_DAILY_BILLED_SECONDS: '3600',
    });
    await redis.pause();
    const client = await arrive(url, { sub: 'ann' }, 1);
    client.socket.emit('start_transcription', {});
    await client.next('transcription_started');
    for (const chunk of audioChunks(SHORT.pcm, 32_000)) {
      client.socket.emit('audio_chunk', { chunk: chunk.toString('base64') });
    }
    client.socket.emit('stop_transcription');
    await client.next('transcription_stopped');
    expect(wordsOf(client)).toEqual(SHORT.blocks.map(({ number }) => `b${number}`));
    expect((await usage(url)).status).toBe(503);
    await redis.unpause();
    await booked(url, { billed_seconds: { used: 15 }, audio_seconds: { used: SHORT.pcm.length / 32_000 } });
  });
});
