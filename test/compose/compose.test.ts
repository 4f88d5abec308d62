import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { cli } from '../support/process.ts';
import { type BlockAccount, formatAccount, isClean } from '../support/reconcile.ts';
import { LibrarySpeaker, OldSpeaker, type Speaker } from '../support/rolling-speakers.ts';
import { delayUntil, waitUntil } from '../support/timing.ts';
import { DEMO_KEY, docker, GATEWAYS, type GatewayName, IMAGE, NO_COMPOSE, Stack, until } from './stack.ts';

const BUILD_MS = 600_000;
const START_MS = 180_000;
/** How long a gateway is cut off from Redis: some of its finals come in that time and cannot be committed. */
const CUT_MS = 6_000;
/** A client that gets no result for so long has lost its session. */
const HEAR_MS = 60_000;

const SAMPLE = /go forward ten meters/;

describe.skipIf(NO_COMPOSE)('docker-compose.yml', () => {
  const stack = new Stack();
  let url = '';

  /** What a step took, for the log. */
  const timed = async <T>(name: string, step: () => Promise<T>): Promise<T> => {
    const begin = performance.now();
    const result = await step();
    console.log(`${name}: ${((performance.now() - begin) / 1000).toFixed(1)} s`);
    return result;
  };

  beforeAll(async () => {
    await stack.down();
    await timed('build', () => stack.compose('build'));
    console.log(`image: ${Number(await docker('image', 'inspect', '-f', '{{.Size}}', IMAGE)) / 1e6} MB`);
    try {
      await timed('up', () => stack.up());
    } catch (error) {
      console.log(await stack.compose('logs', '--tail', '40'));
      throw error;
    }
    url = await stack.url('haproxy', 5001);
  }, BUILD_MS + START_MS);

  afterEach(async ({ task }) => {
    if (task.result?.state === 'fail') console.log(await stack.compose('logs', '--tail', '40'));
  });
  afterAll(() => stack.down(), START_MS);

  it('transcribes the sample for a newcomer', async () => {
    const stream = cli(['stream', '--sample', '--url', url, '--token', DEMO_KEY]);
    expect(await stream.exited).toBe(0);
    expect(stream.stdout()).toMatch(SAMPLE);
  });

  it('lets nobody in without the key, and mints tokens for its users', async () => {
    const nobody = cli(['stream', '--sample', '--url', url]);
    expect(await nobody.exited).toBe(1);
    expect(nobody.stderr()).toContain('A token is needed');
    const answer = await fetch(`${url}/v1/tokens`, {
      method: 'POST',
      headers: { authorization: `Bearer ${DEMO_KEY}`, 'content-type': 'application/json' },
      body: '{"user": "ann"}',
    });
    const { token } = (await answer.json()) as { token: string };
    const ann = cli(['stream', '--sample', '--fast', '--url', url, '--token', token]);
    expect(await ann.exited).toBe(0);
  });

  it('is healthy, and Prometheus reaches every part of it', async () => {
    for (const service of [...GATEWAYS, 'emulator', 'redis']) await stack.healthy(service);
    const prometheus = await stack.url('prometheus', 9090);
    const states = async () => {
      const { data } = (await (await fetch(`${prometheus}/api/v1/targets`)).json()) as {
        data: { activeTargets: { health: string; labels: { job: string } }[] };
      };
      return data.activeTargets.map(({ health, labels }) => `${labels.job} ${health}`).toSorted();
    };
    const up = ['haproxy', 'prometheus', 'transcribe-emulator', ...GATEWAYS.map(() => 'transcribe-gateway')];
    await until(async () => (await states()).every((state) => state.endsWith(' up')));
    expect(await states()).toEqual(up.map((job) => `${job} up`));
  });

  it('lets the gateways alone reach Redis', async () => {
    const reach = `require('net').connect(6379, 'redis').on('connect', () => process.exit(0)).on('error', (e) => { console.error(e.code); process.exit(1) })`;
    const from = async (service: string) =>
      docker('exec', await stack.container(service), '/usr/local/bin/node', '-e', reach);
    await from('gateway1');
    await expect(from('emulator')).rejects.toThrow(/ENOTFOUND|EAI_AGAIN/);
  });

  it('has an image whose command line streams as any user, and writes nothing', async () => {
    const network = stack.network('front');
    const hardened = [
      '--read-only',
      '--cap-drop',
      'ALL',
      '--security-opt',
      'no-new-privileges',
      '--user',
      '12345:54321',
    ];
    const args = ['stream', '--sample', '--fast', '--url', 'http://haproxy:5001', '--token', DEMO_KEY];
    expect(await docker('run', '--rm', ...hardened, '--network', network, IMAGE, ...args)).toMatch(SAMPLE);
  });

  it('has an image whose local engine serves as any user with nothing to write to but /tmp, and ends by SIGTERM', async () => {
    const hardened = ['--read-only', '--tmpfs', '/tmp', '--cap-drop', 'ALL', '--user', '12345:54321'];
    const open = ['--env', 'GATEWAY_AUTH_NONE_IN_PRODUCTION=yes'];
    const id = await docker('run', '-d', '--stop-timeout', '30', ...hardened, ...open, IMAGE);
    try {
      const isReady = () =>
        docker('exec', id, '/usr/local/bin/node', '/app/deploy/healthcheck.js', '/readyz').then(
          () => true,
          () => false,
        );
      await until(isReady);
      const said = docker('exec', id, '/usr/local/bin/node', '/app/src/bin.js', 'stream', '--sample', '--fast');
      expect(await said).toMatch(SAMPLE);
      await docker('stop', id);
      expect(await docker('inspect', '-f', '{{.State.ExitCode}}', id)).toBe('0');
    } finally {
      await docker('rm', '-f', id);
    }
  });

  it('loses and doubles nothing while one gateway is killed, one is cut off from Redis, and one is stopped', async () => {
    await timed('the emulator anew, for coded audio', () => stack.up({ EMULATOR_RECOGNISER: 'coded' }));
    await stack.healthy('emulator');
    let goesOn = true;
    const library = [1, 2, 3, 4, 5, 6].map(
      (n) => new LibrarySpeaker(url, n % 3 === 0 ? 'polling' : 'websocket', n, DEMO_KEY),
    );
    const old = [new OldSpeaker(url, 'polling', 7, DEMO_KEY), new OldSpeaker(url, 'websocket', 8, DEMO_KEY)];
    const speakers = [...library, ...old];
    const speaking = speakers.map((speaker) => speaker.run(() => goesOn));
    const everyoneHears = async () => {
      const hears = Promise.all(speakers.map((speaker) => speaker.heard())).then(() => true);
      const problems = speakers.flatMap((speaker) => speaker.problems);
      if (!(await within(HEAR_MS, hears))) throw new Error(`somebody hears nothing any more; ${problems.join('; ')}`);
    };
    try {
      await everyoneHears();
      const [killed, cut, stopped] = await busiestFirst(stack);
      await timed(`kill ${killed}`, async () => docker('kill', await stack.container(killed)));
      await timed('everyone hears again', everyoneHears);
      await docker('start', await stack.container(killed));

      const store = stack.network('store');
      const cutContainer = await stack.container(cut);
      await timed(`cut ${cut} off from Redis`, () => docker('network', 'disconnect', store, cutContainer));
      await until(async () => (await metric(stack, cut, 'transcribe_gateway_store_available')) === 0);
      await timed('everyone hears, still cut off', everyoneHears);
      await delayUntil(performance.now() + CUT_MS);
      await timed(`connect ${cut} again`, () => docker('network', 'connect', store, cutContainer));
      await timed('everyone hears again', everyoneHears);
      await stack.healthy(killed);

      await timed(`stop ${stopped}`, () => stack.compose('stop', stopped));
      const exitCode = await docker('inspect', '-f', '{{.State.ExitCode}}', await stack.container(stopped));
      expect(exitCode).toBe('0');
      await everyoneHears();
    } finally {
      goesOn = false;
    }
    await Promise.all(speaking);

    const logs = await stack.gatewayLogs();
    const accounts = library.map((speaker) => speaker.account());
    print(2, library, accounts);
    expect(library.flatMap(({ problems }) => problems)).toEqual([]);
    expect(accounts.every(isClean)).toBe(true);

    // Of version 1 a killed gateway takes what it had not said yet; what was said was said once, and it goes on after it.
    const oldAccounts = old.map((speaker) => speaker.account(logs));
    print(1, old, oldAccounts);
    for (const { doubled, lost } of oldAccounts) expect({ doubled, lost }).toEqual({ doubled: [], lost: [] });
  });
});

