import type { IDeployment } from 'kubernetes-models/apps/v1';
import { beforeAll, describe, expect, it } from 'vitest';
import { configOf } from './gateway-config.ts';
import {
  HELM_VERSIONS,
  INSTALLATIONS,
  type Manifest,
  ofKind,
  parseManifests,
  render,
  valuesOf,
  withoutChance,
  withoutFiles,
} from './helm.ts';
import { MODELS } from './kinds.ts';
import { brokenRules } from './manifest-rules.ts';
import { ManifestSchema } from './manifest-schema.ts';

const SCHEMA_MS = 30_000;

let schema: ManifestSchema;

beforeAll(() => {
  schema = new ManifestSchema();
}, SCHEMA_MS);

describe.each(HELM_VERSIONS)('the chart under %s, with', (version) => {
  describe.each(INSTALLATIONS)('%s,', (installation) => {
    let text: string;
    let manifests: readonly Manifest[];
    beforeAll(() => {
      text = render(version, ...valuesOf(installation));
      manifests = parseManifests(text);
    });

    it('renders manifests that Kubernetes knows and our rules allow', () => {
      expect(manifests.flatMap((manifest) => schema.faultsOf(manifest))).toEqual([]);
      expect(brokenRules(manifests)).toEqual([]);
    });

    it('gives the gateway settings that it starts with', () => {
      const config = configOf(manifests);
      const [deployment] = ofKind<IDeployment>(manifests, 'Deployment');
      expect(deployment?.spec?.template.spec?.containers[0]?.ports).toEqual([
        { name: 'http', containerPort: config.port },
        { name: 'admin', containerPort: config.adminPort },
      ]);
      const isOne = (deployment?.spec?.replicas ?? 0) === 1 && config.workers === 1;
      if (!isOne) expect(config.redisUrl).toBeDefined();
    });

    it('renders what the snapshot shows', async () => {
      const golden = installation.replace('-values', '.golden');
      await expect(withoutFiles(withoutChance(text))).toMatchFileSnapshot(golden);
    });
  });
});

it('renders every kind that there is a schema for in one of the installations', () => {
  const rendered = INSTALLATIONS.flatMap((installation) => parseManifests(render('helm-4', ...valuesOf(installation))));
  const kinds = new Set(rendered.map(({ apiVersion, kind }) => `${apiVersion}/${kind}`));
  expect([...kinds].sort()).toEqual(Object.keys(MODELS).sort());
});
