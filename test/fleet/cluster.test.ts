import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { connect as connectTcp } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { connect, emitWithAck, type TestClient, tone } from '../support/client.ts';
import { childrenOf, cli, killAll, occupyPort, type ServedGateway, serveGateway } from '../support/process.ts';
import { formatAccount, isClean } from '../support/reconcile.ts';
import { describeWithRedis, RedisServer } from '../support/redis.ts';
import { isRunning, logsOf, metricOf, pidsOf, replaced } from '../support/served-workers.ts';
import { takeover } from '../support/takeover.ts';

const WORKERS = 4;
/** Where four would show no more than two, and take longer to start. */
const TWO = { GATEWAY_WORKERS: '2' };
const TRANSPORTS = [['websocket'], ['polling'], ['polling', 'websocket']];

const clients: TestClient[] = [];

function client(url: string, options: Parameters<typeof connect>[1] = {}): TestClient {
  const one = connect(url, options);
  clients.push(one);
  return one;
}

afterEach(() => {
  for (const one of clients.splice(0)) one.close();
  killAll();
});

async function ready(gateway: ServedGateway): Promise<unknown> {
  const response = await fetch(`${gateway.adminUrl}/readyz`);
  return [response.status, ((await response.json()) as { status: string }).status];
}

/** Starts a session and has one second of audio transcribed. */
async function speak(one: TestClient): Promise<void> {
  await emitWithAck(one, 'start_transcription');
  await emitWithAck(one, 'audio_chunk', { chunk: tone(1000) });
  await expect
    .poll(() => one.all('transcription_result').some(({ is_partial }) => is_partial === false), { timeout: 10_000 })
    .toBe(true);
}

async function transcribe(one: TestClient): Promise<void> {
  await speak(one);
  await emitWithAck(one, 'stop_transcription');
  await one.next('transcription_stopped');
  one.close();
}

/** Whether a client connects or is told that it does not; `hangs` is what must never be. */
function outcome(one: TestClient): Promise<'connected' | 'refused' | 'hangs'> {
  return new Promise((resolve) => {
    one.socket.once('connect', () => resolve('connected'));
    one.socket.once('connect_error', () => resolve('refused'));
    // Its worker died after the transport was open and before the namespace was.
    one.socket.once('disconnect', () => resolve('refused'));
    one.socket.io.once('close', () => resolve('refused'));
    setTimeout(() => resolve('hangs'), 5_000);
  });
}

it('several workers without a Redis are refused with the reason', async () => {
  const serve = cli(['serve'], { env: { GATEWAY_WORKERS: '2', GATEWAY_ENGINE: 'scripted' } });
  expect(await serve.exited).toBe(2);
  expect(serve.stderr()).toMatch(/GATEWAY_WORKERS="2" needs REDIS_URL: .*session/);
});

