import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { newApiKey } from '../../src/auth/api-keys.ts';
import { type Emulator, startEmulator } from '../../src/emulator/emulator.ts';
import { connect, emitWithAck, type TestClient } from '../support/client.ts';
import { killAll, type ServedGateway, serveGateway, toEmulator } from '../support/process.ts';
import { type RawConnection, rawTcp } from '../support/raw-client.ts';
import { describeWithRedis, RedisServer } from '../support/redis.ts';

/** What is said, by nobody else. */
const WORDS = ['quokka', 'zanzibar', 'marzipan', 'obelisk'];
/** What the audio holds instead of sound; its length is a multiple of three, so that its base64 repeats. */
const AUDIO_MARK = 'sound-of-lucy-w.!!';
const CHUNK_BYTES = 3_204;
const USER = 'wilhelmina.harker';
const TENANT = 'tenant-of-carfax';
const ADDRESS = '203.0.113.77';
const TOKEN_SECRET = 'a secret of two hundred and fifty-six bits';
/** Whatever counts somebody is on, and has something to count by. */
const EVERY_LIMIT = {
  GATEWAY_SESSIONS_PER_USER: '100',
  GATEWAY_SESSIONS_PER_TENANT: '100',
  GATEWAY_TENANT_DAILY_BILLED_SECONDS: '100000',
  GATEWAY_TENANT_DAILY_AUDIO_SECONDS: '100000',
  GATEWAY_USER_DAILY_AUDIO_SECONDS: '100000',
  GATEWAY_AWS_STREAMS: '20',
};
/** What somebody tries who has no right. */
const GUESSES = { key: 'tgk_renfield-has-no-key', token: 'cmVuZmllbGQtaGFzLW5vLXRva2VuLWF0LWFsbC1oZXJlIQ' };

/** All that leaves a gateway or is kept by it, by where it was found. */
type Sinks = Readonly<Record<string, string>>;

