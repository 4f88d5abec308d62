import type { IDeployment } from 'kubernetes-models/apps/v1';
import type { ISecret } from 'kubernetes-models/v1';
import { describe, expect, it } from 'vitest';
import { parseApiKeys, principalOfKey } from '../../src/auth/api-keys.ts';
import { configOf } from './gateway-config.ts';
import { CHART, HELM_VERSIONS, helm, type Manifest, ofKind, parseManifests, render, valuesOf } from './helm.ts';
import { brokenRules } from './manifest-rules.ts';

const EVERYTHING = parseManifests(render('helm-4', ...valuesOf('everything-values.yaml')));
const SHARED = 'redis.existingSecret=redis';

/** The chart with some values set. */
function rendered(...sets: readonly string[]): Manifest[] {
  return parseManifests(render('helm-4', ...sets.flatMap((set) => ['--set', set])));
}

function deploymentOf(manifests: readonly Manifest[]) {
  const [deployment] = ofKind<IDeployment>(manifests, 'Deployment');
  return deployment?.spec ?? expect.fail('no Deployment');
}

describe('every value', () => {
  it('that is a setting reaches the gateway', () => {
    const config = configOf(EVERYTHING);
    expect(config).toMatchObject({
      environment: 'production',
      port: 8000,
      adminPort: 9000,
      workers: 4,
      trustedProxies: 2,
      engine: 'aws',
      awsEndpoint: 'https://transcribe.example.com',
      drainTimeoutMs: 120_000,
      logLevel: 'warn',
      redisPrefix: 'production:',
      redisCaFile: '/etc/transcribe-gateway-redis/ca.crt',
      auth: 'jwt',
      jwtJwksUrl: 'https://issuer.example.com/.well-known/jwks.json',
      jwtIssuer: 'https://issuer.example.com',
      jwtAudience: 'speech',
      allowedOrigins: ['https://app.example.com', 'https://*.example.org'],
    });
    expect(JSON.parse(config.awsPool ?? '')).toEqual([
      { name: 'home', region: 'us-east-1', weight: 3 },
      { name: 'reserve', region: 'us-west-2', role_arn: 'arn:aws:iam::123456789012:role/transcribe', priority: 2 },
    ]);
  });

  it('that is about the pod reaches the pod', () => {
    const { template } = deploymentOf(EVERYTHING);
    expect(template.metadata).toMatchObject({
      labels: { 'example.com/team': 'speech' },
      annotations: { 'prometheus.io/port': '9000', 'checksum/redis': expect.stringMatching(/^[0-9a-f]{64}$/) },
    });
    expect(template.spec).toMatchObject({
      terminationGracePeriodSeconds: 135,
      serviceAccountName: 'transcriber',
      priorityClassName: 'speech',
      securityContext: { runAsUser: 12345 },
      imagePullSecrets: [{ name: 'registry' }],
      nodeSelector: { 'kubernetes.io/arch': 'amd64' },
      tolerations: [{ key: 'speech', operator: 'Exists' }],
      topologySpreadConstraints: [{ topologyKey: 'kubernetes.io/hostname', whenUnsatisfiable: 'DoNotSchedule' }],
      containers: [
        {
          image: expect.stringMatching(/^registry\.example\.com\/transcribe-gateway:0\.1\.0@sha256:[0-9a-f]{64}$/),
          imagePullPolicy: 'Always',
        },
      ],
    });
    expect(ofKind(EVERYTHING, 'Secret')).toMatchObject([
      { stringData: { url: 'rediss://user:p%40ss@redis.example.com:6380/0' } },
    ]);
  });

  it('that names a Secret of your own reaches who needs it, and replaces the one that the chart makes', () => {
    const { volumes } = deploymentOf(EVERYTHING).template.spec ?? {};
    expect(volumes?.find(({ name }) => name === 'redis-ca')?.secret).toEqual({
      secretName: 'redis-tls',
      items: [{ key: 'tls.crt', path: 'ca.crt' }],
    });
    const env = deploymentOf(EVERYTHING).template.spec?.containers[0]?.env ?? [];
    const reference = (name: string) => env.find((one) => one.name === name)?.valueFrom?.secretKeyRef;
    expect(reference('AWS_ACCESS_KEY_ID')).toEqual({ name: 'aws', key: 'AWS_ACCESS_KEY_ID' });
    expect(reference('AWS_SECRET_ACCESS_KEY')).toEqual({ name: 'aws', key: 'AWS_SECRET_ACCESS_KEY' });
    const production = parseManifests(render('helm-4', ...valuesOf('production-values.yaml')));
    expect(ofKind(production, 'Secret')).toEqual([]);
    expect(deploymentOf(production).template.spec?.volumes?.find(({ name }) => name === 'keys')?.secret).toEqual({
      secretName: 'transcribe-gateway-keys',
      items: [{ key: 'keys.json', path: 'keys.json' }],
    });
  });

  it('that is further manifests is rendered, and filled in', () => {
    expect(EVERYTHING).toContainEqual(
      expect.objectContaining({ kind: 'ConfigMap', data: { port: '8000' }, metadata: expect.anything() }),
    );
  });
});

