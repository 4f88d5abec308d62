import type { IPrometheusRule, IServiceMonitor } from '@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1';
import type { ICronJob } from 'kubernetes-models/batch/v1';
import type { IPodDisruptionBudget } from 'kubernetes-models/policy/v1';
import type { IService } from 'kubernetes-models/v1';
import { type Parts, type PodTemplate, partsOf, repeated, selects } from './chart-parts.ts';
import { doorFaults } from './door-rules.ts';
import type { Manifest } from './helm.ts';
import { podFaults } from './pod-rules.ts';
import { scalingFaults } from './scaling-rules.ts';

const LABELS = ['app.kubernetes.io/name', 'app.kubernetes.io/instance', 'app.kubernetes.io/version', 'helm.sh/chart'];
const DNS_LABEL = /^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$/;
/** Kubernetes adds 11 characters for the names of Jobs. */
const CRON_JOB_NAME_LENGTH = 52;
const SEVERITIES = ['warning', 'critical'];

/**
 * What the schemas of Kubernetes let pass but would be wrong: that parts fit each other, and how this gateway is to be
 * run. Returns a line for each rule that is broken.
 */
export function brokenRules(manifests: readonly Manifest[]): string[] {
  const parts = partsOf(manifests);
  return [
    ...manifests.flatMap(metadataFaults),
    ...repeated(manifests.map(({ kind, metadata }) => `${kind} ${metadata.name}`)),
    ...parts.deployments.flatMap(({ spec }) =>
      selects(spec?.selector.matchLabels, spec?.template.metadata?.labels) ? [] : ['the Deployment selects other pods'],
    ),
    ...parts.serving.flatMap(({ spec }) => podFaults(spec, 'serves')),
    ...parts.asking.flatMap(({ spec }) => podFaults(spec, 'asks')),
    ...manifests.flatMap((manifest) => faultsOf(manifest, parts)),
    ...doorFaults(manifests, parts),
    ...scalingFaults(manifests, parts),
  ];
}

function faultsOf(manifest: Manifest, parts: Parts): string[] {
  switch (manifest.kind) {
    case 'Service':
      return serviceFaults(manifest as IService, parts);
    case 'PodDisruptionBudget':
      return budgetFaults(manifest as IPodDisruptionBudget, parts.serving);
    case 'CronJob':
      return cronJobFaults(manifest as ICronJob);
    case 'ServiceMonitor':
      return monitorFaults(manifest as unknown as IServiceMonitor, parts.services);
    case 'PrometheusRule':
      return alertFaults(manifest as unknown as IPrometheusRule);
    default:
      return [];
  }
}

function metadataFaults({ kind, metadata }: Manifest): string[] {
  const missing = LABELS.filter((label) => metadata.labels?.[label] === undefined);
  return [
    ...(DNS_LABEL.test(metadata.name) ? [] : [`${kind} has the name ${metadata.name}`]),
    ...missing.map((label) => `${kind} ${metadata.name} has no label ${label}`),
  ];
}

function serviceFaults({ metadata, spec }: IService, { asking, serving }: Parts): string[] {
  const name = `Service ${metadata?.name}`;
  const chosen = serving.filter((pod) => selects(spec?.selector, pod.metadata?.labels));
  if (chosen.length === 0) return [`${name} selects no pod`];
  const named = chosen.flatMap((pod) => pod.spec?.containers ?? []).flatMap(({ ports = [] }) => ports);
  const targets = (spec?.ports ?? []).map(({ targetPort }) => targetPort);
  const unknown = targets.filter((target) => !named.some((port) => port.name === target));
  return [
    ...unknown.map((target) => `${name} leads to the port ${target}, which no container has`),
    ...(targets.length > 1 && targets.includes('admin') ? [`${name} mixes in the admin port`] : []),
    ...(spec?.type === 'ClusterIP' ? [] : [`${name} is open to more than the cluster`]),
    ...(asking.some((pod) => selects(spec?.selector, pod.metadata?.labels)) ? [`${name} leads to a probe`] : []),
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
    ...(spec?.unhealthyPodEvictionPolicy === 'AlwaysAllow' ? [] : [`${name} keeps pods that are not ready`]),
  ];
}

function cronJobFaults({ metadata, spec }: ICronJob): string[] {
  const name = `CronJob ${metadata?.name}`;
  return [
    ...((metadata?.name ?? '').length > CRON_JOB_NAME_LENGTH ? [`${name} has too long a name`] : []),
    ...(spec?.concurrencyPolicy === 'Forbid' ? [] : [`${name} may run twice at a time`]),
    ...(spec?.jobTemplate.spec?.activeDeadlineSeconds === undefined ? [`${name} may run for ever`] : []),
    ...(spec?.jobTemplate.spec?.backoffLimit === 0 ? [] : [`${name} tries again and hides that it failed`]),
  ];
}

function monitorFaults({ metadata, spec }: IServiceMonitor, services: readonly IService[]): string[] {
  const name = `ServiceMonitor ${metadata?.name}`;
  const chosen = services.filter((service) => selects(spec.selector.matchLabels, service.metadata?.labels));
  if (chosen.length !== 1) return [`${name} selects ${chosen.length} Services`];
  const ports = chosen.flatMap((service) => service.spec?.ports ?? []).map((port) => port.name);
  return [
    ...spec.endpoints.flatMap(({ port }) => (ports.includes(port) ? [] : [`${name} scrapes no port`])),
    ...(chosen.every((service) => service.spec?.publishNotReadyAddresses === true)
      ? []
      : [`${name} loses sight of pods that drain`]),
  ];
}

function alertFaults({ spec }: IPrometheusRule): string[] {
  const rules = (spec.groups ?? []).flatMap((group) => group.rules ?? []);
  const alerts = rules.filter(({ alert }) => alert !== undefined);
  return alerts.flatMap(({ alert, annotations = {}, labels = {} }) => [
    ...(SEVERITIES.includes(labels.severity ?? '') ? [] : [`${alert} has no severity`]),
    ...['summary', 'description', 'runbook_url'].flatMap((name) =>
      annotations[name] === undefined ? [`${alert} has no ${name}`] : [],
    ),
    ...(JSON.stringify(labels).includes('$value')
      ? [`${alert} has its value in a label, and so is new each time`]
      : []),
  ]);
}
