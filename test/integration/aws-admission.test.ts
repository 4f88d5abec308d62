import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { AwsPoolEntry } from '../../src/config/aws-pool.ts';
import { type Emulator, startEmulator } from '../../src/emulator/emulator.ts';
import type { EmulatorOptions } from '../../src/emulator/options.ts';
import type { EngineStream } from '../../src/engines/engine.ts';
import { Admission } from '../../src/limits/admission.ts';
import type { Applicant } from '../../src/limits/applicant.ts';
import { MemoryQuota } from '../../src/store/memory-quota.ts';
import type { QuotaEntry } from '../../src/store/quota.ts';
import { awsEngine, openStream, readAll } from '../support/aws-engine.ts';

const started: { close(): unknown }[] = [];

beforeEach(() => {
  vi.stubEnv('AWS_ACCESS_KEY_ID', 'test');
  vi.stubEnv('AWS_SECRET_ACCESS_KEY', 'test');
});
afterEach(async () => {
  for (const one of started.splice(0).reverse()) await one.close();
  vi.unstubAllEnvs();
});

async function emulatorWith(limits: EmulatorOptions['limits'] = {}): Promise<Emulator> {
  const recogniser = { kind: 'coded', latency: { partialMs: 0, finalMs: { min: 0, max: 0 } } } as const;
  const emulator = await startEmulator({ recogniser, limits });
  started.push(emulator);
  return emulator;
}

/** An engine on some entries that knows what they grant, and the ledger that it goes by. */
async function engineOn(pool: readonly (Partial<AwsPoolEntry> & Partial<QuotaEntry>)[]) {
  const entries = pool.map(({ name = 'home', reserve = 0, startsPerSecond = 25, streams = 25 }) => {
    return { name, streams, reserve, startsPerSecond };
  });
  const times = { leaseMs: 15_000, startMs: 10_000, blockMs: 1_000, patienceMs: 3_000 };
  const ledger = new MemoryQuota({ ...times, entries, lineLength: 100 });
  const log = pino({ level: 'silent' });
  const nothing = () => undefined;
  const observer = { quotaUsed: nothing, waiting: nothing, granted: nothing, refused: nothing };
  const limits = { entries, leaseMs: times.leaseMs, queueTimeoutMs: 30_000, keepMs: 10_000 };
  const admission = new Admission({ ledger, limits, observer, log });
  await admission.open();
  const engine = awsEngine(
    pool.map((entry) => ({ name: 'home', ...entry })),
    { admission },
  );
  started.push(engine);
  return { engine, held: async () => Object.fromEntries((await ledger.renew('test', [])).held) };
}

function applicant(id: string, over = new AbortController()): Applicant {
  return {
    id,
    tenant: 'acme',
    isResumable: true,
    isAttended: () => true,
    moves: () => false,
    over: over.signal,
    queued: () => undefined,
  };
}

/** Ends a stream in good order. */
async function finish(stream: EngineStream): Promise<void> {
  stream.end();
  await readAll(stream);
}

describe('streams that are shared out', () => {
  test('are never refused, though many more are wanted at once than may be had, or begun in a second', async () => {
    const emulator = await emulatorWith({ concurrentStreams: 6, startsPerSecond: 4 });
    const { engine } = await engineOn([{ endpoint: emulator.url, streams: 6, startsPerSecond: 4 }]);
    let most = 0;
    await Promise.all(
      Array.from({ length: 16 }, async (_, n) => {
        const stream = await openStream(engine, { applicant: applicant(`s${n}`) });
        most = Math.max(most, engine.openStreams);
        // Some end in good order, and others are dropped.
        if (n % 2 === 0) await finish(stream);
        else stream.abort();
      }),
    );
    expect(emulator.usage()).toMatchObject({ refusals: {}, streams: 16 });
    expect(most).toBeLessThanOrEqual(6);
  });

  test('are opened again at once by those whose streams broke, all together', async () => {
    const emulator = await emulatorWith({ concurrentStreams: 4, startsPerSecond: 25 });
    const { engine } = await engineOn([{ endpoint: emulator.url, streams: 4 }]);
    const members = Array.from({ length: 4 }, (_, n) => applicant(`s${n}`));
    const streams = await Promise.all(members.map((one) => openStream(engine, { applicant: one })));
    const waits = openStream(engine, { applicant: applicant('new') });
    let isNewServed = false;
    void waits.then(() => {
      isNewServed = true;
    });
    const broken = streams.map((stream) => readAll(stream));
    emulator.addFault({ fault: { kind: 'disconnect' }, running: true });
    await Promise.all(broken);
    const again = await Promise.all(members.map((one) => openStream(engine, { applicant: one, continuation: true })));
    expect(isNewServed).toBe(false);
    for (const stream of again) await finish(stream);
    await finish(await waits);
    expect(emulator.usage().refusals).toEqual({});
  });

  test('take their slot along to the next entry where one fails', async () => {
    const [home, away] = [await emulatorWith(), await emulatorWith()];
    home.addFault({ fault: { kind: 'http_error', status: 503 }, rate: 1 });
    const { engine, held } = await engineOn([
      { endpoint: home.url },
      { name: 'away', endpoint: away.url, priority: 2 },
    ]);
    const stream = await openStream(engine, { applicant: applicant('a') });
    await expect.poll(held).toEqual({ away: 1 });
    await finish(stream);
    await expect.poll(held).toEqual({});
  });

  test('are opened in the entry that has one free, whatever its place', async () => {
    const [home, away] = [await emulatorWith(), await emulatorWith()];
    const { engine, held } = await engineOn([
      { endpoint: home.url, streams: 1 },
      { name: 'away', endpoint: away.url, priority: 2, streams: 2 },
    ]);
    const streams = await Promise.all(['a', 'b', 'c'].map((id) => openStream(engine, { applicant: applicant(id) })));
    expect(await held()).toEqual({ home: 1, away: 2 });
    for (const stream of streams) await finish(stream);
  });

  test('are not waited for in another entry by those whose own has just failed', async () => {
    const [home, away] = [await emulatorWith(), await emulatorWith()];
    home.addFault({ fault: { kind: 'http_error', status: 503 }, rate: 1 });
    const { engine } = await engineOn([
      { endpoint: home.url },
      { name: 'away', endpoint: away.url, priority: 2, streams: 1 },
    ]);
    const only = await openStream(engine, { applicant: applicant('a') });
    const refused = openStream(engine, { applicant: applicant('b'), continuation: true });
    await expect(refused).rejects.toMatchObject({ code: 'engine_unavailable', retryable: true });
    await finish(only);
  });

  test('give their slot back when the session is over, however the stream ended', async () => {
    const emulator = await emulatorWith();
    const { engine, held } = await engineOn([{ endpoint: emulator.url }]);
    const over = new AbortController();
    const stream = await openStream(engine, { applicant: applicant('a', over) });
    stream.abort();
    over.abort();
    const anonymous = await openStream(engine);
    expect(await held()).toEqual({ home: 2 });
    anonymous.abort();
    await expect.poll(held).toEqual({});
  });

  test('leave nothing behind when the caller gives up', async () => {
    const emulator = await emulatorWith();
    const { engine, held } = await engineOn([{ endpoint: emulator.url, streams: 1 }]);
    const stream = await openStream(engine, { applicant: applicant('a') });
    const caller = new AbortController();
    const opening = openStream(engine, { applicant: applicant('b') }, caller.signal);
    caller.abort(new Error('gone'));
    await expect(opening).rejects.toThrow('gone');
    await finish(stream);
    await expect.poll(held).toEqual({});
    expect(emulator.usage().streams).toBe(1);
  });
});
