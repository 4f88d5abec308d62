import type { IDeployment } from 'kubernetes-models/apps/v1';
import type { IPodDisruptionBudget } from 'kubernetes-models/policy/v1';
import type { IProbe, IService } from 'kubernetes-models/v1';
import type { Manifest } from './helm.ts';

type PodSpec = NonNullable<NonNullable<IDeployment['spec']>['template']['spec']>;
type Container = PodSpec['containers'][number];
type Labels = Readonly<Record<string, string>>;

/** What Kubernetes requires of a probe without its schema saying so. */
const HANDLERS = ['exec', 'grpc', 'httpGet', 'tcpSocket'] as const;
const PROBES = ['startupProbe', 'livenessProbe', 'readinessProbe'] as const;

const LABELS = ['app.kubernetes.io/name', 'app.kubernetes.io/instance', 'app.kubernetes.io/version', 'helm.sh/chart'];
const DNS_LABEL = /^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$/;

/**
 * What the schemas of Kubernetes let pass but would be wrong: that parts fit each other, and how this gateway is to be
 * run. Returns a line for each rule that is broken.
 */
export function brokenRules(manifests: readonly Manifest[]): string[] {
  const deployments = manifests.filter(({ kind }) => kind === 'Deployment') as IDeployment[];
  const pods = deployments.flatMap(({ spec }) => (spec === undefined ? [] : [spec.template]));
  return [
    ...manifests.flatMap(metadataFaults),
    ...repeated(manifests.map(({ kind, metadata }) => `${kind} ${metadata.name}`)),
    ...deployments.flatMap(({ spec }) =>
      selects(spec?.selector.matchLabels, spec?.template.metadata?.labels) ? [] : ['the Deployment selects other pods'],
    ),
    ...pods.flatMap(({ spec }) => (spec === undefined ? ['a pod without a spec'] : podFaults(spec))),
    ...manifests.flatMap((manifest) => {
      if (manifest.kind === 'Service') return serviceFaults(manifest as IService, pods);
      if (manifest.kind === 'PodDisruptionBudget') return budgetFaults(manifest as IPodDisruptionBudget, pods);
      return [];
    }),
  ];
}

type PodTemplate = NonNullable<IDeployment['spec']>['template'];

function metadataFaults({ kind, metadata }: Manifest): string[] {
  const missing = LABELS.filter((label) => metadata.labels?.[label] === undefined);
  return [
    ...(DNS_LABEL.test(metadata.name) ? [] : [`${kind} has the name ${metadata.name}`]),
    ...missing.map((label) => `${kind} ${metadata.name} has no label ${label}`),
  ];
}

function podFaults(spec: PodSpec): string[] {
  const { securityContext: security, volumes = [] } = spec;
  const faults: (string | false)[] = [
    spec.enableServiceLinks !== false && 'service links are on',
    spec.automountServiceAccountToken !== false && 'the pod has a token of the Kubernetes API',
    security?.runAsNonRoot !== true && 'the pod may run as root',
    (security?.runAsUser ?? 0) < 1000 && 'the pod has no user of its own',
    security?.seccompProfile?.type !== 'RuntimeDefault' && 'the pod has no seccomp profile',
    (spec.hostNetwork ?? spec.hostPID ?? spec.hostIPC ?? false) && 'the pod is in a namespace of the host',
    volumes.some(({ hostPath }) => hostPath !== undefined) && 'the pod has a path of the host',
  ];
  const mounted = spec.containers.flatMap(({ volumeMounts = [] }) => volumeMounts.map(({ name }) => name));
  const given = volumes.map(({ name }) => name);
  return [
    ...faults.filter((fault) => fault !== false),
    ...mounted.filter((name) => !given.includes(name)).map((name) => `nothing is the volume ${name}`),
    ...given.filter((name) => !mounted.includes(name)).map((name) => `nobody mounts the volume ${name}`),
    ...spec.containers.flatMap((container) => containerFaults(container, spec.terminationGracePeriodSeconds ?? 30)),
  ];
}

