import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { connect, emitWithAck, type TestClient } from '../support/client.ts';
import { childrenOf, cli, killAll, type ServedGateway, serveGateway } from '../support/process.ts';
import { describeWithRedis, RedisServer } from '../support/redis.ts';
import { isRunning, logsOf, metricOf, pidsOf, replaced } from '../support/served-workers.ts';

const WORKERS = 4;
const SPEECH = readFileSync(new URL('../fixtures/goforward.raw', import.meta.url));
const CHUNK_BYTES = 3_200;
const FULL = { ok: false, error: { code: 'engine_unavailable', retryable: true } };

const clients: TestClient[] = [];
afterEach(() => {
  for (const one of clients.splice(0)) one.close();
  killAll();
});

/** Clients on the workers in turn: every fourth has the same worker. */
async function connectInTurn(gateway: ServedGateway, count: number): Promise<TestClient[]> {
  const connected: TestClient[] = [];
  for (let n = 0; n < count; n++) {
    const one = connect(gateway.url, { transports: ['websocket'], auth: { protocol: 2 } });
    clients.push(one);
    connected.push(one);
    await one.next('connected');
  }
  return connected;
}

function start(one: TestClient | undefined): Promise<unknown> {
  if (one === undefined) throw new Error('no client');
  return emitWithAck(one, 'start_transcription');
}

async function send(one: TestClient, audio: Buffer): Promise<void> {
  for (let at = 0; at < audio.length; at += CHUNK_BYTES) {
    await emitWithAck(one, 'audio_chunk', { chunk: audio.subarray(at, at + CHUNK_BYTES) });
  }
}

/** The places of the workers of the last sessions; their lines of the log may come after the clients know. */
async function startedOn(gateway: ServedGateway, count: number, before = 0): Promise<unknown[]> {
  const started = () => logsOf(gateway).flatMap(({ msg, worker }) => (msg === 'session started' ? [worker] : []));
  await expect.poll(() => started().length, { timeout: 10_000 }).toBe(before + count);
  return started().slice(before).sort();
}

/** The recognisers of a gateway: those of its children that are no workers. */
function recognisersOf(gateway: ServedGateway): number[] {
  const workers = new Set(pidsOf(gateway).values());
  return childrenOf(gateway.child.pid ?? 0).filter((pid) => !workers.has(pid));
}