describe('the values', () => {
  it.each(HELM_VERSIONS)('for nobody make a key that the gateway knows by its hash, under %s', (version) => {
    const manifests = parseManifests(render(version));
    const [secret] = ofKind<ISecret>(manifests, 'Secret');
    const { key = '', 'keys.json': file = '', tokenSecret = '' } = secret?.stringData ?? {};
    expect(principalOfKey(key, parseApiKeys(file), Date.now())).toMatchObject({ tenant: 'default' });
    expect(new Set([key, tokenSecret, render(version)]).size).toBe(3);
    expect(configOf(manifests)).toMatchObject({ auth: 'api_key', apiKeysFile: '/etc/transcribe-gateway/keys.json' });
  });

  it('for production are three: engine, Redis and who may come in', () => {
    const production = rendered('engine=aws,aws.region=eu-central-1', SHARED, 'auth.existingSecret=keys');
    expect(configOf(production)).toMatchObject({ engine: 'aws', auth: 'api_key', redisUrl: expect.anything() });
  });

  it.each(['gateway-api', 'hpa', 'ingress', 'keda'])('for %s go on top of those for production', (example) => {
    const files = [...valuesOf('production-values.yaml'), ...valuesOf(`${example}-values.yaml`)];
    const manifests = parseManifests(render('helm-4', ...files));
    expect(brokenRules(manifests)).toEqual([]);
    expect(configOf(manifests)).toMatchObject({ engine: 'aws', auth: 'api_key' });
  });

  it('for an open door say so to the gateway', () => {
    expect(configOf(rendered('auth.mode=none'))).toMatchObject({ auth: 'none', authNoneInProduction: 'yes' });
  });

  it('take a limit away by null, as production does with the CPU, and the user, as OpenShift wants', () => {
    const manifests = parseManifests(
      render('helm-3', ...valuesOf('production-values.yaml'), '--set', 'runAsUser=null'),
    );
    const { containers = [], securityContext } = deploymentOf(manifests).template.spec ?? {};
    expect(containers[0]?.resources?.limits).toEqual({ memory: '1536Mi' });
    expect(securityContext).toEqual({ runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } });
  });

  it('for Redis lead to new pods when they change, although they are in a Secret', () => {
    const checksum = (url: string) =>
      deploymentOf(rendered(`redis.url=${url}`)).template.metadata?.annotations?.['checksum/redis'];
    expect(checksum('redis://a')).not.toBe(checksum('redis://b'));
  });

  it('for an autoscaler leave the number of pods to it, whatever replicaCount says', () => {
    const scaled = rendered(SHARED, 'replicaCount=7', 'autoscaling.mode=prometheus-adapter');
    expect(deploymentOf(scaled).replicas).toBeUndefined();
    expect(ofKind(scaled, 'HorizontalPodAutoscaler')).toMatchObject([{ spec: { minReplicas: 2, maxReplicas: 10 } }]);
    expect(ofKind(rendered(SHARED, 'replicaCount=7'), 'HorizontalPodAutoscaler')).toEqual([]);
  });

  it('for egress let out what the gateway needs, by the ports that its URLs name', () => {
    const ports = (...sets: readonly string[]) => {
      const on = 'networkPolicy.enabled=true,networkPolicy.egress.enabled=true';
      const [policy] = ofKind<{ spec: { egress: { ports: { port: number }[] }[] } }>(
        rendered(on, ...sets) as never,
        'NetworkPolicy',
      );
      return policy?.spec.egress.map((rule) => rule.ports.map(({ port }) => port));
    };
    expect(ports()).toEqual([[53, 53]]);
    expect(ports('redis.url=redis://redis:7000/1')).toEqual([
      [53, 53],
      [6379, 7000],
    ]);
    expect(ports('engine=aws,aws.region=eu-central-1,aws.endpoint=http://emulator:8443')).toEqual([
      [53, 53],
      [443, 8443],
      [80],
    ]);
    expect(ports('auth.mode=jwt,auth.jwt.audience=a,auth.jwt.jwksUrl=http://issuer/keys')).toEqual([[53, 53], [80]]);
  });

  it('of a long release keep the name of the probe short, and such that its alert finds it', () => {
    const probe = (release: string, ...sets: readonly string[]) => {
      const args = ['probe.enabled=true', ...sets].flatMap((set) => ['--set', set]);
      const manifests = parseManifests(helm('helm-4', 'template', release, CHART, ...args));
      return ofKind(manifests, 'CronJob')[0]?.metadata.name ?? '';
    };
    const long = 'a-release-whose-name-is-as-long-as-helm-allows-it-to';
    for (const name of [probe('short'), probe(long), probe('short', 'fullnameOverride=speech')]) {
      expect(name).toMatch(/^[a-z-]{1,28}transcribe-gateway-probe$/);
      expect(name.length).toBeLessThanOrEqual(52);
    }
  });
});
