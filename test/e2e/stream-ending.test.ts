import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, open, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { Server } from 'socket.io';
import { afterEach, describe, expect, it } from 'vitest';
import type { Engine, EngineStreamOptions } from '../../src/engines/engine.ts';
import { repeatingScript, ScriptedEngine } from '../../src/engines/scripted/scripted-engine.ts';
import { tone } from '../support/client.ts';
import { startGateway } from '../support/gateway.ts';
import { cli, killAll, ROOT, run, serveGateway } from '../support/process.ts';

const NOWHERE = 'http://127.0.0.1:9';
const children = new Set<ChildProcess>();

afterEach(() => {
  killAll();
  for (const child of children) child.kill('SIGKILL');
});

/** Runs `stream -` with a standard input that is given some audio and then stays open, as a microphone's does. */
async function streamOpenInput(input: Buffer, args: readonly string[]): Promise<{ status: unknown; stderr: string }> {
  const child = spawn(process.execPath, [`${ROOT}src/bin.js`, 'stream', '-', ...args], { cwd: ROOT });
  children.add(child);
  child.stdin.on('error', () => undefined);
  child.stdin.write(input);
  child.stdout.resume();
  const [[code, signal], stderr] = await Promise.all([once(child, 'close'), text(child.stderr)]);
  children.delete(child);
  return { status: code ?? signal, stderr };
}

describe('stream from an input that stays open', () => {
  it('exits when there is no gateway', async () => {
    const { status, stderr } = await streamOpenInput(tone(300), ['--url', NOWHERE]);
    expect(stderr).toContain('Is the gateway running');
    expect(status).toBe(3);
  });

  it('exits when the gateway reports an error', async () => {
    const gateway = await serveGateway({ GATEWAY_ENGINE: 'scripted' });
    const { status, stderr } = await streamOpenInput(tone(300), ['--url', gateway.url, '--language', 'xx-XX']);
    expect(stderr).toContain('unsupported_language');
    expect(status).toBe(1);
  });

  it('exits when the audio is of another format', async () => {
    const { status, stderr } = await streamOpenInput(Buffer.from('fLaC and more of it'), []);
    expect(stderr).toContain('FLAC');
    expect(status).toBe(2);
  });

  it('exits when the input is a named pipe', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'stream-ending-'));
    const pipe = join(folder, 'pipe');
    expect(await run('mkfifo', [pipe]).exited).toBe(0);
    // For reading as well, because opening the one end alone waits for the other.
    const writer = await open(pipe, 'r+');
    try {
      await writer.write(tone(300));
      expect(await cli(['stream', pipe, '--url', NOWHERE]).exited).toBe(3);
    } finally {
      await writer.close();
      await rm(folder, { recursive: true });
    }
  });
});

/** An engine that is told of the end of the audio, and says its last final only when it is let. */
class ReluctantEngine extends ScriptedEngine {
  readonly ended = Promise.withResolvers<void>();
  readonly letFinish = Promise.withResolvers<void>();

  constructor() {
    super({ script: () => ({ steps: repeatingScript() }) });
  }

  override async open(options: EngineStreamOptions, signal: AbortSignal): ReturnType<Engine['open']> {
    const stream = await super.open(options, signal);
    return {
      results: stream.results,
      write: (audio) => stream.write(audio),
      abort: () => stream.abort(),
      end: () => {
        this.ended.resolve();
        void this.letFinish.promise.then(() => stream.end());
      },
    };
  }
}

type Reply = (event: string, data: Record<string, unknown>) => void;

/** A server that answers each event as a test says, and remembers which have come. */
async function fakeGateway(answer: (event: string, reply: Reply) => void) {
  const http = createServer();
  const server = new Server(http);
  const events: string[] = [];
  const left = Promise.withResolvers<void>();
  server.on('connection', (socket) => {
    socket.onAny((event: string) => {
      events.push(event);
      answer(event, (name, data) => socket.emit(name, data));
    });
    socket.on('disconnect', () => left.resolve());
    socket.emit('connected', { status: 'connected', protocol: 2 });
  });
  await once(http.listen(0, '127.0.0.1'), 'listening');
  const { port } = http.address() as AddressInfo;
  return { url: `http://127.0.0.1:${port}`, events, left: left.promise, close: () => server.close() };
}

describe('stream when it is interrupted', () => {
  it('prints the last final when it waits for it already', async () => {
    const engine = new ReluctantEngine();
    const gateway = await startGateway(engine);
    try {
      const stream = cli(['stream', '-', '--url', gateway.url, '--fast'], { input: tone(1500) });
      await engine.ended.promise;
      stream.child.kill('SIGINT');
      await stream.saw(/waiting for the last finals/i);
      engine.letFinish.resolve();
      expect(await stream.exited).toBe(130);
      expect(stream.stdout()).toBe('second 1\nsecond 2\n');
    } finally {
      await gateway.close();
    }
  });

  it('does not wait a second time', async () => {
    const engine = new ReluctantEngine();
    const gateway = await startGateway(engine);
    try {
      const stream = cli(['stream', '-', '--url', gateway.url, '--fast'], { input: tone(1500) });
      await engine.ended.promise;
      stream.child.kill('SIGINT');
      await stream.saw(/waiting for the last finals/i);
      // It may still be on its way when the engine has been given the end. Its partial has the same words behind dots.
      await stream.saw(/^second 1$/m);
      stream.child.kill('SIGINT');
      expect(await stream.exited).toBe(130);
      expect(stream.stdout()).toBe('second 1\n');
      engine.letFinish.resolve();
    } finally {
      await gateway.close();
    }
  });

  it('exits with 130 when the gateway answers with an error', async () => {
    const gateway = await fakeGateway((event, reply) => {
      if (event === 'start_transcription') reply('transcription_started', { language_code: 'en-US' });
      if (event === 'stop_transcription') reply('error', { message: 'No.', code: 'engine_rejected', retryable: false });
    });
    try {
      const stream = cli(['stream', '--sample', '--url', gateway.url]);
      await stream.saw(/Transcribing/);
      stream.child.kill('SIGINT');
      expect(await stream.exited).toBe(130);
      expect(gateway.events.filter((event) => event === 'stop_transcription')).toHaveLength(1);
    } finally {
      await gateway.close();
    }
  });

  it('waits for nothing when no session has started', async () => {
    const asked = Promise.withResolvers<void>();
    const gateway = await fakeGateway((event) => {
      if (event === 'start_transcription') asked.resolve();
    });
    try {
      const stream = cli(['stream', '--sample', '--url', gateway.url]);
      await asked.promise;
      stream.child.kill('SIGINT');
      expect(await stream.exited).toBe(130);
      await gateway.left;
      // The start may have been heard after all, and is taken back; nothing else goes out.
      expect(gateway.events).toEqual(['start_transcription', 'stop_transcription']);
    } finally {
      await gateway.close();
    }
  });
});