describeWithRedis('the local engine of several workers', () => {
  let redis: RedisServer;
  let folder: string;
  beforeAll(async () => {
    redis = await RedisServer.start();
    folder = await mkdtemp(join(tmpdir(), 'gateway-test-'));
  });
  afterAll(async () => {
    await redis.stop();
    await rm(folder, { recursive: true });
  });

  async function serve(sessions: number, workers = WORKERS): Promise<ServedGateway> {
    const gateway = await serveGateway({
      GATEWAY_ENGINE: 'local',
      GATEWAY_LOCAL_PROCESSES: '1',
      GATEWAY_LOCAL_SESSIONS_PER_PROCESS: String(sessions),
      GATEWAY_WORKERS: String(workers),
      REDIS_URL: redis.url,
      TMPDIR: folder,
    });
    await expect.poll(() => pidsOf(gateway).size).toBe(workers);
    return gateway;
  }

  it('has places for whichever worker asks, and those of a killed worker at once', async () => {
    const gateway = await serve(3);
    expect(recognisersOf(gateway)).toHaveLength(1);
    expect(await metricOf(gateway, 'local_recognisers')).toBe(1);
    expect(await metricOf(gateway, 'local_capacity_sessions')).toBe(3);
    const [first, second, third, fourth, again, , , , still] = await connectInTurn(gateway, 12);
    for (const one of [first, again, still]) expect(await start(one)).toMatchObject({ ok: true });
    const [victim, ...others] = await startedOn(gateway, 3);
    expect(others).toEqual([victim, victim]);
    for (const one of [second, third, fourth]) expect(await start(one)).toMatchObject(FULL);
    await emitWithAck(first as TestClient, 'stop_transcription');
    expect(await start(second)).toMatchObject({ ok: true });
    expect(await start(third)).toMatchObject(FULL);

    process.kill(pidsOf(gateway).get(Number(victim)) ?? 0, 'SIGKILL');
    await once((still as TestClient).socket as never, 'disconnect');
    await expect.poll(() => start(third), { timeout: 8_000, interval: 20 }).toMatchObject({ ok: true });
    expect(await start(fourth)).toMatchObject({ ok: true });

    await replaced(gateway);
    await emitWithAck(fourth as TestClient, 'stop_transcription');
    for (const one of await connectInTurn(gateway, WORKERS)) {
      expect(await start(one)).toMatchObject({ ok: true });
      await send(one, SPEECH);
      await emitWithAck(one, 'stop_transcription');
    }
    expect(await startedOn(gateway, WORKERS, 6)).toEqual([1, 2, 3, 4]);
    expect(recognisersOf(gateway)).toHaveLength(1);
  });

  it('loses and doubles no word of any worker when its recogniser is killed', async () => {
    const gateway = await serve(WORKERS);
    const speakers = await connectInTurn(gateway, WORKERS);
    for (const one of speakers) expect(await start(one)).toMatchObject({ ok: true });
    expect(await startedOn(gateway, WORKERS)).toEqual([1, 2, 3, 4]);
    await Promise.all(speakers.map((one) => send(one, SPEECH.subarray(0, 48_000))));
    for (const one of speakers) {
      await expect.poll(() => one.all('transcription_result').length, { timeout: 10_000 }).toBeGreaterThan(0);
    }
    const [recogniser = 0] = recognisersOf(gateway);
    process.kill(recogniser, 'SIGKILL');
    await Promise.all(speakers.map((one) => send(one, SPEECH.subarray(48_000))));
    await Promise.all(speakers.map((one) => emitWithAck(one, 'stop_transcription')));
    for (const one of speakers) {
      const finals = one.all('transcription_result').filter(({ is_partial }) => is_partial === false);
      expect(finals.map(({ text }) => text).join(' ')).toBe('go forward ten meters');
      expect(one.all('transcription_gap')).toEqual([]);
      expect(one.all('error')).toEqual([]);
    }
    expect(await metricOf(gateway, 'local_recogniser_exits_total')).toBe(1);
    expect(await metricOf(gateway, 'local_lag_seconds_count')).toBeGreaterThan(0);
    expect(await metricOf(gateway, 'worker_exits_total')).toBe(0);
  });

  it('ends with the primary, and what a killed one leaves behind harms nobody', async () => {
    const killed = await serve(1, 2);
    const pids = childrenOf(killed.child.pid ?? 0);
    expect(pids).toHaveLength(3);
    killed.child.kill('SIGKILL');
    await expect.poll(() => pids.filter(isRunning), { timeout: 5_000 }).toEqual([]);
    const left = await readdir(folder);
    const gateway = await serve(1, 2);
    const stream = cli(['stream', '--sample', '--fast', '--url', gateway.url]);
    expect(await stream.exited).toBe(0);
    expect(stream.stdout()).toMatch(/^go forward/);
    gateway.child.kill('SIGTERM');
    expect(await gateway.exited).toBe(0);
    expect(await readdir(folder)).toEqual(left);
  });

  it('does not start, with the reason, when the engine cannot', async () => {
    const failing = serveGateway({
      GATEWAY_ENGINE: 'local',
      GATEWAY_LOCAL_MODEL: '/nowhere',
      GATEWAY_WORKERS: '2',
      REDIS_URL: redis.url,
    });
    await expect(failing).rejects.toThrow(/ended with 1[\s\S]*transcribe-gateway cannot start: .*\/nowhere/);
  });
});
