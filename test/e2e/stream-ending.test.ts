import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterEach, describe, expect, it } from 'vitest';
import { tone } from '../support/client.ts';
import { cli, killAll, ROOT, serveGateway } from '../support/process.ts';

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
    execFileSync('mkfifo', [pipe]);
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
