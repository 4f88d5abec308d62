import type { IDeployment } from 'kubernetes-models/apps/v1';
import { loadConfig } from '../../src/config/load.ts';
import type { Config } from '../../src/config/schema.ts';
import { type Manifest, ofKind } from './helm.ts';

/** The configuration that a pod starts with; throws as the gateway would. */
export function configOf(manifests: readonly Manifest[]): Config {
  const [deployment] = ofKind<IDeployment>(manifests, 'Deployment');
  const [container] = deployment?.spec?.template.spec?.containers ?? [];
  // The schema and the rules have seen the references; here any value that a Secret may hold does.
  const stored = (name: string) =>
    name === 'REDIS_URL' ? 'rediss://redis:6379' : 'a secret as long as those that are made';
  return loadConfig(Object.fromEntries((container?.env ?? []).map(({ name, value }) => [name, value ?? stored(name)])));
}