function containerFaults(container: Container, graceSeconds: number): string[] {
  const { env = [], image = '', lifecycle, resources, securityContext: security } = container;
  const drainMs = Number(env.find(({ name }) => name === 'GATEWAY_DRAIN_TIMEOUT_MS')?.value);
  const sleepSeconds = lifecycle?.preStop?.sleep?.seconds ?? 0;
  const faults: (string | false)[] = [
    (!/[:@][^/]+$/.test(image) || image.endsWith(':latest')) && `the image ${image} is no certain version`,
    resources?.requests?.cpu === undefined && 'no CPU is requested',
    resources?.requests?.memory === undefined && 'no memory is requested',
    resources?.limits?.memory === undefined && 'memory has no limit',
    security?.allowPrivilegeEscalation !== false && 'privileges may be raised',
    security?.readOnlyRootFilesystem !== true && 'the root file system can be written',
    !security?.capabilities?.drop?.includes('ALL') && 'capabilities are kept',
    sleepSeconds < 1 && 'the pod ends before the Services know',
    // What lifecycle.ts adds to the drain deadline before it ends the process is two seconds.
    !(graceSeconds >= sleepSeconds + drainMs / 1000 + 2) && `the grace of ${graceSeconds} s cuts the drain`,
  ];
  return [
    ...faults.filter((fault) => fault !== false),
    ...repeated(env.map(({ name }) => `the variable ${name}`)),
    ...PROBES.flatMap((name) => probeFaults(name, container[name], container)),
  ];
}

function probeFaults(name: string, probe: IProbe | undefined, { ports = [] }: Container): string[] {
  if (probe === undefined) return [`there is no ${name}`];
  if (HANDLERS.filter((handler) => probe[handler] !== undefined).length !== 1) return [`${name} has not one handler`];
  const port = probe.httpGet?.port;
  const isKnown = port === undefined || ports.some((one) => one.name === port || one.containerPort === port);
  return isKnown ? [] : [`${name} asks a port that the container has not`];
}

function serviceFaults({ metadata, spec }: IService, pods: readonly PodTemplate[]): string[] {
  const chosen = pods.filter((pod) => selects(spec?.selector, pod.metadata?.labels));
  if (chosen.length === 0) return [`Service ${metadata?.name} selects no pod`];
  const named = chosen.flatMap((pod) => pod.spec?.containers ?? []).flatMap(({ ports = [] }) => ports);
  const targets = (spec?.ports ?? []).map(({ targetPort }) => targetPort);
  const unknown = targets.filter((target) => !named.some(({ name }) => name === target));
  return [
    ...unknown.map((target) => `Service ${metadata?.name} leads to the port ${target}, which no container has`),
    ...(targets.length > 1 && targets.includes('admin') ? [`Service ${metadata?.name} mixes in the admin port`] : []),
    ...(spec?.type === 'ClusterIP' ? [] : [`Service ${metadata?.name} is open to more than the cluster`]),
  ];
}

function budgetFaults({ metadata, spec }: IPodDisruptionBudget, pods: readonly PodTemplate[]): string[] {
  const name = `PodDisruptionBudget ${metadata?.name}`;
  const isChosen = pods.some((pod) => selects(spec?.selector?.matchLabels, pod.metadata?.labels));
  return [
    ...(isChosen ? [] : [`${name} selects no pod`]),
    ...((spec?.minAvailable === undefined) === (spec?.maxUnavailable === undefined)
      ? [`${name} has not one bound`]
      : []),
    ...(spec?.maxUnavailable === 0 ? [`${name} lets no node be drained`] : []),
  ];
}

function selects(selector: Labels | undefined, labels: Labels | undefined): boolean {
  const wanted = Object.entries(selector ?? {});
  return wanted.length > 0 && wanted.every(([name, value]) => labels?.[name] === value);
}

function repeated(names: readonly string[]): string[] {
  return names.filter((name, at) => names.indexOf(name) !== at).map((name) => `${name} stands twice`);
}