describeWithRedis('what people say, and who they are', () => {
  const folder = mkdtempSync(join(tmpdir(), 'privacy-'));
  const clients: TestClient[] = [];
  let redis: RedisServer;
  let emulator: Emulator;
  let monitor: RawConnection;
  let sinks: Sinks = {};
  /** What must be in none of them, by what it is. */
  const secrets: Record<string, string> = { ...Object.fromEntries(WORDS.map((word) => [word, word])), USER, TENANT };

  beforeAll(async () => {
    redis = await RedisServer.start();
    emulator = await startEmulator({
      recogniser: {
        kind: 'scripted',
        script: [{ startMs: 100, endMs: 900, text: WORDS.join(' ') }],
        repeatMs: 1_000,
        latency: { partialMs: 10, finalMs: { min: 20, max: 40 } },
      },
    });
    monitor = await rawTcp(redis.url, 'MONITOR\r\n');
  });

  afterAll(async () => {
    for (const client of clients) client.close();
    killAll();
    monitor.socket.destroy();
    await emulator.close();
    await redis.stop();
    rmSync(folder, { recursive: true });
  });

  function dial({ url }: ServedGateway, token: string): TestClient {
    const client = connect(url, {
      auth: { protocol: 2, token },
      transports: ['websocket'],
      extraHeaders: { 'X-Forwarded-For': `198.51.100.1, ${ADDRESS}` },
    });
    clients.push(client);
    return client;
  }

  function serve(apiKeys: string): Promise<ServedGateway> {
    return serveGateway({
      ...toEmulator(emulator.url),
      REDIS_URL: redis.url,
      LOG_LEVEL: 'trace',
      GATEWAY_AUTH: 'api_key',
      GATEWAY_API_KEYS_FILE: apiKeys,
      GATEWAY_TOKEN_SECRET: TOKEN_SECRET,
      GATEWAY_TRUSTED_PROXIES: '1',
      ...EVERY_LIMIT,
    });
  }

  async function speak(client: TestClient, firstSeq: number, chunks: number): Promise<void> {
    const pcm = Buffer.alloc(CHUNK_BYTES, AUDIO_MARK);
    for (let seq = firstSeq; seq < firstSeq + chunks; seq++) {
      await emitWithAck(client, 'audio_chunk', { chunk: seq % 2 === 0 ? pcm : pcm.toString('base64'), seq });
    }
  }

  const finals = (client: TestClient) =>
    client.all('transcription_result').filter(({ is_partial }) => is_partial === false);

  /** All that can happen to a session, on two gateways. */
  async function live() {
    const { key, sha256 } = newApiKey();
    const apiKeys = join(folder, 'keys.json');
    writeFileSync(apiKeys, JSON.stringify({ keys: [{ id: 'back-end', sha256, tenant: TENANT }] }));
    const [a, b] = await Promise.all([serve(apiKeys), serve(apiKeys)]);
    const ask = (body: string) =>
      fetch(`${a.url}/v1/tokens`, {
        method: 'POST',
        headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
        body,
      });
    const mint = async () => {
      const answer = await ask(JSON.stringify({ user: USER, scopes: ['transcribe', 'watch'] }));
      return ((await answer.json()) as { token: string }).token;
    };
    const token = await mint();

    const speaker = dial(a, token);
    await speaker.next('connected');
    speaker.socket.emit('start_transcription', { acks: true });
    const started = await speaker.next('transcription_started');
    const { resume_token, session_id, watch_token } = started as Record<string, string>;
    Object.assign(secrets, {
      API_KEY: key,
      MINTED_TOKEN: token.split('.')[2],
      RESUME_TOKEN: resume_token,
      WATCH_TOKEN: watch_token,
      TOKEN_SECRET,
      ADDRESS,
      AUDIO: AUDIO_MARK,
      AUDIO_BASE64: Buffer.from(AUDIO_MARK.repeat(2)).toString('base64'),
      GUESSED_KEY: GUESSES.key,
      GUESSED_TOKEN: GUESSES.token,
    });
    await speak(speaker, 1, 20);
    await expect.poll(() => finals(speaker).length).toBeGreaterThan(0);

    // A viewer on the other gateway, while more is said.
    const viewer = dial(b, token);
    await viewer.next('connected');
    await emitWithAck(viewer, 'watch_transcription', { session_id, watch_token, after_seq: 0 });
    await speak(speaker, 21, 10);
    await expect.poll(() => finals(viewer).length).toBeGreaterThan(1);

    // Refusals that quote what was sent, if anything does.
    const said = WORDS.join(' ');
    await emitWithAck(speaker, 'audio_chunk', { chunk: said });
    await emitWithAck(speaker, 'start_transcription', { language_code: said, vocabulary: said });
    await emitWithAck(viewer, 'start_transcription', { language_code: `${said} ${said}`, start_key: said });
    await emitWithAck(viewer, 'watch_transcription', { session_id, watch_token: GUESSES.token });
    await emitWithAck(viewer, 'watch_transcription', { session_id: said, watch_token });
    await emitWithAck(viewer, 'refresh_token', { token: GUESSES.key });
    const refused = dial(a, GUESSES.key);
    await new Promise((resolve) => refused.socket.once('connect_error', resolve));
    await ask(`{"user": "${USER}", "${said}`);

    // Streams of the engine that break, in ways that its messages could tell of.
    for (const fault of [{ kind: 'corrupt_frame' }, { kind: 'disconnect' }] as const) {
      const before = finals(speaker).length;
      emulator.addFault({ fault: { afterAudioMs: 0, ...fault }, running: true });
      await speak(speaker, 31 + (fault.kind === 'disconnect' ? 15 : 0), 15);
      await expect.poll(() => finals(speaker).length, { timeout: 20_000 }).toBeGreaterThan(before);
    }

    // A fault inside: the journal of a second session does not open any more.
    const another = await mint();
    const other = dial(a, another);
    await other.next('connected');
    other.socket.emit('start_transcription', { acks: true });
    const spoilt = (await other.next('transcription_started')) as Record<string, string>;
    await speak(other, 1, 15);
    await expect.poll(() => finals(other).length).toBeGreaterThan(0);
    const known = { attempt: 1, epoch: 1, last_seq: 0, last_end: 0, acked: 0, oldest_chunk: 1, oldest_offset: 0 };
    await redis.withClient(async (client) => {
      const [tag, rest] = String(spoilt.session_id).split('.');
      await client.hset(`transcribe-gateway:{${tag}}:${rest}`, 'e1', 'nonsense');
    });
    const heir = dial(b, another);
    await heir.next('connected');
    const { session_id: spoiltId, resume_token: spoiltToken } = spoilt;
    await emitWithAck(heir, 'resume_transcription', { ...known, session_id: spoiltId, resume_token: spoiltToken });

    const outside = await answersOf(a);
    const titles = [a, b].map(({ child }) => readFileSync(`/proc/${child.pid}/cmdline`, 'latin1')).join(' ');
    a.child.kill('SIGKILL');
    await a.exited;

    // The session goes on with the other gateway, with what its client missed.
    const again = dial(b, token);
    await again.next('connected');
    await emitWithAck(again, 'resume_transcription', { ...known, session_id, resume_token });
    await speak(again, 1, 15);
    await emitWithAck(again, 'stop_transcription');
    await again.next('transcription_stopped');

    sinks = {
      'log of a': a.stdout() + a.stderr(),
      'log of b': b.stdout() + b.stderr(),
      'HTTP of a': outside,
      'HTTP of b': await answersOf(b),
      'command lines': titles,
      'values in Redis': await dump(),
      'traffic of Redis': monitor.received,
      'errors of clients': JSON.stringify(clients.flatMap((client) => client.all('error'))),
    };
    const codes = clients.flatMap((client) => client.all('error').map(({ code }) => code));
    return { words: finals(again).map(({ text }) => String(text)), sessionId: String(session_id), codes };
  }

  async function answersOf({ adminUrl, url }: ServedGateway): Promise<string> {
    const addresses = [
      ...['/metrics', '/livez', '/readyz', '/nothing'].map((path) => adminUrl + path),
      ...['/', '/nothing', '/v1/tokens', '/socket.io/', '/socket.io/?EIO=4&transport=polling&sid=x'].map(
        (path) => url + path,
      ),
    ];
    const answers = await Promise.all(addresses.map((address) => fetch(address)));
    const texts = await Promise.all(
      answers.map(async (answer) => JSON.stringify([...answer.headers]) + (await answer.text())),
    );
    return texts.join('\n');
  }

  /** Every key with its value, as bytes that are shown as Latin-1. */
  function dump(): Promise<string> {
    return redis.withClient(async (client) => {
      const keys = await client.keys('*');
      const values = await Promise.all(
        keys.map(async (key) => {
          const type = await client.type(key);
          if (type === 'hash') return Object.entries(await client.hgetallBuffer(key)).flat();
          if (type === 'zset') return client.zrangeBuffer(key, 0, -1);
          if (type === 'set') return client.smembersBuffer(key);
          return [await client.dumpBuffer(key)];
        }),
      );
      const texts = values.flat().map((value) => (typeof value === 'string' ? value : value.toString('latin1')));
      return [...keys, ...texts].join('\n');
    });
  }

  it('come to those who are meant to hear them, whatever fails meanwhile', async () => {
    const seen = await live();
    expect(seen.words.join(' ')).toContain(WORDS.join(' '));
    expect(seen.codes).toEqual(
      expect.arrayContaining(['bad_audio', 'bad_request', 'watch_refused', 'unauthorized', 'internal']),
    );
    expect(sinks['log of a']).toContain('engine stream broke');
    expect(sinks['log of b']).toContain('internal fault');
    // So a search finds what is there.
    for (const sink of ['log of a', 'log of b', 'traffic of Redis', 'values in Redis', 'errors of clients']) {
      expect(sinks[sink]?.replace('}:', '.'), sink).toContain(seen.sessionId.slice(0, 22));
    }
    expect(sinks['HTTP of b']).toContain('transcribe_gateway_results_total');
  });

  it('are in no log, metric, answer, command line, value or message of Redis, nor in the errors of clients', () => {
    const found = Object.entries(sinks).flatMap(([sink, text]) => {
      const lower = text.toLowerCase();
      return Object.entries(secrets)
        .filter(([, secret]) => lower.includes(secret.toLowerCase()))
        .map(([name]) => `${name} in the ${sink}`);
    });
    expect(Object.values(secrets).every((secret) => secret.length > 5)).toBe(true);
    expect(found).toEqual([]);
  });
});
