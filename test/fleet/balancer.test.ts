import { execFileSync } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { Agent } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { connect, emitWithAck, type TestClient, tone } from '../support/client.ts';
import { freePort } from '../support/free-port.ts';
import { scripted, startGateway, type TestGateway } from '../support/gateway.ts';
import { type GatewayName, HAProxy, NO_HAPROXY } from '../support/haproxy.ts';
import { ROOT, run, type ServedGateway, serveGateway } from '../support/process.ts';
import { NO_REDIS, RedisServer } from '../support/redis.ts';
import { TcpGate } from '../support/tcp-gate.ts';
import { recorded } from '../unit/client/spoken.ts';

const open: { close(): unknown }[] = [];

afterEach(async () => {
  for (const one of open.splice(0).reverse()) await one.close();
});

/** 2 of them each, to tell what the balancer does from what a gateway does among its own. */
const WORKERS = '2';
const TRANSPORTS = [['polling'], ['polling', 'websocket'], ['websocket']];
/** What tells a balancer who a client is: the key in its query, the cookies that it keeps, or nothing. */
const KINDS = ['cid', 'cookies', 'nothing'] as const;

let keys = 0;

function optionsOf(kind: (typeof KINDS)[number]): Parameters<typeof connect>[1] {
  switch (kind) {
    case 'cid':
      return { query: { cid: `key${keys++}` } };
    case 'cookies':
      return { withCredentials: true };
    case 'nothing':
      return {};
  }
}

function client(url: string, options: Parameters<typeof connect>[1] = {}): TestClient {
  const one = connect(url, options);
  open.push(one);
  return one;
}

/** Has a session with three seconds of audio in a row of requests, and the finals to show for it. */
async function transcribe(one: TestClient): Promise<void> {
  one.socket.emit('start_transcription');
  await one.next('transcription_started');
  for (let second = 1; second <= 3; second++) await emitWithAck(one, 'audio_chunk', { chunk: tone(1000) });
  one.socket.emit('stop_transcription');
  await one.next('transcription_stopped');
  expect(finalsOf(one)).toEqual(['second 1', 'second 2', 'second 3']);
}

function finalsOf(one: TestClient): unknown[] {
  return one.all('transcription_result').flatMap(({ is_partial, text }) => (is_partial === false ? [text] : []));
}

/** The gateways that were asked for each value of a key in the query. */
function gatewaysBy(key: string, requests: HAProxy['requests']): Map<string, Set<string>> {
  const gateways = new Map<string, Set<string>>();
  for (const { gateway, query } of requests) {
    const value = query.get(key);
    if (value !== null) gateways.set(value, (gateways.get(value) ?? new Set()).add(gateway));
  }
  return gateways;
}

describe('a gateway behind a load balancer', () => {
  it('names the connection in a cookie that no client keeps, for balancers that learn from answers', async () => {
    const gateway = await startGateway(scripted([]));
    open.push(gateway);
    const response = await fetch(`${gateway.url}/socket.io/?EIO=4&transport=polling`);
    const { sid } = JSON.parse((await response.text()).slice(1)) as { sid: string };
    expect(response.headers.getSetCookie()).toEqual([`io=${sid}; Max-Age=0; Path=/socket.io/; HttpOnly; SameSite=Lax`]);
  });

  it.each([
    ['0', '127.0.0.0/24'],
    ['1', '203.0.113.0/24'],
    ['2', '198.51.100.0/24'],
    ['3', '127.0.0.0/24'],
  ])(
    'takes the address of the client from X-Forwarded-For behind %s proxies, and logs its network',
    async (trusted, network) => {
      const gateway = await startGateway(scripted([]), { GATEWAY_TRUSTED_PROXIES: trusted });
      open.push(gateway);
      for (const transports of [['websocket'], ['polling']]) {
        const extraHeaders = { 'X-Forwarded-For': '198.51.100.7, 203.0.113.7' };
        const client = connect(gateway.url, { transports, extraHeaders });
        open.push(client);
        await client.next('connected');
      }
      // From workers they come a little later.
      const networks = () =>
        gateway.logs.flatMap(({ msg, client_network }) => (msg === 'client connected' ? [client_network] : []));
      await expect.poll(networks, { timeout: 10_000 }).toEqual([network, network]);
      expect(JSON.stringify(gateway.logs)).not.toMatch(/198\.51\.100\.7|203\.0\.113\.7/);
    },
  );
});

