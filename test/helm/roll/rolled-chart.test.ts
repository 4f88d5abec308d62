import { readFileSync } from 'node:fs';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { cli } from '../../support/process.ts';
import { type BlockAccount, formatAccount, isClean } from '../../support/reconcile.ts';
import { LibrarySpeaker, type LogLine, OldSpeaker } from '../../support/rolling-speakers.ts';
import { type Manifest, parseManifests, render, valuesOf } from '../helm.ts';
import { isWithoutDocker, Node } from './kubelet.ts';
import type { Secrets } from './pod-spec.ts';
import { RolledDeployment } from './roll-out.ts';

/** What docker-compose.yml builds. */
const IMAGE = 'transcribe-gateway';
const TAG = 'compose';
/** Its hash is in the file of demo keys. */
const DEMO_KEY = 'docker-compose-demo';
const DEMO_KEYS = new URL('../../../deploy/api-keys.demo.json', import.meta.url);

/** What somebody who installs the chart for production has in the cluster. */
const SECRETS = {
  'transcribe-gateway-keys': {
    'keys.json': readFileSync(DEMO_KEYS, 'utf8'),
    tokenSecret: 'a secret that is long enough and of this test alone',
  },
  'transcribe-gateway-redis': { url: 'redis://redis:6379/0' },
};
const CREDENTIALS = ['AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY'].map((name) => ({ name, value: 'test' }));

const REDIS = ['redis:7', 'redis-server', '--protected-mode', 'no', '--save', ''];
const EMULATOR = [
  ...[`${IMAGE}:${TAG}`, 'emulator', '--host', '0.0.0.0', '--port', '8443', '--recogniser', 'coded'],
  ...['--partial-latency-ms', '60', '--final-latency-ms', '60-400', '--seed', '1'],
];

describe.skipIf(isWithoutDocker())('the Deployment that the chart renders for production', () => {
  let node: Node;
  let deployment: RolledDeployment;

  beforeAll(async () => {
    node = await Node.start();
    await node.run('redis', ...REDIS);
    await node.run('emulator', '--read-only', '--tmpfs', '/tmp', ...EMULATOR);
    deployment = await RolledDeployment.create(node, SECRETS);
  }, 120_000);

  afterEach(async ({ task }) => {
    if (task.result?.state !== 'fail') return;
    for (const pod of deployment.pods) console.log(`${pod.name}:\n${await pod.lastWords()}`);
  });

  afterAll(async () => {
    deployment?.close();
    await node?.close();
  }, 120_000);

  function manifest(revision: string) {
    const settings = `aws.endpoint=http://emulator:8443,podAnnotations.revision=${revision}`;
    const credentials = `extraEnv=${JSON.stringify(CREDENTIALS)}`;
    const production = valuesOf('production-values.yaml');
    return deploymentOf(rendered(...production, '--set', settings, '--set-json', credentials));
  }

  it('is rolled out under live sessions, and nothing is lost or doubled', { timeout: 600_000 }, async () => {
    const first = manifest('one');
    await deployment.apply(first, 'one');
    const { url } = deployment.balancer;
    const library = Array.from(
      { length: 8 },
      (_, n) => new LibrarySpeaker(url, n % 4 === 0 ? 'polling' : 'websocket', n + 1, DEMO_KEY),
    );
    const old = Array.from(
      { length: 4 },
      (_, n) => new OldSpeaker(url, n % 2 === 0 ? 'polling' : 'websocket', n + 101, DEMO_KEY),
    );
    const speakers = [...library, ...old];
    let goesOn = true;
    const speaking = speakers.map((speaker) => speaker.run(() => goesOn));
    let endings: Awaited<ReturnType<RolledDeployment['apply']>>;
    try {
      await Promise.all(speakers.map((speaker) => speaker.heard()));
      deployment.fewestReady = Number.POSITIVE_INFINITY;
      endings = await deployment.apply(manifest('two'), 'two');
      await Promise.all(speakers.map((speaker) => speaker.heard()));
    } finally {
      goesOn = false;
    }
    await Promise.all(speaking);
    const logs = (await Promise.all(deployment.pods.map((pod) => pod.logs()))).flatMap(linesOf);
    const accounts = { 2: library.map((one) => one.account()), 1: old.map((one) => one.account(logs)) };
    for (const { exit, name, seconds } of endings) console.log(`${name}: exit ${exit} after ${seconds.toFixed(1)} s`);
    print(2, accounts[2], library);
    print(1, accounts[1], old);

    expect(endings.map(({ exit, faults }) => ({ exit, faults }))).toEqual(Array(3).fill({ exit: 0, faults: [] }));
    expect(deployment.pods.flatMap(({ faults }) => faults)).toEqual([]);
    expect(deployment.fewestReady).toBeGreaterThanOrEqual(first.spec.replicas);
    expect(speakers.flatMap(({ problems }) => problems)).toEqual([]);
    expect(accounts[2].every(isClean)).toBe(true);
    expect(accounts[1].every(isClean)).toBe(true);
    // Each session had to leave the pod that it began on.
    for (const { moves } of speakers) expect(moves).toBeGreaterThan(0);
  });
});

