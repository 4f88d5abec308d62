import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import type { Socket } from 'node:net';
import { fileURLToPath } from 'node:url';
import type { StartedTestContainer } from 'testcontainers';
import { READY, type RedisRunner, START_MS } from './redis-runner.ts';

const { TEST_REDIS_IMAGE = 'redis:7' } = process.env;

/** On every container of the tests; the value is the process that they belong to. */
const LABEL = 'transcribe-gateway.tests';
const OWNER = randomUUID();

const FIXTURES = fileURLToPath(new URL('../fixtures', import.meta.url));

/**
 * A redis-server in a container, by Testcontainers. It has the network of this machine, so that its port stays the same
 * when it comes back, and a Cluster or a Sentinel announces 127.0.0.1. Of the files it has the given folder and the
 * fixtures, under the names that they have here.
 */
export class RedisContainer implements RedisRunner {
  readonly #folder: string;
  #container: StartedTestContainer | undefined;

  constructor(folder: string) {
    this.#folder = folder;
  }

  async start(args: readonly string[]): Promise<void> {
    removeWithThisProcess();
    const { GenericContainer, Wait } = await testcontainers();
    let output = '';
    const container = new GenericContainer(TEST_REDIS_IMAGE)
      .withEntrypoint(['redis-server'])
      .withCommand([...args])
      .withNetworkMode('host')
      .withBindMounts([
        { source: this.#folder, target: this.#folder },
        { source: FIXTURES, target: FIXTURES, mode: 'ro' },
      ])
      // Files that the server leaves in the folder are this user's.
      .withUser(`${process.getuid?.()}:${process.getgid?.()}`)
      .withLabels({ [LABEL]: OWNER })
      // Ryuk would be one more image to pull.
      .withAutoCleanup(false)
      .withLogConsumer((log) => log.on('data', (text) => (output += text)))
      .withWaitStrategy(Wait.forLogMessage(READY))
      .withStartupTimeout(START_MS);
    try {
      this.#container = await container.start();
    } catch (error) {
      throw new Error(`redis-server in ${TEST_REDIS_IMAGE}: ${output}`, { cause: error });
    }
  }

  async kill(): Promise<void> {
    const container = this.#container;
    this.#container = undefined;
    if (container !== undefined) await (await handleOf(container)).remove({ force: true, v: true });
  }

  async pause(): Promise<void> {
    if (this.#container !== undefined) await (await handleOf(this.#container)).pause();
  }

  async unpause(): Promise<void> {
    if (this.#container !== undefined) await (await handleOf(this.#container)).unpause();
  }
}

/** What Testcontainers itself has no words for: crashes and pauses. */
async function handleOf(container: StartedTestContainer) {
  const client = await (await testcontainers()).getContainerRuntimeClient();
  return client.container.getById(container.getId());
}

/** Loaded where it is used, because that takes half a second. */
function testcontainers(): Promise<typeof import('testcontainers')> {
  // Asked of the engine otherwise, which may mean another image; nothing here goes by the name of a host.
  process.env.TESTCONTAINERS_HOST_OVERRIDE ??= '127.0.0.1';
  return import('testcontainers');
}

let isWatched = false;

/**
 * Lets a shell remove the containers of this process when it ends, however it does: its pipe closes then. A container
 * that is being made at that moment is there only a little later, so the shell looks again.
 */
function removeWithThisProcess(): void {
  if (isWatched) return;
  isWatched = true;
  const remove = `docker ps -aq --filter label=${LABEL}=${OWNER} | xargs -r docker rm -f`;
  const watcher = spawn('sh', ['-c', `cat; ${remove}; sleep 1; ${remove}`], {
    // Not in the group that a Ctrl-C ends.
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  watcher.unref();
  (watcher.stdin as Socket).unref();
}
