import { readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { type AddressInfo, createServer as createTcpServer, type Socket } from 'node:net';
import tls from 'node:tls';
import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { loadConfig } from '../../src/config/load.ts';
import { type Emulator, startEmulator } from '../../src/emulator/emulator.ts';
import type { EmulatorOptions } from '../../src/emulator/options.ts';
import type { AwsEngine } from '../../src/engines/aws/aws-engine.ts';
import type { Engine, EngineStream } from '../../src/engines/engine.ts';
import { startEngine } from '../../src/engines/index.ts';
import { createMetrics } from '../../src/metrics/metrics.ts';
import { awsEngine, FRAME_PATHS, openStream, readAll, writeAll } from '../support/aws-engine.ts';
import { audioChunks, codedAudio } from '../support/coded-audio.ts';
import { isClean, reconcile } from '../support/reconcile.ts';
import { eventually } from '../unit/emulator/sdk-client.ts';

const AUDIO = codedAudio({ utterances: 2, blocks: 20, silentBlocks: 10, seed: 5 });
const CHUNKS = [...audioChunks(AUDIO.pcm)];
const ROLE = 'arn:aws:iam::123456789012:role/transcribe';

/** Everything that a test has started, closed after it in reverse order. */
const started: { close(): unknown }[] = [];

async function emulatorWith(options: Partial<EmulatorOptions> = {}): Promise<Emulator> {
  const recogniser = { kind: 'coded', latency: { partialMs: 0, finalMs: { min: 0, max: 0 } } } as const;
  const emulator = await startEmulator({ recogniser, limits: { startsPerSecond: 1000 }, ...options });
  started.push(emulator);
  return emulator;
}

function engineOn(...parameters: Parameters<typeof awsEngine>): AwsEngine {
  const engine = awsEngine(...parameters);
  started.push(engine);
  return engine;
}

async function httpServer(answer: (path: string) => { type: string; body: string }): Promise<string> {
  const server: Server = createServer((request, response) => {
    const { type, body } = answer(request.url ?? '');
    request.resume().on('end', () => response.writeHead(200, { 'content-type': type }).end(body));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  started.push({ close: () => server.close() });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** Takes connections, and never says a word on them. */
async function deafServer(): Promise<string> {
  const sockets: Socket[] = [];
  const server = createTcpServer((socket) => sockets.push(socket.on('error', () => undefined)));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  started.push({
    close() {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** Streams all of the audio through a new stream; says whether every block was heard. */
async function transcribes(engine: Engine): Promise<boolean> {
  const stream = await openStream(engine);
  const reading = readAll(stream);
  await writeAll(stream, CHUNKS);
  stream.end();
  const { finals, failure } = await reading;
  return failure === undefined && isClean(reconcile({ expected: AUDIO.blocks, finals, gaps: [] }));
}

/** No credentials anywhere that the chain looks, and none of the machine's. */
function withoutCredentials(): void {
  const unset = ['AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY', 'AWS_SESSION_TOKEN', 'AWS_PROFILE'];
  for (const name of unset) vi.stubEnv(name, undefined);
  vi.stubEnv('AWS_SHARED_CREDENTIALS_FILE', '/nowhere/credentials');
  vi.stubEnv('AWS_CONFIG_FILE', '/nowhere/config');
  vi.stubEnv('AWS_EC2_METADATA_DISABLED', 'true');
}

beforeEach(() => {
  withoutCredentials();
  vi.stubEnv('AWS_ACCESS_KEY_ID', 'test');
  vi.stubEnv('AWS_SECRET_ACCESS_KEY', 'test');
});
afterEach(async () => {
  for (const one of started.splice(0).reverse()) await one.close();
  vi.unstubAllEnvs();
});

describe('a pool', () => {
  test('opens the stream in the next entry when one is over its quota, in its order', async () => {
    const [full, next, reserve] = [
      await emulatorWith({ limits: { concurrentStreams: 0 } }),
      await emulatorWith(),
      await emulatorWith(),
    ];
    const engine = engineOn([{ endpoint: reserve.url, priority: 9 }, { endpoint: full.url }, { endpoint: next.url }]);
    for (let n = 0; n < 4; n += 1) expect(await transcribes(engine)).toBe(true);
    expect(next.usage().streams).toBe(4);
    expect(reserve.usage().streams).toBe(0);
    expect(full.usage().refusals.LimitExceededException).toBeGreaterThan(0);
  });

  test('goes to the next entry from one that nobody listens at', async () => {
    const reserve = await emulatorWith();
    const engine = engineOn([{ endpoint: 'http://127.0.0.1:9' }, { endpoint: reserve.url, priority: 2 }]);
    expect(await transcribes(engine)).toBe(true);
  });

  test('goes to the next entry from one that does not answer', async () => {
    const reserve = await emulatorWith();
    const deaf = await deafServer();
    const entries = [{ endpoint: deaf }, { endpoint: reserve.url, priority: 2 }];
    expect(await transcribes(engineOn(entries, { timeouts: { startMs: 300 } }))).toBe(true);
  });

  test('shares streams among regions by their weight', async () => {
    const emulator = await emulatorWith();
    const engine = engineOn([
      { endpoint: emulator.url, region: 'us-east-1', weight: 3 },
      { endpoint: emulator.url, region: 'eu-west-1', weight: 1 },
    ]);
    for (let n = 0; n < 8; n += 1) (await openStream(engine)).abort();
    const { accounts } = emulator.usage();
    expect(accounts['test/us-east-1']?.streams).toBe(6);
    expect(accounts['test/eu-west-1']?.streams).toBe(2);
  });

  test('sets a failing entry aside, and uses it again once it works', async () => {
    const [failing, reserve] = [await emulatorWith(), await emulatorWith()];
    failing.addFault({ fault: { kind: 'http_error', status: 503 }, rate: 1 });
    const states: string[] = [];
    const engine = engineOn([{ endpoint: failing.url }, { endpoint: reserve.url, priority: 2 }], {
      observer: {
        circuitChanged: (entry, state) => states.push(`${entry} ${state}`),
        streamOpened: () => undefined,
      },
    });
    while (states.at(-1) !== 'e0 open') (await openStream(engine)).abort();
    expect(failing.usage().faults.http_error).toBe(5);
    expect(reserve.usage().streams).toBe(5);

    failing.clearFaults();
    await vi.waitFor(
      async () => {
        (await openStream(engine)).abort();
        expect(failing.usage().streams).toBeGreaterThan(0);
      },
      { timeout: 10_000, interval: 100 },
    );
    expect(states.slice(-2)).toEqual(['e0 half_open', 'e0 closed']);
  });

  test('sets an entry aside that opens every stream and breaks it', async () => {
    const fault = { kind: 'disconnect', afterAudioMs: 200 } as const;
    const [failing, reserve] = [await emulatorWith({ faults: [{ fault, rate: 1 }] }), await emulatorWith()];
    const engine = engineOn([{ endpoint: failing.url }, { endpoint: reserve.url, priority: 2 }]);
    let broken = 0;
    while (broken < 20 && !(await transcribes(engine))) broken += 1;
    expect(broken).toBe(5);
    expect(failing.usage().streams).toBe(5);
    expect(reserve.usage().streams).toBe(1);
  });

  test('says in the log which entry it was that broke a stream', async () => {
    const fault = { kind: 'disconnect', afterAudioMs: 200 } as const;
    const failing = await emulatorWith({ faults: [{ fault, rate: 1 }] });
    const stream = await openStream(engineOn([{ name: 'eu-reserve', endpoint: failing.url }]));
    const reading = readAll(stream);
    await writeAll(stream, CHUNKS);
    const lines: string[] = [];
    pino({}, { write: (line: string) => void lines.push(line) }).warn({ err: (await reading).failure }, 'broke');
    expect(lines.join('')).toContain('"entry":"eu-reserve"');
  });

  test('does not try another entry for what is refused as it is', async () => {
    const account = { vocabularies: [] };
    const [one, other] = [await emulatorWith({ account }), await emulatorWith({ account })];
    const engine = engineOn([{ endpoint: one.url }, { endpoint: other.url }]);
    const refused = openStream(engine, { vocabularies: ['missing'] });
    await expect(refused).rejects.toMatchObject({ code: 'engine_rejected', retryable: false });
    expect(other.usage().refusals).toEqual({});
  });
});

describe('credentials', () => {
  test('that are nowhere to be found cannot be retried, and only the log says what is missing', async () => {
    vi.stubEnv('AWS_ACCESS_KEY_ID', undefined);
    vi.stubEnv('AWS_SECRET_ACCESS_KEY', undefined);
    const lines: string[] = [];
    const log = pino({ level: 'debug' }, { write: (line: string) => void lines.push(line) });
    const emulator = await emulatorWith();
    const failure = await openStream(engineOn(emulator.url, { log })).catch((error: Error) => error);
    expect(failure).toMatchObject({ code: 'engine_unavailable', retryable: false });
    expect((failure as Error).message).toBe('The speech engine has no credentials.');
    expect(lines.join('')).toContain('Could not load credentials from any providers');
  });

  test.each([
    ['an unknown key', 'nobody', 'test'],
    ['a wrong secret', 'test', 'wrong'],
  ])('%s cannot be retried', async (_name, key, secret) => {
    vi.stubEnv('AWS_ACCESS_KEY_ID', key);
    vi.stubEnv('AWS_SECRET_ACCESS_KEY', secret);
    const refused = openStream(engineOn((await emulatorWith()).url));
    await expect(refused).rejects.toMatchObject({ code: 'engine_unavailable', retryable: false });
  });

  test('that have expired can be retried, and are renewed by the chain', async () => {
    const key = { accessKeyId: 'key', secretAccessKey: 'secret' };
    const credentials = [
      { ...key, sessionToken: 'old', expiresAt: 1 },
      { ...key, sessionToken: 'new' },
    ];
    const emulator = await emulatorWith({ credentials });
    let asked = 0;
    const url = await httpServer(() => {
      asked += 1;
      // Near its end from the first moment, so that the SDK asks again for the next stream.
      const Expiration = new Date(Date.now() + 30_000).toISOString();
      const Token = asked === 1 ? 'old' : 'new';
      const body = { AccessKeyId: 'key', SecretAccessKey: 'secret', Token, Expiration };
      return { type: 'application/json', body: JSON.stringify(body) };
    });
    vi.stubEnv('AWS_ACCESS_KEY_ID', undefined);
    vi.stubEnv('AWS_SECRET_ACCESS_KEY', undefined);
    vi.stubEnv('AWS_CONTAINER_CREDENTIALS_FULL_URI', url);
    const engine = engineOn(emulator.url);
    await expect(openStream(engine)).rejects.toMatchObject({ code: 'engine_unavailable', retryable: true });
    await vi.waitFor(async () => expect(await transcribes(engine)).toBe(true), { timeout: 10_000, interval: 50 });
  });

  test('that were there before and cannot be renewed can be retried: their source is away for a while', async () => {
    const key = { accessKeyId: 'key', secretAccessKey: 'secret', sessionToken: 'one' };
    const emulator = await emulatorWith({ credentials: [key] });
    let away = false;
    const url = await httpServer(() => {
      // The SDK uses what it has until it has expired, so that is soon.
      const Expiration = new Date(Date.now() + 1_000).toISOString();
      const body = { AccessKeyId: 'key', SecretAccessKey: 'secret', Token: 'one', Expiration };
      return { type: 'application/json', body: JSON.stringify(away ? {} : body) };
    });
    vi.stubEnv('AWS_ACCESS_KEY_ID', undefined);
    vi.stubEnv('AWS_SECRET_ACCESS_KEY', undefined);
    vi.stubEnv('AWS_CONTAINER_CREDENTIALS_FULL_URI', url);
    const engine = engineOn(emulator.url);
    expect(await transcribes(engine)).toBe(true);
    away = true;
    const failure = await vi.waitFor(
      async () => {
        const opened = await openStream(engine).catch((error: unknown) => error);
        if (!(opened instanceof Error)) (opened as EngineStream).abort();
        expect(opened).toBeInstanceOf(Error);
        return opened;
      },
      { timeout: 10_000, interval: 100 },
    );
    expect(failure).toMatchObject({ code: 'engine_unavailable', retryable: true });
    away = false;
    await vi.waitFor(async () => expect(await transcribes(engine)).toBe(true), { timeout: 10_000, interval: 50 });
  });

  test.each(FRAME_PATHS)('of an entry with a role are those of the role, %s frames', async (framePath) => {
    const key = { accessKeyId: 'ROLEKEY', secretAccessKey: 'role-secret', sessionToken: 'role-token' };
    const emulator = await emulatorWith({ credentials: [key] });
    const sts = await httpServer(() => ({
      type: 'text/xml',
      body: `<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult><Credentials>
        <AccessKeyId>${key.accessKeyId}</AccessKeyId><SecretAccessKey>${key.secretAccessKey}</SecretAccessKey>
        <SessionToken>${key.sessionToken}</SessionToken><Expiration>${new Date(Date.now() + 3_600_000).toISOString()}</Expiration>
        </Credentials></AssumeRoleResult></AssumeRoleResponse>`,
    }));
    vi.stubEnv('AWS_ENDPOINT_URL_STS', sts);
    const engine = engineOn([{ endpoint: emulator.url, roleArn: ROLE }], { framePath });
    expect(await transcribes(engine)).toBe(true);
    expect(emulator.streams()[0]?.accessKeyId).toBe('ROLEKEY');
  });
});

test.each(FRAME_PATHS)(
  'TLS: a certificate of an authority that is trusted, and no other, %s frames',
  async (framePath) => {
    const read = (name: string) => readFileSync(new URL(`../fixtures/emulator/${name}`, import.meta.url), 'utf8');
    const emulator = await emulatorWith({ tls: { cert: read('cert.pem'), key: read('key.pem') } });
    await expect(openStream(engineOn(emulator.url, { framePath }))).rejects.toMatchObject({
      code: 'engine_unavailable',
      retryable: true,
    });
    const trusted = tls.getCACertificates('default');
    tls.setDefaultCACertificates([...trusted, read('cert.pem')]);
    try {
      expect(await transcribes(engineOn(emulator.url, { framePath }))).toBe(true);
    } finally {
      tls.setDefaultCACertificates(trusted);
    }
  },
);

test('a stream never shares its connection, and each has a session id of its own', async () => {
  const emulator = await emulatorWith();
  const engine = engineOn(emulator.url);
  const streams = await Promise.all([openStream(engine), openStream(engine), openStream(engine)]);
  await eventually(() => expect(emulator.usage().activeStreams).toBe(3));
  expect(emulator.usage().refusals).toEqual({});
  expect(new Set(emulator.streams().map(({ sessionId }) => sessionId)).size).toBe(3);
  for (const stream of streams) stream.abort();
});

describe('from the configuration', () => {
  const LOG = pino({ level: 'silent' });

  async function startConfigured(environment: Record<string, string>) {
    const metrics = createMetrics();
    const engine = await startEngine(loadConfig({ GATEWAY_ENGINE: 'aws', ...environment }), LOG, metrics);
    started.push(engine);
    return { engine, metrics };
  }

  test('region and endpoint are a pool of one', async () => {
    const emulator = await emulatorWith();
    const { engine, metrics } = await startConfigured({ AWS_REGION: 'eu-west-1', GATEWAY_AWS_ENDPOINT: emulator.url });
    expect(await transcribes(engine)).toBe(true);
    expect(emulator.streams()[0]?.region).toBe('eu-west-1');
    const text = await metrics.registry.metrics();
    expect(text).toContain('transcribe_gateway_aws_opens_total{entry="eu-west-1",outcome="ok"} 1');
    expect(text).toContain('transcribe_gateway_aws_pool_state{entry="eu-west-1"} 0');
  });

  test('a pool is counted by the names of its entries', async () => {
    const [full, next] = [await emulatorWith({ limits: { concurrentStreams: 0 } }), await emulatorWith()];
    const pool = [
      { name: 'full', region: 'us-east-1', endpoint: full.url },
      { name: 'next', region: 'us-east-1', endpoint: next.url, priority: 2 },
    ];
    const { engine, metrics } = await startConfigured({
      GATEWAY_AWS_POOL: JSON.stringify(pool),
      GATEWAY_AWS_FRAME_PATH: 'stock',
    });
    for (let n = 0; n < 5; n += 1) expect(await transcribes(engine)).toBe(true);
    const text = await metrics.registry.metrics();
    expect(text).toContain('aws_opens_total{entry="full",outcome="quota_exhausted"} 5');
    expect(text).toContain('aws_opens_total{entry="next",outcome="ok"} 5');
    expect(text).toContain('aws_pool_state{entry="full"} 2');
  });

  test('an entry that does not answer leaves time for another, however short the time to start is', async () => {
    const [next, deaf] = [await emulatorWith(), await deafServer()];
    const pool = [
      { name: 'deaf', region: 'us-east-1', endpoint: deaf },
      { name: 'next', region: 'us-east-1', endpoint: next.url, priority: 2 },
    ];
    const { engine } = await startConfigured({
      GATEWAY_AWS_POOL: JSON.stringify(pool),
      GATEWAY_START_TIMEOUT_MS: '3000',
    });
    (await openStream(engine, {}, AbortSignal.timeout(3000))).abort();
  });

  test('a region that is missing or none is named, and so is an endpoint beside a pool', async () => {
    await expect(startConfigured({})).rejects.toThrow(/none is given: set AWS_REGION.*GATEWAY_AWS_POOL/);
    await expect(startConfigured({ AWS_REGION: 'us-east1' })).rejects.toThrow(/"us-east1" is none: set AWS_REGION/);
    // Whatever other programs have it for, it does not stop the other engines.
    expect(loadConfig({ AWS_REGION: 'local' }).engine).toBe('local');
    const pool = JSON.stringify([{ name: 'one', region: 'us-east-1' }]);
    const both = startConfigured({ GATEWAY_AWS_POOL: pool, GATEWAY_AWS_ENDPOINT: 'http://127.0.0.1:9' });
    await expect(both).rejects.toThrow(/GATEWAY_AWS_ENDPOINT does nothing/);
  });
});
