/**
 * Runs the pods of a Deployment that was rendered, as containers, and takes it at its word: image, command, environment,
 * user, root file system, limits, volumes, probes, the sleep before the end and the grace. A field that it does not know is
 * an error, so that nothing of the chart is left out without a reason.
 */
import { execFile, execFileSync } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import type { Container, PodSpec, Probe, Secrets } from './pod-spec.ts';
import { readPodSpec } from './pod-spec.ts';

const execute = promisify(execFile);

/** On every container of the test, so that the next run removes what a killed one has left. */
const LABEL = 'transcribe-gateway.roll';
/**
 * How long the proxies of a cluster take to hear that a pod is leaving, in milliseconds: until then they send new clients.
 * About what kube-proxy takes on a busy node; the chart's sleep must outlast it.
 */
const ENDPOINT_LAG_MS = 1_500;
const SECOND_MS = 1_000;

/** Runs `docker`. */
async function docker(...args: readonly string[]): Promise<string> {
  return (await execute('docker', args, { encoding: 'utf8', maxBuffer: 100_000_000 })).stdout.trim();
}

/** Whether there is no container engine to ask. A laptop may have none; in CI nothing is skipped. */
export function isWithoutDocker(): boolean {
  try {
    execFileSync('docker', ['info'], { stdio: 'ignore' });
    return false;
  } catch {
    return process.env.CI === undefined;
  }
}

/** The network of a cluster, the containers in it, and nothing of either once it is closed. */
export class Node {
  readonly #network = 'transcribe-gateway-roll';
  #folder = '';

