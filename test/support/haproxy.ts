/** HAProxy with the configuration that is shipped, in front of gateways of a test. */
import { execFileSync } from 'node:child_process';
import { setTimeout as delay } from 'node:timers/promises';
import { freePort } from './free-port.ts';
import { ROOT, type Running, run } from './process.ts';

/** Debian has it where only administrators look. */
const ENV = { PATH: `${process.env.PATH}:/usr/sbin` };
const COMMAND = 'haproxy';
const CONFIGURATION = `${ROOT}deploy/haproxy/haproxy.cfg`;
/** As many as the configuration has. */
const GATEWAYS = ['gateway1', 'gateway2', 'gateway3'] as const;

export type GatewayName = (typeof GATEWAYS)[number];

/** A request that HAProxy has answered, from its log. */
interface ProxiedRequest {
  readonly gateway: GatewayName;
  readonly status: number;
  readonly query: URLSearchParams;
}

/** Whether it is installed. A laptop may lack it; in CI nothing is skipped. */
export const NO_HAPROXY = !isInstalled() && process.env.CI === undefined;

export class HAProxy {
  readonly port: number;
  readonly #running: Running;

  private constructor(port: number, running: Running) {
    this.port = port;
    this.#running = running;
  }

  /** @param gateways three of them, which are called `gateway1` and so on */
  static async start(gateways: readonly { readonly url: string; readonly adminUrl: string }[]): Promise<HAProxy> {
    const port = await freePort();
    const addresses = gateways.flatMap(({ url, adminUrl }, index) => [
      [`GATEWAY_${index + 1}`, new URL(url).host],
      [`GATEWAY_${index + 1}_ADMIN_PORT`, new URL(adminUrl).port],
    ]);
    const running = run(COMMAND, ['-db', '-f', CONFIGURATION], {
      env: { ...ENV, ...Object.fromEntries(addresses), HAPROXY_BIND: `127.0.0.1:${port}`, HAPROXY_LOG_LEVEL: 'info' },
    });
    const haproxy = new HAProxy(port, running);
    // It says nothing when it listens. Whatever it answers is an answer.
    const answers = () =>
      fetch(haproxy.url).then(
        () => true,
        () => false,
      );
    while (!(await answers())) {
      if (running.child.exitCode !== null) throw new Error(`haproxy: ${running.stderr()}`);
      await delay(20);
    }
    return haproxy;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** The requests to Socket.IO that it has answered so far; a WebSocket when it is closed. */
  get requests(): ProxiedRequest[] {
    const lines = this.#running.stdout().matchAll(/ gateways\/(\w+) \S+ (-?\d+) .*"\w+ (\/socket\.io\/\S*) HTTP/g);
    return Array.from(lines, ([, gateway, status, path]) => ({
      gateway: gateway as GatewayName,
      status: Number(status),
      query: new URL(path ?? '', this.url).searchParams,
    }));
  }

  /** Resolves when it has said so of the gateway. */
  async saw(gateway: GatewayName, state: 'stopping' | 'DOWN' | 'UP'): Promise<void> {
    await this.#running.saw(new RegExp(`Server gateways/${gateway} is ${state}`));
  }

  async stop(): Promise<void> {
    this.#running.child.kill('SIGKILL');
    await this.#running.exited;
  }
}

function isInstalled(): boolean {
  try {
    execFileSync(COMMAND, ['-v'], { stdio: 'ignore', env: ENV });
    return true;
  } catch {
    return false;
  }
}
