import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { createWatch, type Entry, type SessionInfo, type Watch, type WatchOptions } from '../../src/client/index.ts';
import { CodedEngine } from '../support/coded-engine.ts';
import { startGateway, type TestGateway } from '../support/gateway.ts';
import { isClean } from '../support/reconcile.ts';
import { describeWithRedis, RedisServer } from '../support/redis.ts';
import { TcpGate } from '../support/tcp-gate.ts';
import { TwoGateways } from '../support/two-gateways.ts';
import { accountOf, orderFaults, QUICK, recorded, speak, speech } from '../unit/client/spoken.ts';

const open: { close(): unknown }[] = [];

afterEach(async () => {
  for (const one of open.splice(0).reverse()) await one.close();
});

interface Watched {
  readonly watch: Watch;
  readonly entries: Entry[];
  readonly partials: string[];
  readonly told: string[];
}

function watching(options: WatchOptions): Watched {
  const watch = createWatch({ backoff: QUICK, ...options });
  open.push(watch);
  const seen: Watched = { watch, entries: [], partials: [], told: [] };
  watch.on('final', (entry) => seen.entries.push(entry));
  watch.on('gap', (entry) => seen.entries.push(entry));
  watch.on('partial', ({ text }) => seen.partials.push(text));
  watch.on('state', ({ state }) => seen.told.push(state));
  watch.on('stopped', ({ reason }) => seen.told.push(`stopped by ${reason}`));
  watch.on('error', ({ code }) => seen.told.push(`error ${code}`));
  return seen;
}

/** A speaker that has started, and what opens its session to others. */
async function speaker(url: string) {
  const one = recorded({ url });
  open.push(one.client);
  const session = new Promise<SessionInfo>((resolve) => one.client.once('session', resolve));
  await one.client.start();
  const { id = '', watchToken = '' } = await session;
  return { ...one, watched: { sessionId: id, watchToken } };
}

async function gateway(): Promise<TestGateway> {
  const started = await startGateway(new CodedEngine());
  open.push(started);
  return started;
}

describe('a watch', () => {
  it('gives what was said before, then what is said, then the end', async () => {
    const { url } = await gateway();
    const audio = speech(41, 6);
    const half = audio.blocks[Math.floor(audio.blocks.length / 2)]?.startSample ?? 0;
    const { client, entries, watched } = await speaker(url);
    await speak(client, audio.pcm.subarray(0, half * 2));
    await expect.poll(() => entries.length).toBeGreaterThan(1);
    const before = entries.length;
    const seen = watching({ url, ...watched });
    const read: Entry[] = [];
    const reading = (async () => {
      for await (const entry of seen.watch) read.push(entry);
    })();
    await seen.watch.start();
    expect(seen.entries.length).toBeGreaterThanOrEqual(before);
    await speak(client, audio.pcm.subarray(half * 2));
    await client.stop();
    await reading;
    expect(seen.told).toEqual(['connecting', 'live', 'stopped by client_stop', 'stopped']);
    expect(isClean(accountOf(audio, seen.entries))).toBe(true);
    expect(orderFaults(audio, seen.entries)).toEqual([]);
    expect(read).toEqual(seen.entries);
    expect(seen.partials.length).toBeGreaterThan(0);
    const withoutReplay = (all: readonly Entry[]) => all.map(({ replayed: _, ...entry }) => entry);
    expect(withoutReplay(seen.entries)).toEqual(withoutReplay(entries));
  });

  it('gives only what is after the number that is named', async () => {
    const { url } = await gateway();
    const { client, entries, watched } = await speaker(url);
    await speak(client, speech(42, 4).pcm);
    await expect.poll(() => entries.length).toBeGreaterThan(2);
    const seen = watching({ url, ...watched, afterSeq: 2 });
    await seen.watch.start();
    expect(seen.entries[0]?.seq).toBe(3);
    expect(seen.watch.lastSeq).toBe(seen.entries.at(-1)?.seq);
  });

  it('ends with a token that does not open the session', async () => {
    const { url } = await gateway();
    const { watched } = await speaker(url);
    const seen = watching({
      url,
      ...watched,
      watchToken: watched.watchToken.replace(/^./, (one) => (one === 'A' ? 'B' : 'A')),
    });
    await expect(seen.watch.start()).rejects.toMatchObject({ code: 'watch_refused' });
    expect(seen.told).toEqual(['connecting', 'stopped', 'error watch_refused']);
    await expect(seen.watch.start()).rejects.toMatchObject({ code: 'bad_usage' });
  });

  it('goes on after the last entry whenever its connection is lost', async () => {
    const { url } = await gateway();
    const gate = await TcpGate.to(Number(new URL(url).port));
    open.push(gate);
    const audio = speech(43, 12);
    const { client, watched } = await speaker(url);
    const seen = watching({ url: `http://127.0.0.1:${gate.port}`, ...watched });
    await seen.watch.start();
    await speak(client, audio.pcm, async (chunk) => {
      if (chunk % 20 === 10) gate.shut();
      if (chunk % 20 !== 15) return;
      gate.open();
      await expect.poll(() => seen.watch.state).toBe('live');
    });
    gate.open();
    await client.stop();
    await expect.poll(() => seen.told.at(-1)).toBe('stopped');
    expect(seen.told.filter((state) => state === 'resuming').length).toBeGreaterThan(1);
    expect(isClean(accountOf(audio, seen.entries))).toBe(true);
    expect(orderFaults(audio, seen.entries)).toEqual([]);
  });

  it('ends at once when it is closed', async () => {
    const { url } = await gateway();
    const { watched } = await speaker(url);
    const seen = watching({ url, ...watched });
    await seen.watch.start();
    seen.watch.close();
    expect(seen.told).toEqual(['connecting', 'live', 'stopped']);
    await expect(seen.watch[Symbol.asyncIterator]().next()).rejects.toMatchObject({ code: 'closed' });
  });
});

describeWithRedis('a watch where two gateways share a Redis', () => {
  let redis: RedisServer;
  beforeAll(async () => {
    redis = await RedisServer.start();
  });
  afterAll(() => redis.stop());

  it('moves when its gateway drains', async () => {
    const pods = await TwoGateways.start(redis);
    open.push(pods);
    const port = (url: string) => Number(new URL(url).port);
    const gate = await TcpGate.to(port(pods.b.url));
    open.push(gate);
    const audio = speech(44, 12);
    const { client, watched } = await speaker(pods.a.url);
    const seen = watching({ url: `http://127.0.0.1:${gate.port}`, ...watched });
    await seen.watch.start();
    let closing: Promise<void> | undefined;
    await speak(client, audio.pcm, (chunk) => {
      if (chunk !== 20) return;
      gate.leadTo(port(pods.a.url));
      closing = pods.b.close();
    });
    await closing;
    await client.stop();
    await expect.poll(() => seen.told.at(-1)).toBe('stopped');
    expect(seen.told).toContain('resuming');
    expect(isClean(accountOf(audio, seen.entries))).toBe(true);
    expect(orderFaults(audio, seen.entries)).toEqual([]);
  });
});
