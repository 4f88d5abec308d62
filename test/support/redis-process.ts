import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { READY, type RedisRunner, START_MS } from './redis-runner.ts';

const SERVER = 'redis-server';
const APT = 'apt-get';

/** Ended with this process, also when a test fails before it can end them. */
const running = new Set<ChildProcess>();
process.once('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

/** A redis-server of this machine, as a child of this process. */
export class RedisProcess implements RedisRunner {
  #child: ChildProcess | undefined;

  async start(args: readonly string[]): Promise<void> {
    const child = spawn(SERVER, args, { stdio: ['ignore', 'pipe', 'inherit'] });
    this.#child = child;
    running.add(child);
    let output = '';
    let failure: string | undefined;
    child.once('exit', () => running.delete(child));
    child.once('error', (error) => {
      failure = error.message;
    });
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      output += text;
    });
    const deadline = performance.now() + START_MS;
    while (!READY.test(output)) {
      const isOver = child.exitCode !== null || failure !== undefined || performance.now() > deadline;
      if (isOver) throw new Error(`redis-server: ${failure ?? output}`);
      await delay(5);
    }
  }

  async kill(): Promise<void> {
    const child = this.#child;
    if (child === undefined) return;
    this.#child = undefined;
    if (child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, 'exit');
    child.kill('SIGKILL');
    await ended;
  }

  async pause(): Promise<void> {
    this.#child?.kill('SIGSTOP');
  }

  async unpause(): Promise<void> {
    this.#child?.kill('SIGCONT');
  }
}

/** Whether there is a redis-server on the PATH; where there is none, Debian's is installed, if this is Debian and root. */
export function hasRedisProcess(): boolean {
  return isInstalled() || install();
}

function isInstalled(): boolean {
  try {
    execFileSync(SERVER, ['--version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

function install(): boolean {
  try {
    if (process.getuid?.() !== 0) return false;
    const options = { stdio: 'ignore', env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' } } as const;
    execFileSync(APT, ['update', '-qq'], options);
    execFileSync(APT, ['install', '-y', '-qq', '--no-install-recommends', SERVER], options);
    return isInstalled();
  } catch {
    return false;
  }
}