  static async start(): Promise<Node> {
    const node = new Node();
    await node.#clear();
    await docker('network', 'create', node.#network);
    node.#folder = await mkdtemp(join(tmpdir(), 'pods-'));
    return node;
  }

  /** Starts a container that belongs to no pod. @returns its id */
  async run(name: string, ...args: readonly string[]): Promise<string> {
    return docker(
      'run',
      '-d',
      '--label',
      LABEL,
      '--network',
      this.#network,
      '--name',
      name,
      '--network-alias',
      name,
      ...args,
    );
  }

  /** Creates a pod of the template of a Deployment. @throws Error that names what is not understood */
  async create(name: string, template: unknown, secrets: Secrets): Promise<Pod> {
    const spec = readPodSpec(template, secrets);
    const mounts: string[] = [];
    for (const volume of spec.volumes) {
      if (volume.kind === 'memory') {
        mounts.push('--tmpfs', `${volume.path}:size=${volume.bytes},mode=1777`);
        continue;
      }
      const folder = join(this.#folder, name, volume.name);
      await mkdir(folder, { recursive: true, mode: 0o755 });
      for (const [file, content] of Object.entries(volume.files)) await writeFile(join(folder, file), content);
      mounts.push('--volume', `${folder}:${volume.path}:ro`);
    }
    const id = await this.run(name, ...mounts, ...argumentsOf(spec));
    return new Pod(name, id, spec, await published(id, spec.container));
  }

  async close(): Promise<void> {
    await this.#clear();
    await rm(this.#folder, { recursive: true, force: true });
  }

  async #clear(): Promise<void> {
    const left = await docker('ps', '-aq', '--filter', `label=${LABEL}`);
    if (left !== '') await docker('rm', '-f', '-v', ...left.split('\n'));
    await docker('network', 'rm', this.#network).catch(() => undefined);
  }
}

function argumentsOf({ container, user, group }: PodSpec): string[] {
  const { args, command, env, image, limits, securityContext } = container;
  const [entry, ...rest] = command ?? [];
  return [
    ...['--user', `${user}:${group}`, '--restart', 'no', '--pull', 'never'],
    ...(securityContext.readOnlyRootFilesystem ? ['--read-only'] : []),
    ...(securityContext.allowPrivilegeEscalation ? [] : ['--security-opt', 'no-new-privileges']),
    ...securityContext.dropped.flatMap((capability) => ['--cap-drop', capability]),
    ...(limits.memoryBytes === undefined ? [] : ['--memory', String(limits.memoryBytes)]),
    ...(limits.cpus === undefined ? [] : ['--cpus', String(limits.cpus)]),
    ...Object.values(container.ports).flatMap((port) => ['--publish', `127.0.0.1::${port}`]),
    ...env.flatMap(({ name, value }) => ['--env', `${name}=${value}`]),
    ...(entry === undefined ? [] : ['--entrypoint', entry]),
    image,
    ...rest,
    ...(args ?? []),
  ];
}

/** By its name in the container: where each port can be reached from here. */
async function published(id: string, { ports }: Container): Promise<ReadonlyMap<string, string>> {
  const entries = Object.entries(ports).map(async ([name, port]) => {
    const [address = ''] = (await docker('port', id, String(port))).split('\n');
    return [name, `http://${address}`] as const;
  });
  return new Map(await Promise.all(entries));
}

/** One pod, from its first probe to its last. */
export class Pod {
  readonly name: string;
  readonly #id: string;
  readonly #spec: PodSpec;
  readonly #urls: ReadonlyMap<string, string>;
  readonly #ended = new AbortController();
  readonly #exited: Promise<number>;
  #isReady = false;
  #isTerminating = false;
  /** What a cluster would have killed it for. */
  readonly faults: string[] = [];

  constructor(name: string, id: string, spec: PodSpec, urls: ReadonlyMap<string, string>) {
    this.name = name;
    this.#id = id;
    this.#spec = spec;
    this.#urls = urls;
    this.#exited = docker('wait', id).then(Number);
    void this.#exited.then((code) => {
      if (!this.#ended.signal.aborted) this.faults.push(`it ended unasked with ${code}`);
      this.#ended.abort();
    });
    void this.#watch();
  }

  get isReady(): boolean {
    return this.#isReady && !this.#isTerminating;
  }

  get isTerminating(): boolean {
    return this.#isTerminating;
  }

  urlOf(port: string): string {
    const url = this.#urls.get(port);
    if (url === undefined) throw new Error(`${this.name} has no port ${port}`);
    return url;
  }

  /** What it has written to standard output. */
  async logs(): Promise<string> {
    return docker('logs', this.#id);
  }

  /** The end of all that it has written, for people. */
  async lastWords(): Promise<string> {
    const { stderr, stdout } = await execute('docker', ['logs', '--tail', '20', this.#id], { encoding: 'utf8' });
    return `${stdout}${stderr}`;
  }

  /**
   * Ends the pod as the kubelet does: the sleep, the image's stop signal, and SIGKILL when the grace is over.
   * @param onUnlisted called when the last proxy has heard of it
   * @returns the exit code, and how long it took in seconds
   */
  async terminate(onUnlisted: () => void): Promise<{ readonly exit: number; readonly seconds: number }> {
    this.#isTerminating = true;
    const begin = performance.now();
    const { graceSeconds, preStopSeconds } = this.#spec;
    void delay(ENDPOINT_LAG_MS).then(onUnlisted);
    await delay(preStopSeconds * SECOND_MS);
    this.#ended.abort();
    const signal = (await docker('inspect', '-f', '{{.Config.StopSignal}}', this.#id)) || 'SIGTERM';
    await docker('kill', '--signal', signal, this.#id);
    const graceMs = graceSeconds * SECOND_MS - (performance.now() - begin);
    const inTime = await Promise.race([this.#exited.then(() => true), delay(graceMs, false)]);
    if (!inTime) {
      this.faults.push('the grace was over before the pod had ended');
      await docker('kill', this.#id);
    }
    return { exit: await this.#exited, seconds: (performance.now() - begin) / SECOND_MS };
  }

  async #watch(): Promise<void> {
    const { liveness, readiness, startup } = this.#spec.container.probes;
    const isUp = await this.#probe(startup, true);
    if (isUp === undefined) return;
    if (!isUp) {
      this.faults.push('the startup probe failed for too long');
      return;
    }
    void this.#probe(liveness, false).then((isAlive) => {
      if (isAlive === false) this.faults.push('the liveness probe failed for too long');
    });
    while (!this.#ended.signal.aborted) {
      // It ends when it has changed, and is then asked for the other way.
      const isReady = await this.#probe(readiness, !this.#isReady);
      if (isReady !== undefined) this.#isReady = isReady;
    }
  }

  /**
   * Probes until the outcome is certain.
   * @param wanted true ends with the first success, false goes on until there are failures enough
   * @returns the outcome; undefined once the pod ends
   */
  async #probe({ failureThreshold, path, periodSeconds, port, timeoutSeconds }: Probe, wanted: boolean) {
    const { signal } = this.#ended;
    const url = `${this.urlOf(port)}${path}`;
    for (let failures = 0; !signal.aborted; ) {
      const answer = fetch(url, { signal: AbortSignal.timeout(timeoutSeconds * SECOND_MS) });
      const isOk = await answer.then(
        ({ ok }) => ok,
        () => false,
      );
      if (isOk && wanted) return true;
      failures = isOk ? 0 : failures + 1;
      if (failures >= failureThreshold) return false;
      await delay(periodSeconds * SECOND_MS, undefined, { signal }).catch(() => undefined);
    }
    return undefined;
  }
}
