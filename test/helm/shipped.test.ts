import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { IPrometheusRule } from '@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1';
import type { IConfigMap, IPod } from 'kubernetes-models/v1';
import { afterEach, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { cli, killAll, serveGateway } from '../support/process.ts';
import { CHART, HELM_VERSIONS, helm, ofKind, parseManifests, render } from './helm.ts';

const RULES = readdirSync(`${CHART}rules`);
const DASHBOARDS = readdirSync(`${CHART}dashboards`);
const read = <T>(file: string) => parse(readFileSync(`${CHART}rules/${file}`, 'utf8')) as T;

afterEach(killAll);

describe.each(HELM_VERSIONS)('the package that %s makes', (version) => {
  it('has the dashboards and the rules, and renders them', () => {
    const folder = mkdtempSync(join(tmpdir(), 'chart-'));
    try {
      helm(version, 'package', CHART, '--destination', folder);
      const [archive = ''] = readdirSync(folder);
      const set = 'dashboards.enabled=true,prometheusRule.enabled=true';
      const manifests = parseManifests(helm(version, 'template', 'release', join(folder, archive), '--set', set));
      const dashboards = ofKind<IConfigMap>(manifests, 'ConfigMap').map(({ data }) => Object.entries(data ?? {}));
      // A block of YAML ends with one line break, whatever the file ends with.
      expect(dashboards.flat().map(([name, text]) => [name, text.trimEnd()])).toEqual(
        DASHBOARDS.map((file) => [
          `transcribe-gateway-${file}`,
          readFileSync(`${CHART}dashboards/${file}`, 'utf8').trimEnd(),
        ]),
      );
      const rules = ofKind<IPrometheusRule>(manifests, 'PrometheusRule').map(({ spec }) => spec);
      expect(rules).toEqual(RULES.map((file) => read(file)));
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

describe('the dashboards', () => {
  it('have the label that the sidecar of Grafana looks for, or another', () => {
    const labels = (...args: readonly string[]) => {
      const manifests = parseManifests(render('helm-4', '--set', 'dashboards.enabled=true', ...args));
      return ofKind(manifests, 'ConfigMap').map(({ metadata }) => metadata.labels);
    };
    expect(labels()).toEqual(DASHBOARDS.map(() => expect.objectContaining({ grafana_dashboard: '1' })));
    const other = labels('--set', 'dashboards.labels.grafana_dashboard=null,dashboards.labels.grafana=yes');
    expect(other[0]).not.toHaveProperty('grafana_dashboard');
    expect(other[0]).toMatchObject({ grafana: 'yes' });
  });
});

it('links its alerts to where the runbooks can be read, if that is known', () => {
  const runbooks = (...more: readonly string[]) => {
    const manifests = parseManifests(render('helm-4', '--set', 'prometheusRule.enabled=true', ...more));
    const groups = ofKind<IPrometheusRule>(manifests, 'PrometheusRule').flatMap(({ spec }) => spec.groups ?? []);
    return groups.flatMap(({ rules = [] }) => rules.map(({ annotations }) => annotations?.runbook_url));
  };
  const [first] = runbooks('--set', 'prometheusRule.runbookBaseUrl=https://git.example.com/main');
  expect(first).toBe('https://git.example.com/main/docs/runbooks/gateway-down.md');
  expect(runbooks()[0]).toBe('docs/runbooks/gateway-down.md');
});

it('runs a test that a gateway passes', async () => {
  const { url } = await serveGateway({ GATEWAY_ENGINE: 'scripted' });
  const set = `probe.url=${url},auth.mode=none`;
  const [pod] = ofKind<IPod>(parseManifests(render('helm-4', '--set', set)), 'Pod');
  const probe = cli(pod?.spec?.containers[0]?.args ?? []);
  expect(await probe.exited, probe.stderr()).toBe(0);
  expect(JSON.parse(probe.stdout())).toMatchObject({ outcome: 'ok' });
});
