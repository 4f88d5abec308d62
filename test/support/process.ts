import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { workersEnvironment } from './workers.ts';

export const ROOT = new URL('../../', import.meta.url).pathname;
const BIN = `${ROOT}src/bin.js`;
/** Halves what the start of a process costs, of which the tests have hundreds. */
const COMPILE_CACHE = `${ROOT}node_modules/.cache/node-compile`;

/** A process with a record of its outputs. */
export interface Running {
  readonly child: ChildProcess;
  stdout(): string;
  stderr(): string;
  /** Resolves with the exit code, or the signal's name. */
  readonly exited: Promise<number | NodeJS.Signals>;
  /** Resolves when one of the outputs matches; rejects if the process ends before. */
  saw(pattern: RegExp): Promise<RegExpMatchArray>;
}

const running = new Set<ChildProcess>();

/** Ends what a test left running, by its id. For `afterEach`. */
export function killAll(): void {
  for (const child of running) child.kill('SIGKILL');
}
// Also when a test fails before it can end them.
process.once('exit', killAll);

/** Lets a process outlive the test that started it: it ends with the test file at the latest. */
export function keep({ child }: Running): void {
  running.delete(child);
  process.once('exit', () => child.kill('SIGKILL'));
}

/** Starts a program; nothing of the environment but PATH and HOME reaches it unless given. */
export function run(
  command: string,
  args: readonly string[],
  options: { env?: Readonly<Record<string, string>>; input?: Buffer; cwd?: string } = {},
): Running {
  const { PATH = '', HOME = '' } = process.env;
  const child = spawn(command, args, {
    cwd: options.cwd ?? ROOT,
    env: { PATH, HOME, NODE_COMPILE_CACHE: COMPILE_CACHE, ...options.env },
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  running.add(child);
  const output = { stdout: '', stderr: '' };
  const listeners = new Set<() => void>();
  for (const name of ['stdout', 'stderr'] as const) {
    child[name].setEncoding('utf8').on('data', (text: string) => {
      output[name] += text;
      for (const listener of listeners) listener();
    });
  }
  child.stdin.on('error', () => undefined);
  child.stdin.end(options.input);
  const exited = once(child, 'close').then(([code, signal]) => {
    running.delete(child);
    return (code ?? signal) as number | NodeJS.Signals;
  });
  return {
    child,
    stdout: () => output.stdout,
    stderr: () => output.stderr,
    exited,
    saw(pattern) {
      return new Promise((resolve, reject) => {
        const check = () => {
          const match = output.stdout.match(pattern) ?? output.stderr.match(pattern);
          if (match === null) return;
          listeners.delete(check);
          resolve(match);
        };
        listeners.add(check);
        check();
        void exited.then((code) =>
          reject(new Error(`ended with ${code} before ${pattern}:\n${output.stdout}\n${output.stderr}`)),
        );
      });
    },
  };
}

/** The command line of this clone. */
export function cli(args: readonly string[], options: Parameters<typeof run>[2] = {}): Running {
  return run(process.execPath, [BIN, ...args], options);
}

export interface ServedGateway extends Running {
  readonly url: string;
  readonly adminUrl: string;
}

/** What every gateway of the tests is told unless its test says otherwise: free ports of 127.0.0.1. */
export const FREE_PORTS = { HOST: '127.0.0.1', PORT: '0', GATEWAY_ADMIN_HOST: '127.0.0.1', GATEWAY_ADMIN_PORT: '0' };

/** What makes a gateway stream to an emulator of Amazon Transcribe, where that is. Nobody waits for a stream of it. */
export function toEmulator(url: string) {
  return {
    GATEWAY_ENGINE: 'aws',
    GATEWAY_AWS_ENDPOINT: url,
    AWS_REGION: 'us-east-1',
    AWS_ACCESS_KEY_ID: 'test',
    AWS_SECRET_ACCESS_KEY: 'test',
    GATEWAY_AWS_STREAMS: '100000',
    GATEWAY_AWS_STARTS_PER_SECOND: '100000',
  };
}

/** `serve` as a process of its own, with the workers of the test run; what comes of it is the test's to see. */
export function startServe(env: Readonly<Record<string, string>> = {}): Running {
  return cli(['serve'], { env: { ...FREE_PORTS, ...workersEnvironment(env), ...env } });
}

/** The same; resolves once it is ready. */
export async function serveGateway(env: Readonly<Record<string, string>> = {}): Promise<ServedGateway> {
  return whenReady(startServe(env));
}

/** Waits for a gateway to say where it is. */
export async function whenReady(served: Running): Promise<ServedGateway> {
  await served.saw(/"gateway ready"/);
  const line = served
    .stdout()
    .split('\n')
    .find((one) => one.includes('"gateway ready"'));
  const { port, admin_port } = JSON.parse(line ?? '{}') as { port: number; admin_port: number };
  return { ...served, url: `http://127.0.0.1:${port}`, adminUrl: `http://127.0.0.1:${admin_port}` };
}

/** Holds a port for the time of a test. */
export async function occupyPort(): Promise<{ port: number; release: () => Promise<void> }> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return { port: address.port, release: () => new Promise((resolve) => server.close(() => resolve())) };
}

/** Ids of the processes that a process has started and that still live. */
export function childrenOf(pid: number): number[] {
  const proc = `/proc/${pid}/task/${pid}/children`;
  const list = existsSync(proc)
    ? readFileSync(proc, 'utf8')
    : execFileSync('pgrep', ['-P', String(pid)], { encoding: 'utf8' });
  return list.trim().split(/\s+/).map(Number);
}
