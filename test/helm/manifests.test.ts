import type { IDeployment } from 'kubernetes-models/apps/v1';
import type { ISecret } from 'kubernetes-models/v1';
import { beforeAll, describe, expect, it } from 'vitest';
import { parseApiKeys, principalOfKey } from '../../src/auth/api-keys.ts';
import { loadConfig } from '../../src/config/load.ts';
import type { Config } from '../../src/config/schema.ts';
import {
  HELM_VERSIONS,
  INSTALLATIONS,
  type Manifest,
  parseManifests,
  render,
  valuesOf,
  withoutChance,
} from './helm.ts';
import { brokenRules } from './manifest-rules.ts';
import { ManifestSchema } from './manifest-schema.ts';

/** One with everything that the chart can make. */
const FULL = 'full-values.yaml';
const SCHEMA_MS = 30_000;

let schema: ManifestSchema;

beforeAll(() => {
  schema = new ManifestSchema();
}, SCHEMA_MS);

/** The configuration that a pod starts with; throws as the gateway would. */
function configOf(manifests: readonly Manifest[]): Config {
  const { spec } = manifests.find(({ kind }) => kind === 'Deployment') as IDeployment;
  const [container] = spec?.template.spec?.containers ?? [];
  // The schema and the rules have seen the references; here any value that a Secret may hold does.
  const stored = (name: string) =>
    name === 'REDIS_URL' ? 'redis://redis:6379' : 'a secret as long as those that are made';
  return loadConfig(Object.fromEntries((container?.env ?? []).map(({ name, value }) => [name, value ?? stored(name)])));
}

/** A copy with the value at a path set, or removed if it is undefined. In a path `~1` is a slash of a name. */
function changed(manifests: readonly Manifest[], kind: string, path: string, value: unknown): Manifest[] {
  const copy = structuredClone(manifests) as Manifest[];
  const keys = path.split('/').map((key) => key.replace('~1', '/'));
  const last = keys.pop() ?? '';
  let place = copy.find((one) => one.kind === kind) as unknown as Record<string, unknown> | undefined;
  for (const key of keys) place = place?.[key] as Record<string, unknown> | undefined;
  if (place === undefined) throw new Error(`${kind} has no ${path}`);
  if (value === undefined) delete place[last];
  else place[last] = value;
  return copy;
}

describe.each(HELM_VERSIONS)('the chart under %s', (version) => {
  it.each(INSTALLATIONS)('renders %s to manifests that Kubernetes knows and our rules allow', (installation) => {
    const manifests = parseManifests(render(version, ...valuesOf(installation)));
    expect(manifests.flatMap((manifest) => schema.faultsOf(manifest))).toEqual([]);
    expect(brokenRules(manifests)).toEqual([]);
  });

  it.each(INSTALLATIONS)('gives the gateway of %s settings that it starts with', (installation) => {
    const manifests = parseManifests(render(version, ...valuesOf(installation)));
    const config = configOf(manifests);
    const { spec } = manifests.find(({ kind }) => kind === 'Deployment') as IDeployment;
    const ports = spec?.template.spec?.containers[0]?.ports;
    expect(ports).toEqual([
      { name: 'http', containerPort: config.port },
      { name: 'admin', containerPort: config.adminPort },
    ]);
    if ((spec?.replicas ?? 1) > 1 || config.workers > 1) expect(config.redisUrl).toBeDefined();
  });

  it('renders without values what the snapshot shows', async () => {
    await expect(withoutChance(render(version))).toMatchFileSnapshot('default.golden.yaml');
  });
});