/** @returns undefined if it takes longer */
async function within<T>(ms: number, promise: Promise<T>): Promise<T | undefined> {
  let result: T | undefined;
  await waitUntil(
    performance.now() + ms,
    promise.then((value) => (result = value)),
  );
  return result;
}

/** The value of a metric of a gateway, which it alone is asked for. */
async function metric(stack: Stack, gateway: GatewayName, name: string): Promise<number> {
  const script = `fetch('http://127.0.0.1:9464/metrics').then((r) => r.text()).then((t) => console.log(t))`;
  const metrics = await docker('exec', await stack.container(gateway), '/usr/local/bin/node', '-e', script);
  return Number(new RegExp(`^${name} (\\d+)$`, 'm').exec(metrics)?.[1]);
}

/** The gateways by their sessions. */
async function busiestFirst(stack: Stack): Promise<[GatewayName, GatewayName, GatewayName]> {
  const count = (name: GatewayName) => metric(stack, name, 'transcribe_gateway_sessions');
  const counts = await Promise.all(GATEWAYS.map(async (name) => ({ name, count: await count(name) })));
  const sorted = counts.toSorted((a, b) => b.count - a.count);
  console.log(`sessions: ${sorted.map(({ count, name }) => `${name} ${count}`).join(', ')}`);
  // What strikes a gateway without sessions would show nothing.
  expect(sorted[1]?.count).toBeGreaterThan(0);
  return sorted.map(({ name }) => name) as [GatewayName, GatewayName, GatewayName];
}

function print(version: number, speakers: readonly Speaker[], accounts: readonly BlockAccount[]): void {
  for (const account of accounts.filter((one) => !isClean(one))) console.log(formatAccount(account));
  const sum = (of: (account: BlockAccount) => number) => accounts.reduce((total, one) => total + of(one), 0);
  const moves = speakers.reduce((total, speaker) => total + speaker.moves, 0);
  const longest = Math.round(Math.max(0, ...speakers.flatMap(({ pausesMs }) => pausesMs)));
  const blocks = `${sum(({ sent }) => sent)} blocks of 20 ms, ${sum(({ heard }) => heard)} heard`;
  const faults = `${sum(({ lost }) => lost.length)} lost, ${sum(({ doubled }) => doubled.length)} doubled`;
  console.log(`version ${version}: ${speakers.length} clients, ${moves} moves, longest pause ${longest} ms`);
  console.log(`version ${version}: ${blocks}, ${faults}`);
}
