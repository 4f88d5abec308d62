import type { IScaledObject } from '@kubernetes-models/keda/keda.sh/v1alpha1';
import type { IHorizontalPodAutoscaler } from 'kubernetes-models/autoscaling/v2';
import { createMetrics } from '../../src/metrics/metrics.ts';
import { namesIn } from '../support/dashboards.ts';
import { type Parts, selects } from './chart-parts.ts';
import type { Manifest } from './helm.ts';

/** What an autoscaler says, of whichever kind it is. */
interface Scaler {
  readonly name: string;
  readonly target: { readonly kind?: string; readonly name: string } | undefined;
  readonly min: number | undefined;
  readonly max: number | undefined;
  readonly metrics: readonly string[];
  readonly scaleDown: { readonly stabilizationWindowSeconds?: number } | undefined;
}

/** A line for each rule that is broken of how many pods there are. */
export function scalingFaults(manifests: readonly Manifest[], parts: Parts): string[] {
  const scalers = manifests.flatMap((manifest) => {
    if (manifest.kind === 'HorizontalPodAutoscaler') return [ofAutoscaler(manifest as IHorizontalPodAutoscaler)];
    return manifest.kind === 'ScaledObject' ? [ofScaledObject(manifest as unknown as IScaledObject)] : [];
  });
  const budgets = manifests.filter(({ kind }) => kind === 'PodDisruptionBudget') as {
    readonly spec?: { readonly selector?: { readonly matchLabels?: Record<string, string> } };
  }[];
  return [
    ...(scalers.length > 1 ? ['two autoscalers pull at one Deployment'] : []),
    ...scalers.flatMap((scaler) => scalerFaults(scaler, parts)),
    ...parts.deployments.flatMap(({ metadata, spec }) => {
      const scaler = scalers.find(({ target }) => target?.name === metadata?.name);
      const most = scaler === undefined ? (spec?.replicas ?? 1) : (scaler.max ?? 1);
      const labels = spec?.template.metadata?.labels;
      const isKept = budgets.some((budget) => selects(budget.spec?.selector?.matchLabels, labels));
      return most > 1 && !isKept ? [`all pods of ${metadata?.name} may be evicted at once`] : [];
    }),
  ];
}

function ofAutoscaler({ metadata, spec }: IHorizontalPodAutoscaler): Scaler {
  return {
    name: `HorizontalPodAutoscaler ${metadata?.name}`,
    target: spec?.scaleTargetRef,
    min: spec?.minReplicas,
    max: spec?.maxReplicas,
    metrics: (spec?.metrics ?? []).map(({ pods }) => pods?.metric.name ?? 'nothing of the pods'),
    scaleDown: spec?.behavior?.scaleDown,
  };
}

function ofScaledObject({ metadata, spec }: IScaledObject): Scaler {
  return {
    name: `ScaledObject ${metadata?.name}`,
    target: spec.scaleTargetRef,
    min: spec.minReplicaCount,
    max: spec.maxReplicaCount,
    metrics: spec.triggers.flatMap((trigger) => [...namesIn(trigger.metadata.query ?? '').metrics]),
    scaleDown: spec.advanced?.horizontalPodAutoscalerConfig?.behavior?.scaleDown,
  };
}

function scalerFaults({ max = 0, metrics, min = 0, name, scaleDown, target }: Scaler, parts: Parts): string[] {
  const deployment = parts.deployments.find(({ metadata }) => metadata?.name === target?.name);
  const isCounted = (metric: string) => createMetrics().registry.getSingleMetric(metric) !== undefined;
  return [
    ...(deployment === undefined || target?.kind !== 'Deployment' ? [`${name} scales no Deployment`] : []),
    ...(deployment?.spec?.replicas === undefined ? [] : [`${name} and the number of replicas pull at one Deployment`]),
    ...(min >= 1 && min <= max ? [] : [`${name} scales from ${min} to ${max}`]),
    ...(metrics.length === 0 ? [`${name} counts nothing`] : []),
    ...metrics.filter((metric) => !isCounted(metric)).map((metric) => `${name} counts ${metric}, which is no metric`),
    ...((scaleDown?.stabilizationWindowSeconds ?? 0) >= 60 ? [] : [`${name} scales down at once`]),
  ];
}
