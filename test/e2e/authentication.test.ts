import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { newApiKey } from '../../src/auth/api-keys.ts';
import { connect, emitWithAck, silence, type TestClient } from '../support/client.ts';
import { CodedEngine } from '../support/coded-engine.ts';
import { startGateway, type TestGateway } from '../support/gateway.ts';
import { cli, killAll } from '../support/process.ts';
import { isClean } from '../support/reconcile.ts';
import { JWT_AUTH, signToken } from '../support/tokens.ts';
import { accountOf, recorded, speak, speech } from '../unit/client/spoken.ts';

const open: { close(): unknown }[] = [];
const folder = mkdtempSync(join(tmpdir(), 'keys-'));

afterEach(async () => {
  for (const one of open.splice(0).reverse()) await one.close();
  rmSync(folder, { recursive: true, force: true });
  killAll();
});

async function gateway(environment: Record<string, string> = JWT_AUTH): Promise<TestGateway> {
  const started = await startGateway(new CodedEngine(), environment);
  open.push(started);
  return started;
}

type Choices = Parameters<typeof connect>[1];

function dial(url: string, auth: object, more: Choices = {}): TestClient {
  const client = connect(url, { transports: ['websocket'], auth, ...more });
  open.push(client);
  return client;
}

async function arrive(url: string, auth: object, more: Choices = {}): Promise<TestClient> {
  const client = dial(url, auth, more);
  await client.next('connected');
  return client;
}

/** What a client is told that is not let in. */
function refusal(client: TestClient): Promise<Error & { data?: unknown }> {
  return new Promise((resolve) => client.socket.once('connect_error', resolve));
}

const startRequest = (n: number) => ({ acks: true, start_key: `auth-key-${n}-0123456789abcdef`, attempt: 1 });

describe('with tokens', () => {
  it('nobody comes in without one', async () => {
    const { url, metric } = await gateway();
    const refused = await refusal(dial(url, { protocol: 2 }));
    expect(refused.message).toMatch(/^A token is needed/);
    expect(refused.data).toMatchObject({ code: 'unauthorized', retryable: false, message: refused.message });
    expect(await refusal(dial(url, { protocol: 2, token: 7 }))).toMatchObject({ data: { code: 'unauthorized' } });
    expect(await refusal(dial(url, { protocol: 2, token: 'x'.repeat(10_000) }))).toMatchObject({
      data: { code: 'unauthorized' },
    });
    expect(await metric('transcribe_gateway_errors_total{code="unauthorized"}')).toBe(3);
    expect(await metric('transcribe_gateway_connections{protocol="2"}')).toBe(0);
  });

  it('a version-1 client is told no more than a message', async () => {
    const { url } = await gateway();
    const refused = await refusal(dial(url, {}));
    expect(refused.message).toMatch(/^A token is needed/);
    expect(refused.data).toBeUndefined();
  });

  it.each(['1', '2'])('the command that streams by protocol %s says that the gateway refuses it', async (protocol) => {
    const { url } = await gateway();
    const stream = cli(['stream', '--sample', '--url', url, '--protocol', protocol]);
    expect(await stream.exited).toBe(1);
    expect(stream.stderr()).toContain('A token is needed');
    expect(stream.stderr()).not.toContain('Cannot reach');
  });

  it.each(['websocket', 'polling'])('one comes in the handshake or in a header, over %s', async (transport) => {
    const { url } = await gateway();
    const token = await signToken();
    const more = { transports: [transport] };
    await arrive(url, { protocol: 2, token }, more);
    await arrive(url, { token }, more);
    await arrive(url, {}, { ...more, extraHeaders: { authorization: `Bearer ${token}` } });
    expect((await refusal(dial(url, {}, { ...more, query: { token } }))).message).toMatch(/^A token is needed/);
  });

  it('one permits what its scopes say', async () => {
    const { url } = await gateway();
    const reader = await arrive(url, { protocol: 2, token: await signToken({ scope: 'watch' }) });
    expect(await emitWithAck(reader, 'start_transcription', startRequest(1))).toMatchObject({
      ok: false,
      error: { code: 'forbidden', message: expect.stringContaining('"transcribe"') },
    });
    expect(
      await emitWithAck(reader, 'resume_transcription', resumeOf({ session_id: 'a', resume_token: 'b' })),
    ).toMatchObject({
      error: { code: 'forbidden' },
    });
    const speaker = await arrive(url, { protocol: 2, token: await signToken({ scope: 'transcribe' }) });
    const watch = { session_id: 'a', watch_token: 'b' };
    expect(await emitWithAck(speaker, 'watch_transcription', watch)).toMatchObject({ error: { code: 'forbidden' } });
    expect(await emitWithAck(speaker, 'start_transcription', startRequest(2))).toMatchObject({ ok: true });
  });

  it('one permits the languages that it lists', async () => {
    const { url } = await gateway();
    const token = await signToken({ languages: ['de-DE', 'fr-FR'] });
    const client = await arrive(url, { protocol: 2, token });
    expect(
      await emitWithAck(client, 'start_transcription', { ...startRequest(3), language_code: 'en-US' }),
    ).toMatchObject({
      error: { code: 'forbidden', message: expect.stringContaining('de-DE, fr-FR only') },
    });
    const version1 = await arrive(url, { token });
    version1.socket.emit('start_transcription');
    expect(await version1.next('error')).toEqual({ message: expect.stringContaining('de-DE, fr-FR only') });
  });

  it('a session goes on for who began it, with whatever token, and for nobody else', async () => {
    const { url } = await gateway();
    const first = await arrive(url, { protocol: 2, token: await signToken() });
    first.socket.emit('start_transcription', startRequest(4));
    const started = await first.next('transcription_started');
    first.close();
    const thief = await arrive(url, { protocol: 2, token: await signToken({ sub: 'eve' }) });
    expect(await emitWithAck(thief, 'resume_transcription', resumeOf(started))).toMatchObject({
      error: { code: 'forbidden' },
    });
    const again = await arrive(url, { protocol: 2, token: await signToken({}, 700) });
    again.socket.emit('resume_transcription', resumeOf(started));
    expect(await again.next('transcription_resumed')).toMatchObject({ session_id: started.session_id });
  });
});

