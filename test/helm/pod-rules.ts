import type { IProbe } from 'kubernetes-models/v1';
import { type PodTemplate, repeated } from './chart-parts.ts';

type PodSpec = NonNullable<PodTemplate['spec']>;
type Container = PodSpec['containers'][number];

/** What a pod is for: the first answers clients, the second asks it and ends. */
export type Purpose = 'serves' | 'asks';

/** What Kubernetes requires of a probe without its schema saying so. */
const HANDLERS = ['exec', 'grpc', 'httpGet', 'tcpSocket'] as const;
const PROBES = ['startupProbe', 'livenessProbe', 'readinessProbe'] as const;
/** What lifecycle.ts adds to the drain deadline before it ends the process, in seconds. */
const CLOSING_SECONDS = 2;

/** A line for each rule that a pod breaks: the restricted standard of pod security, and how this gateway is to be run. */
export function podFaults(spec: PodSpec | undefined, purpose: Purpose): string[] {
  if (spec === undefined) return ['a pod without a spec'];
  const { securityContext: security, volumes = [] } = spec;
  const user = security?.runAsUser;
  const faults: (string | false)[] = [
    spec.enableServiceLinks !== false && 'service links are on',
    spec.automountServiceAccountToken !== false && 'the pod has a token of the Kubernetes API',
    security?.runAsNonRoot !== true && 'the pod may run as root',
    user !== undefined && user < 1000 && 'the pod has no user of its own',
    security?.seccompProfile?.type !== 'RuntimeDefault' && 'the pod has no seccomp profile',
    (spec.hostNetwork ?? spec.hostPID ?? spec.hostIPC ?? false) && 'the pod is in a namespace of the host',
    volumes.some(({ hostPath }) => hostPath !== undefined) && 'the pod has a path of the host',
    purpose === 'asks' && spec.restartPolicy !== 'Never' && 'the pod asks again and hides that it failed',
  ];
  const mounted = spec.containers.flatMap(({ volumeMounts = [] }) => volumeMounts.map(({ name }) => name));
  const given = volumes.map(({ name }) => name);
  const grace = spec.terminationGracePeriodSeconds ?? 30;
  return [
    ...faults.filter((fault) => fault !== false),
    ...mounted.filter((name) => !given.includes(name)).map((name) => `nothing is the volume ${name}`),
    ...given.filter((name) => !mounted.includes(name)).map((name) => `nobody mounts the volume ${name}`),
    ...spec.containers.flatMap(containerFaults),
    ...(purpose === 'serves' ? spec.containers.flatMap((container) => servingFaults(container, grace)) : []),
  ];
}

function containerFaults({ env = [], image = '', resources, securityContext: security }: Container): string[] {
  const faults: (string | false)[] = [
    (!/[:@][^/]+$/.test(image) || image.endsWith(':latest')) && `the image ${image} is no certain version`,
    resources?.requests?.cpu === undefined && 'no CPU is requested',
    resources?.requests?.memory === undefined && 'no memory is requested',
    resources?.limits?.memory === undefined && 'memory has no limit',
    security?.allowPrivilegeEscalation !== false && 'privileges may be raised',
    security?.readOnlyRootFilesystem !== true && 'the root file system can be written',
    !security?.capabilities?.drop?.includes('ALL') && 'capabilities are kept',
  ];
  return [...faults.filter((fault) => fault !== false), ...repeated(env.map(({ name }) => `the variable ${name}`))];
}

function servingFaults(container: Container, graceSeconds: number): string[] {
  const { env = [], lifecycle } = container;
  const drainMs = Number(env.find(({ name }) => name === 'GATEWAY_DRAIN_TIMEOUT_MS')?.value);
  const sleepSeconds = lifecycle?.preStop?.sleep?.seconds ?? 0;
  const isGraceEnough = graceSeconds >= sleepSeconds + drainMs / 1000 + CLOSING_SECONDS;
  return [
    ...(sleepSeconds < 1 ? ['the pod ends before the Services know'] : []),
    ...(isGraceEnough ? [] : [`the grace of ${graceSeconds} s cuts the drain`]),
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