describe('every value', () => {
  it('reaches the gateway or the pod', () => {
    const [version] = HELM_VERSIONS;
    const manifests = parseManifests(render(version, ...valuesOf(FULL)));
    expect(configOf(manifests)).toMatchObject({
      environment: 'production',
      port: 8000,
      adminPort: 9000,
      workers: 4,
      engine: 'aws',
      awsEndpoint: 'https://transcribe.example.com',
      drainTimeoutMs: 120_000,
      logLevel: 'warn',
      redisPrefix: 'production:',
      auth: 'jwt',
      jwtJwksUrl: 'https://issuer.example.com/.well-known/jwks.json',
      jwtIssuer: 'https://issuer.example.com',
      jwtAudience: 'speech',
      allowedOrigins: ['https://app.example.com', 'https://*.example.org'],
    });
    expect(JSON.parse(configOf(manifests).awsPool ?? '')).toEqual([
      { name: 'home', region: 'us-east-1', weight: 3 },
      {
        name: 'reserve',
        region: 'us-west-2',
        role_arn: 'arn:aws:iam::123456789012:role/transcribe',
        priority: 2,
      },
    ]);
    const { spec } = manifests.find(({ kind }) => kind === 'Deployment') as IDeployment;
    expect(spec?.replicas).toBe(2);
    expect(spec?.template.spec).toMatchObject({
      terminationGracePeriodSeconds: 135,
      serviceAccountName: 'transcriber',
      imagePullSecrets: [{ name: 'registry' }],
      nodeSelector: { 'kubernetes.io/arch': 'amd64' },
      tolerations: [{ key: 'speech', operator: 'Exists' }],
      containers: [{ image: 'registry.example.com/transcribe-gateway:0.1.0', imagePullPolicy: 'Always' }],
    });
    expect(manifests.find(({ kind }) => kind === 'Secret')).toMatchObject({
      stringData: { url: 'rediss://user:p%40ss@redis.example.com:6380/0' },
    });
  });

  it.each(HELM_VERSIONS)('for nobody makes a key that the gateway knows by its hash, under %s', (version) => {
    const manifests = parseManifests(render(version));
    const { stringData } = manifests.find(({ kind }) => kind === 'Secret') as ISecret;
    const { key = '', 'keys.json': file = '', tokenSecret = '' } = stringData ?? {};
    expect(principalOfKey(key, parseApiKeys(file), Date.now())).toMatchObject({ tenant: 'default' });
    expect(new Set([key, tokenSecret, render(version)]).size).toBe(3);
    expect(configOf(manifests)).toMatchObject({ auth: 'api_key', apiKeysFile: '/etc/transcribe-gateway/keys.json' });
  });

  it('for keys of your own replaces the one that is made', () => {
    const manifests = parseManifests(render('helm-4', ...valuesOf('production-values.yaml')));
    expect(manifests.map(({ kind }) => kind)).not.toContain('Secret');
    const { spec } = manifests.find(({ kind }) => kind === 'Deployment') as IDeployment;
    const volume = spec?.template.spec?.volumes?.find(({ name }) => name === 'keys');
    expect(volume?.secret).toEqual({
      secretName: 'transcribe-gateway-keys',
      items: [{ key: 'keys.json', path: 'keys.json' }],
    });
  });

  it('for an open door says so to the gateway', () => {
    const config = configOf(parseManifests(render('helm-4', '--set', 'auth.mode=none')));
    expect(config).toMatchObject({ auth: 'none', authNoneInProduction: 'yes' });
  });

  it('of null takes a limit away, which production does with the CPU', () => {
    const manifests = parseManifests(render('helm-3', ...valuesOf('production-values.yaml')));
    const { spec } = manifests.find(({ kind }) => kind === 'Deployment') as IDeployment;
    expect(spec?.template.spec?.containers[0]?.resources?.limits).toEqual({ memory: '1536Mi' });
  });

  it('for Redis leads to new pods when it changes, although they take it from a Secret', () => {
    const checksum = (url: string) => {
      const manifests = parseManifests(render('helm-4', '--set', `redis.url=${url}`));
      const { spec } = manifests.find(({ kind }) => kind === 'Deployment') as IDeployment;
      return spec?.template.metadata?.annotations?.['checksum/redis'];
    };
    expect(checksum('redis://a')).toMatch(/^[0-9a-f]{64}$/);
    expect(checksum('redis://a')).not.toBe(checksum('redis://b'));
  });
});