/** Where the connections are that had made no request yet when there were so many; earlier ones may still be closing. */
function homesSince(haproxy: HAProxy, count: number): Set<string>[] {
  const { requests } = haproxy;
  const earlier = gatewaysBy('sid', requests.slice(0, count));
  return [...gatewaysBy('sid', requests.slice(count))].flatMap(([sid, home]) => (earlier.has(sid) ? [] : [home]));
}

/** The one that is named most often. */
function busiest(gateways: Iterable<string>): GatewayName {
  const counts = Map.groupBy(gateways, (name) => name);
  const [most] = [...counts.values()].sort((a, b) => b.length - a.length);
  return most?.[0] as GatewayName;
}

function hasPython(): boolean {
  try {
    execFileSync('/usr/bin/python3', ['-c', 'import socketio, requests'], { stdio: 'ignore' });
    return true;
  } catch {
    return process.env.CI !== undefined;
  }
}

describe.skipIf(NO_REDIS || NO_HAPROXY)('HAProxy in front of three gateways of two workers', () => {
  const gateways: ServedGateway[] = [];
  let redis: RedisServer;
  let haproxy: HAProxy;

  async function serve(env: Readonly<Record<string, string>> = {}): Promise<ServedGateway> {
    return serveGateway({
      GATEWAY_ENGINE: 'scripted',
      GATEWAY_WORKERS: WORKERS,
      GATEWAY_TRUSTED_PROXIES: '1',
      LOG_LEVEL: 'debug',
      REDIS_URL: redis.url,
      // One of them comes back.
      PORT: String(await freePort()),
      GATEWAY_ADMIN_PORT: String(await freePort()),
      ...env,
    });
  }

  beforeAll(async () => {
    redis = await RedisServer.start();
    gateways.push(...(await Promise.all([serve(), serve(), serve()])));
    haproxy = await HAProxy.start(gateways);
  }, 120_000);

  afterAll(async () => {
    await haproxy.stop();
    for (const { child } of gateways) child.kill('SIGKILL');
    await Promise.all(gateways.map(({ exited }) => exited));
    await redis.stop();
  });

  it('sends each request of a client to the gateway that has it, whatever the client tells', async () => {
    const clients = TRANSPORTS.flatMap((transports) =>
      KINDS.flatMap((kind) =>
        [1, 2, 1, 2].map((protocol) => client(haproxy.url, { ...optionsOf(kind), transports, auth: { protocol } })),
      ),
    );
    const lost: string[] = [];
    for (const { socket } of clients) socket.on('disconnect', (reason) => lost.push(reason));
    const polling = { transports: ['polling'] };
    const ours = [{}, {}, polling, polling].map((socket) => recorded({ url: haproxy.url, socket }));
    open.push(...ours.map((one) => one.client));
    await Promise.all([
      ...clients.map(transcribe),
      ...ours.map(async ({ client: one }) => {
        await one.start();
        one.send(tone(3_000));
        expect(await one.stop()).toMatchObject({ finals: 3, gaps: 0, sessions: 1 });
      }),
    ]);
    expect(lost).toEqual([]);
    expect(ours.flatMap(({ retries }) => retries)).toEqual([]);

    const { requests } = haproxy;
    expect(requests.filter(({ status }) => status !== 200 && status !== 101)).toEqual([]);
    const homes = [...gatewaysBy('sid', requests).values()];
    // Two of three transports begin with polling.
    expect(homes).toHaveLength((clients.length * 2) / 3 + 2);
    expect(homes.filter((home) => home.size !== 1)).toEqual([]);
    expect(new Set(homes.flatMap((home) => [...home])).size).toBe(3);
    expect([...gatewaysBy('cid', requests).values()].filter((home) => home.size !== 1)).toEqual([]);
    console.log(`${clients.length + ours.length} clients, ${requests.length} requests, all where they belong`);
  });

  it.skipIf(!hasPython())('keeps clients of python-socketio that poll without cookies', async () => {
    const before = haproxy.requests.length;
    const folder = await mkdtemp(join(tmpdir(), 'balancer-'));
    const pcm = join(folder, 'audio.pcm');
    await writeFile(pcm, tone(3_000));
    const script = join(ROOT, 'test/clients/test_websocket_client.py');
    const args = [script, pcm, '--url', haproxy.url, '--transport', 'polling', '--no-cookies', '--speed', '3'];
    const clients = Array.from({ length: 4 }, () => run('/usr/bin/python3', args));
    for (const one of clients) {
      expect(await one.exited, one.stderr()).toBe(0);
      expect(one.stdout()).toBe('second 1\nsecond 2\nsecond 3\n');
    }
    await rm(folder, { recursive: true });
    expect(homesSince(haproxy, before).map((home) => home.size)).toEqual(clients.map(() => 1));
    expect(haproxy.requests.length - before).toBeGreaterThan(clients.length * 10);
  });

  it.each(['cid', 'cookies'] as const)(
    'finds the gateway of a polling client by its %s where it knows no sid',
    async (kind) => {
      const other = await HAProxy.start(gateways);
      const gate = await TcpGate.to(haproxy.port);
      open.push({ close: () => other.stop() }, gate);
      const clients = Array.from({ length: 6 }, () =>
        client(`http://127.0.0.1:${gate.port}`, { ...optionsOf(kind), transports: ['polling'] }),
      );
      await Promise.all(clients.map((one) => one.next('connected')));
      gate.leadTo(other.port);
      await Promise.all(clients.map(transcribe));
      expect(clients.filter(({ socket }) => !socket.connected)).toEqual([]);
      const sids = gatewaysBy('sid', other.requests);
      expect(sids.size).toBe(clients.length);
      for (const [sid, home] of gatewaysBy('sid', haproxy.requests)) {
        if (sids.has(sid)) expect(sids.get(sid)).toEqual(home);
      }
    },
  );

  it('lets the tabs of a browser be on different gateways, although they share the cookie', async () => {
    const before = haproxy.requests.length;
    const cookie = () => `gateway=${haproxy.requests.at(-1)?.gateway}`;
    const tabs: TestClient[] = [];
    for (let n = 0; n < 6; n++) {
      const tab = client(haproxy.url, { transports: ['polling'], extraHeaders: { Cookie: cookie() } });
      tabs.push(tab);
      await tab.next('connected');
    }
    await Promise.all(tabs.map(transcribe));
    const homes = homesSince(haproxy, before);
    expect(homes.map((home) => home.size)).toEqual(tabs.map(() => 1));
    expect(new Set(homes.flatMap((home) => [...home])).size).toBeGreaterThan(1);
  });

  it('tells the gateways the address of the client, which cannot write another', async () => {
    const agent = new Agent({ localAddress: '127.9.8.7' });
    // biome-ignore lint/suspicious/noExplicitAny: an agent of Node is what it is, but its type says a name
    const options = { agent: agent as any, extraHeaders: { 'X-Forwarded-For': '203.0.113.7' } };
    for (const transports of TRANSPORTS) await client(haproxy.url, { ...options, transports }).next('connected');
    const networks = () =>
      gateways.flatMap((one) =>
        Array.from(one.stdout().matchAll(/"client_network":"([^"]+)"/g), ([, network]) => network),
      );
    await expect
      .poll(() => networks().filter((network) => network === '127.9.8.0/24').length, { timeout: 10_000 })
      .toBe(TRANSPORTS.length);
    expect(networks()).not.toContain('203.0.113.0/24');
  });

  // Last, because it takes a gateway from the others.
  it('takes the clients of a gateway that is killed to the others, and lets it have new ones when it is back', async () => {
    const before = haproxy.requests.length;
    const v1 = Array.from({ length: 8 }, (_, n) =>
      client(haproxy.url, {
        transports: [n % 2 ? 'polling' : 'websocket'],
        reconnection: true,
        reconnectionDelay: 100,
      }),
    );
    const ours = Array.from({ length: 8 }, (_, n) =>
      recorded({ url: haproxy.url, socket: { transports: [n % 2 ? 'polling' : 'websocket'] } }),
    );
    open.push(...ours.map((one) => one.client));
    await Promise.all([...v1.map((one) => one.next('connected')), ...ours.map(({ client: one }) => one.start())]);
    for (const { client: one } of ours) one.send(tone(1_500));
    await expect
      .poll(() => ours.filter(({ entries }) => entries.length > 0).length, { timeout: 20_000 })
      .toBe(ours.length);

    const victim = busiest(homesSince(haproxy, before).flatMap((home) => [...home]));
    const index = Number(victim.slice(-1)) - 1;
    const { child, exited, url, adminUrl } = gateways[index] as ServedGateway;
    child.kill('SIGKILL');
    await exited;
    for (const { client: one } of ours) one.send(tone(1_500));
    for (const { client: one } of ours) {
      expect(await one.stop()).toMatchObject({ gaps: 0, lostMs: 0, audioMs: 3_000 });
    }
    expect(ours.filter(({ retries }) => retries.length > 0).length).toBeGreaterThan(0);
    await expect.poll(() => v1.filter(({ socket }) => socket.connected).length, { timeout: 20_000 }).toBe(v1.length);
    expect(v1.filter((one) => one.all('connected').length > 1).length).toBeGreaterThan(0);
    await Promise.all(v1.map(transcribe));

    await haproxy.saw(victim, 'DOWN');
    gateways[index] = await serve({ PORT: new URL(url).port, GATEWAY_ADMIN_PORT: new URL(adminUrl).port });
    await haproxy.saw(victim, 'UP');
    const begin = haproxy.requests.length;
    const more = Array.from({ length: 9 }, () => client(haproxy.url, { transports: ['polling'] }));
    await Promise.all(more.map(transcribe));
    expect(haproxy.requests.slice(begin).map(({ gateway }) => gateway)).toContain(victim);
  });
});

