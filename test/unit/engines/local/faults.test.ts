import { spawn } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { LocalEngine } from '../../../../src/engines/local/local-engine.ts';
import { collect, isRunning, openStream, SPEECH, startEngine, transcribe, write } from './support.ts';

const WAIT = { timeout: 30_000, interval: 20 };

describe('faults of recogniser processes', { timeout: 60_000 }, () => {
  const engines: LocalEngine[] = [];
  const start: typeof startEngine = async (options) => {
    const engine = await startEngine(options);
    engines.push(engine);
    return engine;
  };
  // A directory of its own, because other tests load models at the same time.
  let temporary: string;
  beforeEach(async () => {
    temporary = await mkdtemp(join(tmpdir(), 'gateway-test-'));
    vi.stubEnv('TMPDIR', temporary).stubEnv('TEMP', temporary);
  });
  afterEach(async () => {
    vi.unstubAllEnvs();
    await Promise.all(engines.splice(0).map((engine) => engine.close()));
    await rm(temporary, { recursive: true });
  });

  it('break the streams of a killed process and no other, and a new stream works', async () => {
    const exits = vi.fn();
    const engine = await start({
      processes: 2,
      observer: { poolChanged: () => {}, recogniserExited: exits, audioProcessed: () => {} },
    });
    const [doomedPid] = engine.recogniserPids;
    const [doomed, unharmed] = [await openStream(engine), await openStream(engine)];
    const broken = expect(collect(doomed)).rejects.toMatchObject({ code: 'engine_unavailable', retryable: true });
    await write(doomed, SPEECH.subarray(0, 32_000));
    kill(doomedPid, 'SIGKILL');
    await broken;
    await doomed.write(Buffer.alloc(3_200));
    expect(exits).toHaveBeenCalledOnce();
    expect(await transcribe(unharmed, SPEECH)).toBe('go forward ten meters');
    await vi.waitFor(() => expect(engine.state.liveProcesses).toBe(2), WAIT);
    expect(await transcribe(await openStream(engine), SPEECH)).toBe('go forward ten meters');
  });

  it('keep the places of the broken sessions until they continue', async () => {
    const engine = await start({ processes: 2, sessionsPerProcess: 2 });
    const [doomedPid] = engine.recogniserPids;
    const streams = [await openStream(engine), await openStream(engine), await openStream(engine)];
    const outcomes = Promise.allSettled(streams.map((stream) => collect(stream)));
    kill(doomedPid, 'SIGKILL');
    await vi.waitFor(() => expect(engine.state.liveProcesses).toBe(1), WAIT);
    await vi.waitFor(() => expect(engine.state).toMatchObject({ liveProcesses: 2, openStreams: 1 }), WAIT);
    // Two of the three are on their way back, so one place of four is free.
    const newcomer = await openStream(engine);
    await expect(openStream(engine)).rejects.toMatchObject({ message: expect.stringContaining('All 4 places') });
    await openStream(engine, true);
    await expect(openStream(engine)).rejects.toMatchObject({ message: expect.stringContaining('All 4 places') });
    await openStream(engine, true);
    // Nobody is on the way back any more: a place that becomes free is free.
    newcomer.abort();
    await openStream(engine);
    for (const stream of streams) stream.abort();
    await outcomes;
  });

  it.skipIf(process.platform === 'win32')('keep the place of a session that gives up a slow continuation', async () => {
    const engine = await start({ processes: 1, sessionsPerProcess: 1 });
    const [pid] = engine.recogniserPids;
    await openStream(engine);
    kill(pid, 'SIGKILL');
    await vi.waitFor(() => expect(engine.recogniserPids).not.toContain(pid), WAIT);
    await vi.waitFor(() => expect(engine.state.liveProcesses).toBe(1), WAIT);
    const [nextPid] = engine.recogniserPids;
    kill(nextPid, 'SIGSTOP');
    const tooLate = new AbortController();
    const opening = expect(openStream(engine, true, tooLate.signal)).rejects.toThrow();
    await vi.waitFor(() => expect(engine.state.openStreams).toBe(1), WAIT);
    tooLate.abort();
    await opening;
    kill(nextPid, 'SIGCONT');
    await vi.waitFor(() => expect(engine.state.openStreams).toBe(0), WAIT);
    await expect(openStream(engine)).rejects.toMatchObject({ message: expect.stringContaining('All 1 places') });
    await openStream(engine, true);
  });

  it('make a continuation wait for the next process, and a new session come back later', async () => {
    const engine = await start({ processes: 1 });
    const [pid] = engine.recogniserPids;
    kill(pid, 'SIGKILL');
    await vi.waitFor(() => expect(engine.state.liveProcesses).toBe(0), WAIT);
    await expect(openStream(engine)).rejects.toMatchObject({
      code: 'engine_unavailable',
      retryable: true,
      retryAfterMs: 1_000,
    });
    const givenUp = new AbortController();
    const abandoned = expect(openStream(engine, true, givenUp.signal)).rejects.toThrow();
    givenUp.abort();
    await abandoned;
    expect(await transcribe(await openStream(engine, true), SPEECH)).toBe('go forward ten meters');
  });

  it.skipIf(process.platform === 'win32')('kill a process that stops answering', async () => {
    const engine = await start({ processes: 1, hangTimeoutMs: 400 });
    const [pid] = engine.recogniserPids;
    const stream = await openStream(engine);
    kill(pid, 'SIGSTOP');
    const broken = expect(collect(stream)).rejects.toMatchObject({ code: 'engine_unavailable', retryable: true });
    await stream.write(Buffer.alloc(3_200));
    await broken;
    await vi.waitFor(() => expect(engine.recogniserPids).toHaveLength(1), WAIT);
    expect(engine.recogniserPids).not.toContain(pid);
  });

  it.skipIf(process.platform === 'win32')('kill a process that stops answering while it opens a stream', async () => {
    const engine = await start({ processes: 1, hangTimeoutMs: 400 });
    const [pid] = engine.recogniserPids;
    kill(pid, 'SIGSTOP');
    const stream = await openStream(engine);
    await expect(collect(stream)).rejects.toMatchObject({ code: 'engine_unavailable', retryable: true });
    await vi.waitFor(() => expect(engine.recogniserPids).toHaveLength(1), WAIT);
    expect(engine.recogniserPids).not.toContain(pid);
  });

  it.skipIf(process.platform === 'win32')('kill a process that hangs on an open that was given up', async () => {
    const engine = await start({ processes: 1, hangTimeoutMs: 400 });
    const [pid] = engine.recogniserPids;
    kill(pid, 'SIGSTOP');
    await expect(openStream(engine, false, AbortSignal.timeout(1))).rejects.toThrow();
    await vi.waitFor(() => expect(engine.recogniserPids).not.toContain(pid), WAIT);
  });

  it.skipIf(process.platform === 'win32')('shed new sessions while audio lags behind', async () => {
    const engine = await start({ processes: 1, sessionsPerProcess: 1_000 });
    const [pid] = engine.recogniserPids;
    const stream = await openStream(engine);
    kill(pid, 'SIGSTOP');
    await stream.write(Buffer.alloc(3_200));
    await vi.waitFor(async () => {
      // While it is not far enough behind the open waits for the stopped process.
      const opened = openStream(engine, false, AbortSignal.timeout(100)).then((other) => other.abort());
      await expect(opened).rejects.toMatchObject({ retryable: true, message: expect.stringContaining('behind') });
    }, WAIT);
    kill(pid, 'SIGCONT');
    await vi.waitFor(async () => (await openStream(engine)).abort(), WAIT);
  });

  it('leave no process and no temporary directory after close', async () => {
    const engine = await start({ processes: 2 });
    // The links to the model are needed only while it is loaded.
    expect(readdirSync(temporary)).toEqual([]);
    const pids = engine.recogniserPids;
    expect(pids).toHaveLength(2);
    await engine.close();
    expect(pids.filter(isRunning)).toEqual([]);
  });

  it.skipIf(process.platform === 'win32')('do not outlast close when a process is stopped', async () => {
    const engine = await start({ processes: 2 });
    const pids = engine.recogniserPids;
    const reading = collect(await openStream(engine));
    for (const pid of pids) kill(pid, 'SIGSTOP');
    const before = performance.now();
    await engine.close();
    expect(performance.now() - before).toBeLessThan(1_000);
    expect(pids.filter(isRunning)).toEqual([]);
    expect(await reading).toEqual([]);
  });

  it.skipIf(process.platform === 'win32')('are not caused by signals to the whole group', async () => {
    const engine = await start({ processes: 1 });
    const [pid] = engine.recogniserPids;
    kill(pid, 'SIGINT');
    kill(pid, 'SIGTERM');
    expect(await transcribe(await openStream(engine), SPEECH)).toBe('go forward ten meters');
    expect(engine.recogniserPids).toEqual([pid]);
  });

  it('leave no process behind when the gateway itself is killed', async () => {
    const script = fileURLToPath(new URL('./orphaning-parent.ts', import.meta.url));
    const parent = spawn(process.execPath, [script], { stdio: ['ignore', 'pipe', 'inherit'] });
    const pids = JSON.parse(await firstLine(parent.stdout)) as number[];
    expect(pids.filter(isRunning)).toEqual(pids);
    expect(pids.length).toBeGreaterThan(0);
    parent.kill('SIGKILL');
    await vi.waitFor(() => expect(pids.filter(isRunning)).toEqual([]), WAIT);
  });

  it('stop the start when the model cannot be loaded', async () => {
    const modelPath = join(temporary, 'model');
    await mkdir(join(modelPath, 'am'), { recursive: true });
    await mkdir(join(modelPath, 'conf'));
    await expect(startEngine({ modelPath })).rejects.toMatchObject({
      code: 'engine_unavailable',
      retryable: false,
      message: expect.stringContaining('does not contain model files'),
    });
  });

  it('stop the start when the library cannot be loaded', async () => {
    const libraryPath = join(temporary, 'libvosk.so');
    await writeFile(libraryPath, 'not a library');
    await expect(startEngine({ libraryPath, processes: 2 })).rejects.toMatchObject({
      code: 'engine_unavailable',
      retryable: false,
      message: expect.stringContaining('could not load'),
    });
    expect(readdirSync(temporary)).toEqual(['libvosk.so']);
  });
});

function kill(pid: number | undefined, signal: NodeJS.Signals): void {
  if (pid === undefined) throw new Error('no recogniser process');
  process.kill(pid, signal);
}

async function firstLine(stream: NodeJS.ReadableStream): Promise<string> {
  for await (const line of createInterface({ input: stream })) return line;
  throw new Error('the process ended without a line');
}