describe('the checks themselves', () => {
  let manifests: readonly Manifest[];
  beforeAll(() => {
    manifests = parseManifests(render('helm-4', ...valuesOf(FULL), '--set', 'serviceAccount.create=true'));
  });

  const POD = 'spec/template/spec';
  const CONTAINER = `${POD}/containers/0`;

  it.each([
    ['Deployment', `${CONTAINER}/readinesProbe`, { httpGet: { port: 'admin' } }],
    ['Deployment', `${CONTAINER}/resources/limits/memory`, 'much'],
    ['Deployment', `${CONTAINER}/lifecycle/preStop/sleep/seconds`, '5s'],
    ['Deployment', 'spec/replicas', 'three'],
    ['Deployment', 'spec/template/metadata/label', {}],
    ['PodDisruptionBudget', 'spec/maxUnavailble', 1],
    ['PodDisruptionBudget', 'spec/unhealthyPodEvictionPolicy', 3],
    ['Secret', 'stringdata', {}],
    ['Service', 'spec/ports/0/targetport', 'http'],
    ['Service', 'spec/ports/0/port', 'http'],
    ['ServiceAccount', 'automountServiceAccountTokens', false],
  ])('refuse a %s with a wrong %s', (kind, path, value) => {
    expect(manifests.flatMap((manifest) => schema.faultsOf(manifest))).toEqual([]);
    const faults = changed(manifests, kind, path, value).flatMap((manifest) => schema.faultsOf(manifest));
    expect(faults.join()).toContain(`/${kind} `);
  });

  it('refuse a kind that they have no schema of', () => {
    const [first] = changed(manifests, 'Service', 'kind', 'Ingress').filter(({ kind }) => kind === 'Ingress');
    expect(first && schema.faultsOf(first)).toEqual(['v1/Ingress is not in kinds.ts']);
  });

  it.each([
    ['a selector of other pods', 'Deployment', 'spec/selector/matchLabels/app.kubernetes.io~1name', 'other', 'selects'],
    ['the tag latest', 'Deployment', `${CONTAINER}/image`, 'registry:5000/gateway:latest', 'no certain version'],
    ['no tag', 'Deployment', `${CONTAINER}/image`, 'registry:5000/gateway', 'no certain version'],
    ['no memory limit', 'Deployment', `${CONTAINER}/resources/limits`, undefined, 'memory has no limit'],
    ['no requests', 'Deployment', `${CONTAINER}/resources/requests`, undefined, 'no CPU is requested'],
    ['no startup probe', 'Deployment', `${CONTAINER}/startupProbe`, undefined, 'no startupProbe'],
    ['a probe without handler', 'Deployment', `${CONTAINER}/livenessProbe/httpGet`, undefined, 'not one handler'],
    ['a probe of no port', 'Deployment', `${CONTAINER}/readinessProbe/httpGet/port`, 'health', 'port that'],
    ['a mount of no volume', 'Deployment', `${POD}/volumes`, undefined, 'nothing is the volume tmp'],
    ['a volume that is not mounted', 'Deployment', `${CONTAINER}/volumeMounts`, undefined, 'nobody mounts'],
    ['a root user', 'Deployment', `${POD}/securityContext/runAsUser`, 0, 'no user of its own'],
    ['a pod that may be root', 'Deployment', `${POD}/securityContext/runAsNonRoot`, undefined, 'may run as root'],
    ['no seccomp profile', 'Deployment', `${POD}/securityContext/seccompProfile`, undefined, 'seccomp'],
    ['capabilities', 'Deployment', `${CONTAINER}/securityContext/capabilities`, undefined, 'capabilities are kept'],
    ['a writable root', 'Deployment', `${CONTAINER}/securityContext/readOnlyRootFilesystem`, false, 'can be written'],
    ['privileges', 'Deployment', `${CONTAINER}/securityContext/allowPrivilegeEscalation`, undefined, 'may be raised'],
    ['the network of the host', 'Deployment', `${POD}/hostNetwork`, true, 'namespace of the host'],
    ['a path of the host', 'Deployment', `${POD}/volumes/0/hostPath`, { path: '/' }, 'path of the host'],
    ['service links', 'Deployment', `${POD}/enableServiceLinks`, undefined, 'service links are on'],
    ['a token', 'Deployment', `${POD}/automountServiceAccountToken`, undefined, 'token of the Kubernetes API'],
    ['a short grace', 'Deployment', `${POD}/terminationGracePeriodSeconds`, 131, 'cuts the drain'],
    ['no grace', 'Deployment', `${POD}/terminationGracePeriodSeconds`, undefined, 'the grace of 30 s cuts the drain'],
    ['no preStop', 'Deployment', `${CONTAINER}/lifecycle`, undefined, 'ends before the Services know'],
    ['a variable twice', 'Deployment', `${CONTAINER}/env/0`, { name: 'PORT', value: '1' }, 'PORT stands twice'],
    ['no label', 'Secret', 'metadata/labels', undefined, 'has no label'],
    ['a name that is none', 'Service', 'metadata/name', 'Gateway', 'has the name Gateway'],
    ['a Service of no pods', 'Service', 'spec/selector', { app: 'x' }, 'selects no pod'],
    ['a Service of no port', 'Service', 'spec/ports/0/targetPort', 'https', 'which no container has'],
    ['a Service for the internet', 'Service', 'spec/type', 'LoadBalancer', 'more than the cluster'],
    ['a Service of both ports', 'Service', 'spec/ports/1', { port: 1, targetPort: 'http' }, 'mixes in the admin port'],
    ['a budget with two bounds', 'PodDisruptionBudget', 'spec/minAvailable', 1, 'not one bound'],
    ['a budget of nothing', 'PodDisruptionBudget', 'spec/maxUnavailable', 0, 'lets no node be drained'],
    ['a budget of no pods', 'PodDisruptionBudget', 'spec/selector/matchLabels', { app: 'x' }, 'selects no pod'],
  ])('refuse %s', (_name, kind, path, value, fault) => {
    expect(brokenRules(manifests)).toEqual([]);
    const parts = changed(manifests, kind, path, value);
    expect(brokenRules(parts).join('\n')).toContain(fault);
  });

  it('refuse two of the same name', () => {
    expect(brokenRules([...manifests, ...manifests]).join()).toContain('stands twice');
  });

  it('refuse a setting that the gateway does not know', () => {
    const renamed = changed(manifests, 'Deployment', `${CONTAINER}/env/1/name`, 'GATEWAY_PORTS');
    expect(() => configOf(renamed)).toThrow('GATEWAY_PORTS');
  });
});