describe.skipIf(NO_HAPROXY)('HAProxy in front of a gateway that drains', () => {
  it('sends it no new client, and lets those that poll have their last finals', async () => {
    const slow = () =>
      scripted([
        { do: 'final', atSample: 16_000, text: 'first' },
        // Longer than HAProxy takes to hear of the drain.
        { do: 'delay', atSample: 16_001, ms: 4_000 },
        { do: 'final', atSample: 19_200, text: 'trailing' },
      ]);
    const gateways: TestGateway[] = await Promise.all(
      [1, 2, 3].map(() => startGateway(slow(), { GATEWAY_DRAIN_TIMEOUT_MS: '40000' })),
    );
    const haproxy = await HAProxy.start(gateways);
    open.push(...gateways, { close: () => haproxy.stop() });
    const key = { query: { cid: 'mine' } };
    const speaker = client(haproxy.url, { transports: ['polling'] });
    const neighbour = client(haproxy.url, { ...key, transports: ['polling'] });
    await neighbour.next('connected');
    speaker.socket.emit('start_transcription');
    await speaker.next('transcription_started');
    speaker.socket.emit('audio_chunk', { chunk: tone(1_000) });
    speaker.socket.emit('audio_chunk', { chunk: tone(200) });
    await speaker.next('transcription_result');
    const sid = speaker.socket.io.engine.id;
    const home = [...(gatewaysBy('sid', haproxy.requests).get(sid) ?? [])][0] as GatewayName;
    const drained = gateways[Number(home.slice(-1)) - 1]?.close();
    await haproxy.saw(home, 'stopping');

    const before = haproxy.requests.length;
    const identities = [...KINDS.map(optionsOf), key, { extraHeaders: { Cookie: `gateway=${home}` } }];
    const late = identities.flatMap((options) =>
      TRANSPORTS.map((transports) => client(haproxy.url, { ...options, transports })),
    );
    await Promise.all(late.map((one) => one.next('connected')));
    // What polls in the meantime goes where it went.
    speaker.socket.emit('audio_chunk', { chunk: tone(100) });
    await speaker.next('transcription_stopped', 60_000);
    await drained;
    for (const one of late) one.close();
    expect(finalsOf(speaker)).toEqual(['first', 'trailing']);
    expect(speaker.all('error')).toEqual([]);
    await expect.poll(() => haproxy.requests.length - before, { timeout: 10_000 }).toBeGreaterThan(late.length);
    const since = haproxy.requests.slice(before);
    const own = since.filter(({ query }) => query.get('sid') === sid);
    expect(own.filter(({ status }) => status === 200).length).toBeGreaterThan(1);
    // What it asks when all is said finds no connection any more.
    expect(new Set(own.map(({ gateway }) => gateway))).toEqual(new Set([home]));
    const others = since.filter(({ query }) => !query.has('sid') || query.get('sid') !== sid);
    expect(others.filter(({ gateway }) => gateway === home)).toEqual([]);
  });
});