describe.skipIf(isWithoutDocker())('the Deployment that the chart renders without any values', () => {
  it('transcribes the sample for whoever has the key that the chart has made', { timeout: 300_000 }, async () => {
    const manifests = rendered();
    const secrets = secretsOf(manifests);
    const key = Object.values(secrets).flatMap(({ key = [] }) => key)[0] ?? '';
    const node = await Node.start();
    const deployment = await RolledDeployment.create(node, secrets);
    try {
      await deployment.apply(deploymentOf(manifests), 'default');
      const { url } = deployment.balancer;
      const stream = cli(['stream', '--sample', '--url', url, '--token', key]);
      expect(await stream.exited).toBe(0);
      expect(stream.stdout()).toMatch(/go forward ten meters/);
      expect(await cli(['stream', '--sample', '--url', url]).exited).toBe(1);
    } finally {
      for (const pod of deployment.pods) console.log(`${pod.name}:\n${await pod.lastWords()}`);
      deployment.close();
      await node.close();
    }
  });
});

/** The chart with the image that there is. */
function rendered(...args: readonly string[]): Manifest[] {
  return parseManifests(render('helm-3', '--set', `image.repository=${IMAGE},image.tag=${TAG}`, ...args));
}

function deploymentOf(manifests: readonly Manifest[]): Parameters<RolledDeployment['apply']>[0] {
  const found = manifests.find(({ kind }) => kind === 'Deployment');
  if (found === undefined) throw new Error('no Deployment');
  return found as unknown as Parameters<RolledDeployment['apply']>[0];
}

function secretsOf(manifests: readonly Manifest[]): Secrets {
  const secrets = manifests.filter(({ kind }) => kind === 'Secret') as (Manifest & {
    readonly stringData: Readonly<Record<string, string>>;
  })[];
  return Object.fromEntries(secrets.map(({ metadata, stringData }) => [metadata.name, stringData]));
}

function linesOf(log: string): LogLine[] {
  const lines = log.split('\n').filter((line) => line.startsWith('{'));
  return lines.map((line) => JSON.parse(line) as LogLine);
}

function print(
  version: number,
  accounts: readonly BlockAccount[],
  speakers: readonly { moves: number; pausesMs: number[] }[],
) {
  for (const account of accounts.filter((one) => !isClean(one))) console.log(formatAccount(account));
  const sum = (of: (account: BlockAccount) => number) => accounts.reduce((total, one) => total + of(one), 0);
  const moves = speakers.reduce((total, one) => total + one.moves, 0);
  const longest = Math.round(Math.max(0, ...speakers.flatMap(({ pausesMs }) => pausesMs)));
  const faults = `${sum(({ lost }) => lost.length)} lost, ${sum(({ doubled }) => doubled.length)} doubled`;
  console.log(`version ${version}: ${accounts.length} clients, ${moves} moves, longest pause ${longest} ms`);
  console.log(`version ${version}: ${sum(({ sent }) => sent)} blocks of 20 ms, ${faults}`);
}