function resumeOf({ resume_token, session_id }: Record<string, unknown>) {
  const nothing = { last_seq: 0, last_end: 0, acked: 0, oldest_chunk: 1, oldest_offset: 0 };
  return { session_id, resume_token, attempt: 2, epoch: 1, ...nothing };
}

describe('a token that ends in mid-session', () => {
  const GRACE = { ...JWT_AUTH, GATEWAY_TOKEN_GRACE_MS: '1000' };

  it('is told of, and ends the connection after a grace; the session waits for another', async () => {
    const { url } = await gateway(GRACE);
    const client = await arrive(url, { protocol: 2, token: await signToken({}, 2) });
    client.socket.emit('start_transcription', startRequest(5));
    const started = await client.next('transcription_started');
    expect(await client.next('token_expired')).toEqual({ grace_ms: 1000 });
    expect(await client.next('error')).toMatchObject({ code: 'unauthorized', session_id: started.session_id });
    await expect.poll(() => client.socket.connected).toBe(false);
    const again = await arrive(url, { protocol: 2, token: await signToken() });
    again.socket.emit('resume_transcription', resumeOf(started));
    await again.next('transcription_resumed');
  });

  it('is replaced on the connection by another of the same user', async () => {
    const { url } = await gateway(GRACE);
    const client = await arrive(url, { protocol: 2, token: await signToken({}, 2) });
    await client.next('token_expired');
    const refresh = async (claims: object, seconds?: number) =>
      emitWithAck(client, 'refresh_token', { token: await signToken({ ...claims }, seconds) });
    expect(await refresh({ sub: 'eve' })).toMatchObject({ error: { code: 'forbidden' } });
    expect(await refresh({}, -100)).toMatchObject({ error: { code: 'unauthorized' } });
    expect(await emitWithAck(client, 'refresh_token', {})).toMatchObject({ error: { code: 'bad_request' } });
    expect(await refresh({ scope: 'watch' }, 2)).toEqual({ ok: true });
    // The new one counts from now on, its end too.
    expect(await emitWithAck(client, 'start_transcription', startRequest(6))).toMatchObject({
      error: { code: 'forbidden' },
    });
    await client.next('token_expired');
    expect(client.socket.connected).toBe(true);
  });

  it('lets a version-1 session have its last finals', async () => {
    const { url } = await gateway(GRACE);
    const client = await arrive(url, { token: await signToken({}, 2) });
    client.socket.emit('start_transcription');
    await client.next('transcription_started');
    const audio = speech(51, 1);
    client.socket.emit('audio_chunk', { chunk: audio.pcm.subarray(0, 6_400) });
    await client.next('transcription_stopped');
    await expect.poll(() => client.socket.connected).toBe(false);
    expect(client.all('transcription_result').at(-1)).toEqual({
      text: expect.stringMatching(/^b\d+/),
      is_partial: false,
    });
    expect(client.all('error')).toEqual([{ message: 'The token has expired.' }]);
    expect(client.all('token_expired')).toEqual([]);
  });

  it('costs the client library nothing when it can get another', async () => {
    const { url } = await gateway(GRACE);
    let tokens = 0;
    const { client, entries, retries } = recorded({
      url,
      token: () => {
        tokens += 1;
        return signToken({}, 2);
      },
    });
    open.push(client);
    await client.start();
    const audio = speech(52, 4);
    // In mid-sentence the first token ends.
    await speak(client, audio.pcm, async (chunk) => {
      if (chunk === 10) await expect.poll(() => tokens).toBeGreaterThan(1);
    });
    await client.stop();
    expect(isClean(accountOf(audio, entries))).toBe(true);
    expect(retries).toEqual([]);
  });

  it('ends a transcription that cannot get another, and says why', async () => {
    const { url } = await gateway(GRACE);
    const { client } = recorded({ url, token: await signToken({}, 2) });
    open.push(client);
    await client.start();
    const failed = new Promise((resolve) => client.once('error', resolve));
    expect(await failed).toMatchObject({ code: 'unauthorized' });
  });
});