describeWithRedis('a gateway of several workers', () => {
  let redis: RedisServer;
  beforeAll(async () => {
    redis = await RedisServer.start();
  });
  afterAll(() => redis.stop());

  async function serve(env: Readonly<Record<string, string>> = {}): Promise<ServedGateway> {
    const workers = env.GATEWAY_WORKERS ?? String(WORKERS);
    const fixed = { GATEWAY_ENGINE: 'scripted', GATEWAY_WORKERS: workers, REDIS_URL: redis.url };
    const gateway = await serveGateway({ ...fixed, ...env });
    // Their lines come through the same pipe, but in no certain order.
    await expect.poll(() => pidsOf(gateway).size).toBe(Number(workers));
    return gateway;
  }

  it('serves clients of every transport, on all workers, and sums up their metrics', async () => {
    const gateway = await serve();
    await gateway.saw(/engine +scripted, in 4 workers/);
    expect(await ready(gateway)).toEqual([200, 'ready']);
    for (const transports of TRANSPORTS) {
      const all = Array.from({ length: 8 }, (_, n) =>
        client(gateway.url, { transports, auth: { protocol: 1 + (n % 2) } }),
      );
      await Promise.all(all.map(transcribe));
    }
    const ended = () => logsOf(gateway).flatMap(({ msg, worker }) => (msg === 'session ended' ? [worker] : []));
    await expect.poll(() => ended().length).toBe(24);
    expect(new Set(ended())).toEqual(new Set([1, 2, 3, 4]));
    expect(await metricOf(gateway, 'connections_total{protocol="1"}')).toBe(12);
    expect(await metricOf(gateway, 'connections_total{protocol="2"}')).toBe(12);
    expect(await metricOf(gateway, 'audio_seconds_total')).toBe(24);
    expect(await metricOf(gateway, 'store_available')).toBe(1);
    for (let slot = 1; slot <= WORKERS; slot++) expect(await metricOf(gateway, `worker_up{worker="${slot}"}`)).toBe(1);
  });

  it('lets no connection hang when a worker is killed under connects, and replaces it', async () => {
    const gateway = await serve();
    const busy = Array.from({ length: 8 }, (_, n) => client(gateway.url, { transports: TRANSPORTS[n % 3] ?? [] }));
    await Promise.all(busy.map(speak));
    const victim = 2;
    const pid = pidsOf(gateway).get(victim) ?? 0;
    const outcomes: Promise<string>[] = [];
    for (let n = 0; n < 60; n++) {
      if (n === 20) process.kill(pid, 'SIGKILL');
      outcomes.push(outcome(client(gateway.url, { transports: TRANSPORTS[n % 3] ?? [] })));
      await delay(10);
    }
    const counts = Map.groupBy(await Promise.all(outcomes), (one) => one);
    expect(counts.get('hangs')).toBeUndefined();
    // Only what the dead worker had in hand.
    expect(counts.get('connected')?.length).toBeGreaterThan(40);

    // Two of eight sessions were its own; the others go on.
    await expect.poll(() => busy.filter(({ socket }) => socket.connected).length).toBe(6);
    await Promise.all(busy.filter(({ socket }) => socket.connected).map(transcribeOn));
    await replaced(gateway);
    const before = logsOf(gateway).length;
    await Promise.all(Array.from({ length: 8 }, () => transcribe(client(gateway.url, { transports: ['websocket'] }))));
    const servedBy = () =>
      logsOf(gateway)
        .slice(before)
        .flatMap(({ msg, worker }) => (msg === 'session ended' ? [worker] : []));
    await expect.poll(servedBy).toContain(victim);
    expect(pidsOf(gateway).get(victim)).not.toBe(pid);
  });

  async function transcribeOn(one: TestClient): Promise<void> {
    await emitWithAck(one, 'audio_chunk', { chunk: tone(1000) });
    await emitWithAck(one, 'stop_transcription');
    const finals = one.all('transcription_result').filter(({ is_partial }) => is_partial === false);
    expect(finals.map(({ text }) => text)).toEqual(['second 1', 'second 2']);
  }

  it('ends what it holds for a worker that dies while it takes nothing', async () => {
    const gateway = await serve();
    const pid = pidsOf(gateway).get(1) ?? 0;
    process.kill(pid, 'SIGSTOP');
    const { port } = new URL(gateway.url);
    const get = 'GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: x\r\n\r\n';
    // The body is still on its way when the worker dies.
    const post = 'POST /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n4';
    const sockets = Array.from({ length: 16 }, (_, n) => {
      // Both kinds come to each worker in turn.
      const isPost = n % 8 >= WORKERS;
      const socket = connectTcp(Number(port), '127.0.0.1', () => socket.write(isPost ? post : get));
      socket.on('error', () => undefined);
      socket.resume();
      return { socket, closed: once(socket, 'close'), isPost };
    });
    await Promise.race([Promise.all(sockets.map(({ closed }) => closed)), delay(1_000)]);
    const waiting = sockets.filter(({ socket }) => !socket.closed);
    expect(Map.groupBy(waiting, ({ isPost }) => isPost).size).toBe(2);
    process.kill(pid, 'SIGKILL');
    const all = Promise.all(waiting.map(({ closed }) => closed));
    expect(await Promise.race([all.then(() => 'closed'), delay(3_000, 'hang')])).toBe('closed');
    await replaced(gateway);
    await transcribe(client(gateway.url, { transports: ['polling'] }));
  });

  it('lets no counter drop when a worker dies, and answers scrapes while one is blocked', async () => {
    const gateway = await serve();
    await Promise.all(Array.from({ length: 8 }, () => transcribe(client(gateway.url, { transports: ['websocket'] }))));
    expect(await metricOf(gateway, 'audio_seconds_total')).toBe(8);
    const pids = pidsOf(gateway);
    process.kill(pids.get(3) ?? 0, 'SIGSTOP');
    const begin = performance.now();
    expect(await metricOf(gateway, 'audio_seconds_total')).toBe(8);
    expect(performance.now() - begin).toBeLessThan(5_000);
    expect(await metricOf(gateway, 'worker_up{worker="3"}')).toBe(0);
    expect(await metricOf(gateway, 'worker_up{worker="4"}')).toBe(1);
    process.kill(pids.get(3) ?? 0, 'SIGKILL');
    while (!gateway.stdout().includes('"worker replaced"')) {
      expect(await metricOf(gateway, 'audio_seconds_total')).toBe(8);
      await delay(50);
    }
    await transcribe(client(gateway.url));
    expect(await metricOf(gateway, 'audio_seconds_total')).toBe(9);
    expect(await metricOf(gateway, 'worker_exits_total')).toBe(1);
  });

  it('is not ready while every worker is down, and comes back', async () => {
    const gateway = await serve(TWO);
    for (const pid of pidsOf(gateway).values()) process.kill(pid, 'SIGKILL');
    await expect.poll(() => ready(gateway), { interval: 5 }).toEqual([503, 'no_worker']);
    expect((await fetch(`${gateway.adminUrl}/livez`)).status).toBe(200);
    expect(await outcome(client(gateway.url, { transports: ['polling'] }))).toBe('refused');
    await expect.poll(() => ready(gateway), { timeout: 20_000 }).toEqual([200, 'ready']);
    await transcribe(client(gateway.url));
  });

  it('replaces a worker that is blocked, and lets one be that only has nothing to do', async () => {
    const gateway = await serve({ ...TWO, GATEWAY_WORKER_SILENCE_MS: '6000' });
    const pids = pidsOf(gateway);
    process.kill(pids.get(1) ?? 0, 'SIGSTOP');
    await gateway.saw(/"worker is blocked; it is killed"/);
    await replaced(gateway);
    expect(pidsOf(gateway).get(1)).not.toBe(pids.get(1));
    expect(pidsOf(gateway).get(2)).toBe(pids.get(2));
    expect(await metricOf(gateway, 'worker_exits_total')).toBe(1);
    expect((await fetch(`${gateway.adminUrl}/livez`)).status).toBe(200);
  });

  it('is not alive once no worker could be started for long', async () => {
    const keys = join(await mkdtemp(join(tmpdir(), 'keys-')), 'keys.json');
    await writeFile(keys, JSON.stringify({ keys: [] }));
    const environment = { ...TWO, GATEWAY_AUTH: 'api_key', GATEWAY_API_KEYS_FILE: keys };
    const gateway = await serve({ ...environment, GATEWAY_WORKER_SILENCE_MS: '6000' });
    const startup = async () => (await fetch(`${gateway.adminUrl}/startupz`)).status;
    const live = async () => (await fetch(`${gateway.adminUrl}/livez`)).status;
    await rm(dirname(keys), { recursive: true });
    for (const pid of pidsOf(gateway).values()) process.kill(pid, 'SIGKILL');
    await expect.poll(() => ready(gateway), { interval: 5 }).toEqual([503, 'no_worker']);
    expect([await live(), await startup()]).toEqual([200, 200]);
    await expect.poll(live, { timeout: 30_000 }).toBe(503);
    expect(await startup()).toBe(200);
  });

  it('loses only the worker that has an uncaught error', async () => {
    // Written without a blank, which would end it.
    const fault = "data:text/javascript,process.on('SIGUSR2',()=>{throw(Error('test'))})";
    const gateway = await serve({ ...TWO, NODE_OPTIONS: `--import=${fault}` });
    const busy = Array.from({ length: 4 }, () => client(gateway.url, { transports: ['websocket'] }));
    await Promise.all(busy.map(speak));
    process.kill(pidsOf(gateway).get(2) ?? 0, 'SIGUSR2');
    await gateway.saw(/"worker ended unasked"/);
    const ended = logsOf(gateway).find(({ msg }) => msg === 'worker ended unasked');
    expect(ended).toMatchObject({ worker: 2, exit_code: 1 });
    expect(busy.filter(({ socket }) => socket.connected)).toHaveLength(2);
    expect(gateway.child.exitCode).toBeNull();
    // It drained: its sessions had their last words.
    const told = busy.filter((one) => one.all('transcription_stopped').length > 0);
    expect(told).toHaveLength(2);
    await replaced(gateway);
  });

  it('replaces a worker that leaves audio lying', async () => {
    const wake = new URL('../../src/session/wake.ts', import.meta.url);
    // Written without a blank, which would end it. From now on nothing is ever called again in that worker.
    const fault = `data:text/javascript,import{Wake}from'${wake}';process.on('SIGUSR2',()=>{Wake.prototype.wait=()=>new(Promise)(()=>0)})`;
    const gateway = await serve({ ...TWO, NODE_OPTIONS: `--import=${fault}`, GATEWAY_DRAIN_TIMEOUT_MS: '3000' });
    const victim = pidsOf(gateway).get(1) ?? 0;
    process.kill(victim, 'SIGUSR2');
    const busy = Array.from({ length: 4 }, () =>
      client(gateway.url, { transports: ['websocket'], auth: { protocol: 2 } }),
    );
    for (const one of busy) {
      await emitWithAck(one, 'start_transcription');
      for (let seq = 1; seq <= 2; seq++) await emitWithAck(one, 'audio_chunk', { chunk: tone(500), seq });
    }
    expect((await fetch(`${gateway.adminUrl}/livez`)).status).toBe(200);
    await gateway.saw(/"worker ended unasked"/);
    const [uncaught] = logsOf(gateway).filter(({ msg }) => msg === 'uncaught error');
    expect(uncaught).toMatchObject({ worker: 1, err: { message: 'audio of a session was left lying' } });
    await replaced(gateway);
    expect(busy.filter(({ socket }) => socket.connected)).toHaveLength(2);
    expect((await fetch(`${gateway.adminUrl}/livez`)).status).toBe(200);
  });

  it('drains: sessions of every worker get their finals, and it exits with 0 within the deadline', async () => {
    const gateway = await serve({ GATEWAY_DRAIN_TIMEOUT_MS: '6000' });
    const all = TRANSPORTS.flatMap((transports) =>
      Array.from({ length: 4 }, () => client(gateway.url, { transports, auth: { protocol: 1 } })),
    );
    const moving = Array.from({ length: 4 }, () =>
      client(gateway.url, { transports: ['websocket'], auth: { protocol: 2 } }),
    );
    await Promise.all([...all, ...moving].map(speak));
    for (const one of all) await emitWithAck(one, 'audio_chunk', { chunk: tone(500) });
    const pids = [...pidsOf(gateway).values()];
    gateway.child.kill('SIGTERM');
    await gateway.saw(/"signal received"/);
    expect(await ready(gateway)).toEqual([503, 'draining']);
    expect(await gateway.exited).toBe(0);
    for (const one of all) {
      await one.next('transcription_stopped');
      const finals = one.all('transcription_result').filter(({ is_partial }) => is_partial === false);
      expect(finals.map(({ text }) => text)).toEqual(['second 1', 'second 2']);
    }
    for (const one of moving) await one.next('server_draining');
    expect(pids.filter(isRunning)).toEqual([]);
    expect(gateway.stdout()).not.toMatch(/worker replaced|ended unasked/);
  });

  it('exits with 0 at the deadline although a worker is blocked', async () => {
    const gateway = await serve({ ...TWO, GATEWAY_DRAIN_TIMEOUT_MS: '1500' });
    const pid = pidsOf(gateway).get(1) ?? 0;
    process.kill(pid, 'SIGSTOP');
    gateway.child.kill('SIGTERM');
    expect(await gateway.exited).toBe(0);
    expect(isRunning(pid)).toBe(false);
    // Only the blocked one: the deadline is enough for the others.
    expect(logsOf(gateway)).toContainEqual(expect.objectContaining({ workers: [1], level: 'error' }));
  });

  it('takes a Ctrl-C that reaches every process as one signal, and a later one at its word', async () => {
    const gateway = await serve(TWO);
    const v2 = client(gateway.url, { auth: { protocol: 2 } });
    await speak(v2);
    const pids = [...pidsOf(gateway).values()];
    for (const pid of [...pids, gateway.child.pid ?? 0]) process.kill(pid, 'SIGINT');
    // A client that does not move is waited for.
    await v2.next('server_draining');
    await delay(400);
    const begin = performance.now();
    gateway.child.kill('SIGINT');
    expect(await gateway.exited).toBe(130);
    expect(performance.now() - begin).toBeLessThan(1_000);
    await expect.poll(() => pids.filter(isRunning), { timeout: 5_000 }).toEqual([]);
  });

  it('ends its workers with the primary, also when that is killed', async () => {
    const gateway = await serve(TWO);
    const pids = [...pidsOf(gateway).values()];
    expect(childrenOf(gateway.child.pid ?? 0).sort()).toEqual([...pids].sort());
    gateway.child.kill('SIGKILL');
    await gateway.exited;
    await expect.poll(() => pids.filter(isRunning), { timeout: 5_000 }).toEqual([]);
  });

  it.each(['PORT', 'GATEWAY_ADMIN_PORT'])('does not start, and says why, when %s is taken', async (variable) => {
    const { port, release } = await occupyPort();
    const failing = serve({ ...TWO, [variable]: String(port) });
    await expect(failing).rejects.toThrow(`Port ${port} on 127.0.0.1 is taken. Set ${variable} to a free port.`);
    await release();
  });

  it('does not start when its workers cannot, with their reason', async () => {
    const failing = serve({ ...TWO, GATEWAY_ENGINE: 'aws' });
    await expect(failing).rejects.toThrow(/ended with 1[\s\S]*transcribe-gateway cannot start: .*AWS_REGION/);
  });

  it('loses and doubles nothing when owners are killed and sessions go on with another worker', async () => {
    let strikes = 0;
    const report = await takeover({
      redis,
      pods: 1,
      workers: 3,
      kills: 4,
      sessions: 4,
      seed: 23,
      strike: async (pods, owner) => {
        const workers = childrenOf(pods.gateway(owner)?.child.pid ?? 0);
        const pid = workers[strikes++ % workers.length];
        if (pid !== undefined) process.kill(pid, 'SIGKILL');
      },
    });
    for (const account of report.accounts) {
      console.log(formatAccount(account));
      expect(isClean(account)).toBe(true);
      expect(account.coveredByGap).toEqual([]);
    }
    expect(report.disorders).toEqual([]);
    expect(report.gaps).toBe(0);
    expect(report.deaths).toBe(0);
    expect(report.sessions).toBe(4);
  });
});
