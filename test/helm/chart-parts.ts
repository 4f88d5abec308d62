import type { IDeployment } from 'kubernetes-models/apps/v1';
import type { ICronJob } from 'kubernetes-models/batch/v1';
import type { IPod, IService } from 'kubernetes-models/v1';
import type { Manifest } from './helm.ts';

export type PodTemplate = NonNullable<IDeployment['spec']>['template'];
type Labels = Readonly<Record<string, string>>;

/** What a rendered chart has, by what the rules ask of it. */
export interface Parts {
  readonly deployments: readonly IDeployment[];
  readonly services: readonly IService[];
  /** Pods that answer clients. */
  readonly serving: readonly PodTemplate[];
  /** Pods that ask them. */
  readonly asking: readonly PodTemplate[];
}

export function partsOf(manifests: readonly Manifest[]): Parts {
  const of = <T>(kind: string) => manifests.filter((one) => one.kind === kind) as T[];
  const deployments = of<IDeployment>('Deployment');
  return {
    deployments,
    services: of<IService>('Service'),
    serving: deployments.flatMap(({ spec }) => (spec === undefined ? [] : [spec.template])),
    asking: [...of<IPod>('Pod'), ...of<ICronJob>('CronJob').map(({ spec }) => spec?.jobTemplate.spec?.template ?? {})],
  };
}

/** Whether a selector that says something chooses what has these labels. */
export function selects(selector: Labels | undefined, labels: Labels | undefined): boolean {
  const wanted = Object.entries(selector ?? {});
  return wanted.length > 0 && wanted.every(([name, value]) => labels?.[name] === value);
}

/** A line for each that stands there more than once. */
export function repeated(names: readonly string[]): string[] {
  return names.filter((name, at) => names.indexOf(name) !== at).map((name) => `${name} stands twice`);
}
