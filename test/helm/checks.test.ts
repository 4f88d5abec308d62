import { beforeAll, describe, expect, it } from 'vitest';
import { configOf } from './gateway-config.ts';
import { type Manifest, parseManifests, render, valuesOf } from './helm.ts';
import { brokenRules } from './manifest-rules.ts';
import { ManifestSchema } from './manifest-schema.ts';

const SCHEMA_MS = 30_000;

let schema: ManifestSchema;
/** One with nearly every kind. */
let everything: readonly Manifest[];
let byKeda: readonly Manifest[];
let byEnvoy: readonly Manifest[];

beforeAll(() => {
  schema = new ManifestSchema();
  const account = ['--set', 'serviceAccount.create=true'];
  everything = parseManifests(render('helm-4', ...valuesOf('everything-values.yaml'), ...account));
  byKeda = parseManifests(render('helm-4', ...valuesOf('keda-values.yaml')));
  byEnvoy = parseManifests(render('helm-4', ...valuesOf('gateway-api-values.yaml')));
}, SCHEMA_MS);

/** What has a kind. */
function manifestsWith(kind: string): readonly Manifest[] {
  if (kind === 'ScaledObject') return byKeda;
  return kind === 'BackendTrafficPolicy' ? byEnvoy : everything;
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

const POD = 'spec/template/spec';
const CONTAINER = `${POD}/containers/0`;
const SERVICE = 'spec/rules/0/http/paths/0/backend/service';
const BALANCER = 'spec/trafficPolicy/loadBalancer';
const RULE = 'spec/groups/0/rules/0';
const ASKING = 'spec/jobTemplate/spec/template/spec';

describe('the schemas of Kubernetes and its extensions', () => {
  it.each([
    ['BackendTrafficPolicy', 'spec/loadBalancer/consistentHash/queryParam', []],
    ['BackendTrafficPolicy', 'spec/loadBalancer/type', 'Hash'],
    ['ConfigMap', 'dates', {}],
    ['ConfigMap', 'data', { port: 8000 }],
    ['CronJob', 'spec/jobTemplate/spec/backofLimit', 0],
    ['CronJob', 'spec/concurrencyPolicy', 'Never'],
    ['Deployment', `${CONTAINER}/readinesProbe`, { httpGet: { port: 'admin' } }],
    ['Deployment', `${CONTAINER}/resources/limits/memory`, 'much'],
    ['Deployment', `${CONTAINER}/lifecycle/preStop/sleep/seconds`, '5s'],
    ['Deployment', 'spec/replicas', 'three'],
    ['Deployment', 'spec/template/metadata/label', {}],
    ['DestinationRule', 'spec/trafficPolicy/loadBalancer/consistentHash/httpQueryParameter', 'cid'],
    ['HTTPRoute', 'spec/rules/0/backendRefs/0/service', 'speech'],
    ['HTTPRoute', 'spec/rules/0/timeouts/request', 'long'],
    ['HorizontalPodAutoscaler', 'spec/minReplica', 1],
    ['HorizontalPodAutoscaler', 'spec/minReplicas', 'two'],
    ['Ingress', 'spec/rules/0/http/paths/0/pathtype', 'Prefix'],
    ['Ingress', 'spec/rules/0/http/paths/0/backend/service/port', 80],
    ['NetworkPolicy', 'spec/ingress/0/form', []],
    ['NetworkPolicy', 'spec/ingress/0/ports/0/port', {}],
    ['Pod', 'spec/activeDeadline', 60],
    ['PodDisruptionBudget', 'spec/maxUnavailble', 1],
    ['PodDisruptionBudget', 'spec/unhealthyPodEvictionPolicy', 3],
    ['PrometheusRule', 'spec/groups/0/rules/0/runbook_url', 'https://a'],
    ['PrometheusRule', 'spec/groups/0/rules/0/for', '3 minutes'],
    ['ScaledObject', 'spec/minReplicas', 1],
    ['ScaledObject', 'spec/triggers/0/metadata/threshold', 100],
    ['Secret', 'stringdata', {}],
    ['Service', 'spec/ports/0/targetport', 'http'],
    ['Service', 'spec/ports/0/port', 'http'],
    ['ServiceAccount', 'automountServiceAccountTokens', false],
    ['ServiceMonitor', 'spec/endpoints/0/scrapetimeout', '5s'],
    ['ServiceMonitor', 'spec/endpoints/0/interval', 'often'],
  ])('refuse a %s with a wrong %s', (kind, path, value) => {
    const manifests = manifestsWith(kind);
    expect(manifests.flatMap((manifest) => schema.faultsOf(manifest))).toEqual([]);
    const faults = changed(manifests, kind, path, value).flatMap((manifest) => schema.faultsOf(manifest));
    expect(faults.join()).toContain(`/${kind} `);
  });

  it('refuse a kind that they have no schema of', () => {
    const [first] = changed(everything, 'Service', 'kind', 'Gateway').filter(({ kind }) => kind === 'Gateway');
    expect(first && schema.faultsOf(first)).toEqual(['v1/Gateway is not in kinds.ts']);
  });
});

describe('our rules', () => {
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
    ['a budget for the broken', 'PodDisruptionBudget', 'spec/unhealthyPodEvictionPolicy', undefined, 'not ready'],
    ['no budget', 'PodDisruptionBudget', 'kind', 'Budget', 'may be evicted at once'],
    ['a route to no Service', 'HTTPRoute', 'spec/rules/0/backendRefs/0/name', 'other', 'leads to no Service'],
    ['a route to no port', 'HTTPRoute', 'spec/rules/0/backendRefs/0/port', 81, 'leads to no port'],
    [
      'a route to the admin port',
      'HTTPRoute',
      'spec/rules/0/backendRefs/0',
      { name: 'speech-admin', port: 9000 },
      'leads to the port admin',
    ],
    ['an Ingress to no Service', 'Ingress', `${SERVICE}/name`, 'other', 'leads to no Service'],
    ['an Ingress to no port', 'Ingress', `${SERVICE}/port`, { name: 'https' }, 'leads to no port'],
    ['stickiness of nothing', 'DestinationRule', 'spec/host', 'other', 'is for nothing'],
    [
      'stickiness by sid',
      'DestinationRule',
      `${BALANCER}/consistentHash`,
      { httpQueryParameterName: 'sid' },
      'does not keep clients by cid',
    ],
    ['stickiness of no route', 'BackendTrafficPolicy', 'spec/targetRefs/0/name', 'other', 'is for nothing'],
    ['a policy of no pods', 'NetworkPolicy', 'spec/podSelector/matchLabels', { app: 'x' }, 'selects no pod'],
    ['a policy for no client', 'NetworkPolicy', 'spec/ingress/0/ports/0/port', 'admin', 'lets no client in'],
    ['a policy of no port', 'NetworkPolicy', 'spec/ingress/0/ports/0/port', 'https', 'which no container has'],
    ['a policy of every port', 'NetworkPolicy', 'spec/ingress/1/ports', undefined, 'opens every port'],
    ['the admin port for all', 'NetworkPolicy', 'spec/ingress/1/from', undefined, 'opens the admin port to all'],
    ['a replica count beside a scaler', 'Deployment', 'spec/replicas', 3, 'pull at one Deployment'],
    ['a scaler of nothing', 'HorizontalPodAutoscaler', 'spec/scaleTargetRef/name', 'other', 'scales no Deployment'],
    ['a scaler to fewer', 'HorizontalPodAutoscaler', 'spec/maxReplicas', 1, 'scales from 2 to 1'],
    [
      'a scaler by no metric',
      'HorizontalPodAutoscaler',
      'spec/metrics/0/pods/metric/name',
      'transcribe_gateway_sesions',
      'is no metric',
    ],
    ['a hasty scaler', 'HorizontalPodAutoscaler', 'spec/behavior/scaleDown', undefined, 'scales down at once'],
    ['a KEDA by no metric', 'ScaledObject', 'spec/triggers/0/metadata/query', 'sum(sessions)', 'is no metric'],
    ['a KEDA by nothing', 'ScaledObject', 'spec/triggers', [], 'counts nothing'],
    ['a hasty KEDA', 'ScaledObject', 'spec/advanced', undefined, 'scales down at once'],
    ['a monitor of no Service', 'ServiceMonitor', 'spec/selector/matchLabels', { app: 'x' }, 'selects 0 Services'],
    ['a monitor of no port', 'ServiceMonitor', 'spec/endpoints/0/port', 'http', 'scrapes no port'],
    ['a monitor of ready pods', 'Service', 'spec/publishNotReadyAddresses', undefined, 'loses sight of pods'],
    ['an alert of no severity', 'PrometheusRule', 'spec/groups/0/rules/0/labels', undefined, 'has no severity'],
    ['an alert of no runbook', 'PrometheusRule', `${RULE}/annotations/runbook_url`, undefined, 'has no runbook_url'],
    ['an alert that is always new', 'PrometheusRule', `${RULE}/labels/at`, '{{ $value }}', 'new each time'],
    ['a CronJob of a long name', 'CronJob', 'metadata/name', 'a'.repeat(53), 'too long a name'],
    ['a CronJob beside itself', 'CronJob', 'spec/concurrencyPolicy', undefined, 'twice at a time'],
    ['a CronJob without end', 'CronJob', 'spec/jobTemplate/spec/activeDeadlineSeconds', undefined, 'for ever'],
    ['a CronJob that hides a failure', 'CronJob', 'spec/jobTemplate/spec/backoffLimit', 3, 'hides that it failed'],
    ['a Job that hides a failure', 'CronJob', `${ASKING}/restartPolicy`, 'OnFailure', 'hides that it failed'],
    ['a Job of no version', 'CronJob', `${ASKING}/containers/0/image`, 'gateway:latest', 'no certain version'],
    ['a Job that may be root', 'CronJob', `${ASKING}/securityContext`, undefined, 'may run as root'],
    ['a test without a limit', 'Pod', 'spec/containers/0/resources', undefined, 'memory has no limit'],
    ['a test with a token', 'Pod', 'spec/automountServiceAccountToken', undefined, 'token of the Kubernetes API'],
    [
      'a test that serves clients',
      'Pod',
      'metadata/labels/app.kubernetes.io~1name',
      'transcribe-gateway',
      'leads to a probe',
    ],
  ])('refuse %s', (_name, kind, path, value, fault) => {
    const manifests = manifestsWith(kind);
    expect(brokenRules(manifests)).toEqual([]);
    const parts = changed(manifests, kind, path, value);
    expect(brokenRules(parts).join('\n')).toContain(fault);
  });

  it('refuse two autoscalers', () => {
    const scalers = byKeda.filter(({ kind }) => kind === 'ScaledObject');
    expect(brokenRules([...everything, ...scalers]).join()).toContain('two autoscalers pull at one Deployment');
  });

  it('refuse two of the same name', () => {
    expect(brokenRules([...everything, ...everything]).join()).toContain('stands twice');
  });
});

it('refuses a setting that the gateway does not know', () => {
  const renamed = changed(everything, 'Deployment', `${CONTAINER}/env/1/name`, 'GATEWAY_PORTS');
  expect(() => configOf(renamed)).toThrow('GATEWAY_PORTS');
});