describe('with API keys', () => {
  const key = newApiKey();

  async function withKeys(more: Record<string, string> = {}) {
    const file = join(mkdtempSync(join(tmpdir(), 'keys-')), 'keys.json');
    open.push({ close: () => rmSync(file) });
    writeFileSync(file, JSON.stringify({ keys: [{ id: 'back-end', sha256: key.sha256, tenant: 'acme' }] }));
    return gateway({ GATEWAY_AUTH: 'api_key', GATEWAY_API_KEYS_FILE: file, ...more });
  }

  const SECRET = { GATEWAY_TOKEN_SECRET: 'the secret that minted tokens are signed with' };

  const mint = (url: string, body: object, token = key.key) =>
    fetch(`${url}/v1/tokens`, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });

  it('who has one comes in', async () => {
    const { url } = await withKeys();
    await arrive(url, { protocol: 2, token: key.key });
    expect((await refusal(dial(url, { protocol: 2, token: newApiKey().key }))).message).toBe(
      'The API key is not known.',
    );
  });

  it('a back end gets tokens for its users', async () => {
    const { url } = await withKeys(SECRET);
    const answer = await mint(url, { user: 'ann', ttl_seconds: 60 });
    expect(answer.status).toBe(201);
    expect(answer.headers.get('cache-control')).toBe('no-store');
    const { token, ...rest } = (await answer.json()) as { token: string };
    expect(rest).toEqual({ token_type: 'Bearer', expires_in: 60 });
    const ann = await arrive(url, { protocol: 2, token });
    expect(await emitWithAck(ann, 'start_transcription', startRequest(7))).toMatchObject({ ok: true });
    expect(await emitWithAck(ann, 'audio_chunk', { chunk: silence(100), seq: 1 })).toMatchObject({ ok: true });
    expect((await mint(url, { user: 'bob' }, token)).status).toBe(403);
  });

  it.each([
    [401, 'unauthorized', { user: 'ann' }, 'nobody'],
    [400, 'bad_request', { user: '' }, key.key],
    [403, 'forbidden', { user: 'ann', scopes: ['admin'] }, key.key],
  ])('a bad request for a token is answered with %i %s', async (status, code, body, token) => {
    const { url } = await withKeys(SECRET);
    const answer = await mint(url, body, token);
    expect(answer.status).toBe(status);
    expect(await answer.json()).toMatchObject({ error: { code, retryable: false, message: expect.any(String) } });
  });

  it('what is no JSON, or too long, is refused', async () => {
    const { url } = await withKeys(SECRET);
    const post = (body: string) =>
      fetch(`${url}/v1/tokens`, { method: 'POST', headers: { 'content-type': 'application/json' }, body });
    expect((await post('{')).status).toBe(400);
    const long = await post(JSON.stringify({ user: 'x'.repeat(20_000) }));
    expect(long.status).toBe(413);
    expect(await long.json()).toMatchObject({ error: { code: 'bad_request' } });
  });

  it('without a secret nothing is minted, and the answer says what is missing', async () => {
    const { url } = await withKeys();
    const answer = await mint(url, { user: 'ann' });
    expect(answer.status).toBe(400);
    expect(((await answer.json()) as { error: { message: string } }).error.message).toContain('GATEWAY_TOKEN_SECRET');
  });
});
