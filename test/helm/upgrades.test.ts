import type { IDeployment } from 'kubernetes-models/apps/v1';
import type { ISecret } from 'kubernetes-models/v1';
import { afterEach, describe, expect, it } from 'vitest';
import { FakeCluster } from './fake-cluster.ts';
import { CHART, HELM_VERSIONS, type HelmVersion, helmAsync, type Manifest, ofKind, parseManifests } from './helm.ts';

const NAME = 'release-transcribe-gateway';
const SCALED = 'redis.url=redis://a,autoscaling.mode=prometheus-adapter';

let cluster: FakeCluster | undefined;

afterEach(async () => {
  await cluster?.close();
  cluster = undefined;
});

/** What is rendered where a cluster has these objects already. */
async function upgraded(
  version: HelmVersion,
  objects: Parameters<typeof FakeCluster.with>[0],
  set = 'replicaCount=1',
): Promise<Manifest[]> {
  cluster = await FakeCluster.with(objects);
  return parseManifests(await helmAsync(version, 'template', 'release', CHART, '--set', set, ...cluster.arguments));
}

/** As helm marks what belongs to a release, without which it would not touch it. */
function ofRelease(name: string) {
  const annotations = { 'meta.helm.sh/release-name': 'release', 'meta.helm.sh/release-namespace': 'default' };
  return { name, labels: { 'app.kubernetes.io/managed-by': 'Helm' }, annotations };
}

function deploymentWith(replicas: number) {
  return { apiVersion: 'apps/v1', kind: 'Deployment', metadata: ofRelease(NAME), spec: { replicas } };
}

function secretWith(data: Readonly<Record<string, string>>) {
  return { apiVersion: 'v1', kind: 'Secret', metadata: ofRelease(`${NAME}-api-key`), data };
}

describe.each(HELM_VERSIONS)('an upgrade under %s', (version) => {
  it('keeps the key and the secret of tokens that the installation has made', async () => {
    const base64 = (text: string) => Buffer.from(text).toString('base64');
    const secret = secretWith({ key: base64('tgk_kept'), tokenSecret: base64('kept too') });
    const manifests = await upgraded(version, [secret]);
    expect(ofKind<ISecret>(manifests, 'Secret')).toMatchObject([
      { stringData: { key: 'tgk_kept', tokenSecret: 'kept too' } },
    ]);
  });

  it('makes a key where there is none, the first time', async () => {
    const [secret] = ofKind<ISecret>(await upgraded(version, []), 'Secret');
    expect(secret?.stringData?.key).toMatch(/^tgk_\w{43}$/);
  });

  it.each([
    // What the last upgrade said does not matter: the autoscaler has gone on since.
    ['keeps the number of pods that an autoscaler has come to', [deploymentWith(7)], SCALED, 7],
    ['says no number for an autoscaler where there are no pods yet', [], SCALED, undefined],
    ['sets the number that it is told without one', [deploymentWith(7)], 'redis.url=redis://a,replicaCount=3', 3],
  ])('%s', async (_name, objects, set, replicas) => {
    const [deployment] = ofKind<IDeployment>(await upgraded(version, objects, set), 'Deployment');
    expect(deployment?.spec?.replicas).toBe(replicas);
  });
});
