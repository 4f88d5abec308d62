import type { Registry } from 'prom-client';
import { describe, expect, it } from 'vitest';
import { collectProcessMetrics, createClusterMetrics, createMetrics } from '../../src/metrics/metrics.ts';
import { DASHBOARDS, type Dashboard, dataPanels, namesIn, type Panel } from '../support/dashboards.ts';

/** What Prometheus adds to each sample. */
const OF_THE_TARGET = ['job', 'instance'];
/** Units of Grafana that a panel here may have. */
const UNITS = ['short', 'none', 's', 'ops', 'bytes', 'percentunit'];
const COLUMNS = 24;

const known = knownMetrics();

/** The labels of every metric that a scrape can bring, by its name in the text format. */
function knownMetrics(): Map<string, readonly string[]> {
  const metrics = createMetrics();
  collectProcessMetrics(metrics);
  const found = new Map<string, readonly string[]>([['up', []]]);
  for (const registry of [metrics.registry, createClusterMetrics().registry] as Registry[]) {
    for (const metric of registry.getMetricsAsArray()) {
      // prom-client keeps the names of the labels, but not in its types.
      const { name, labelNames = [] } = metric as unknown as { name: string; labelNames?: readonly string[] };
      if (String(metric.type) !== 'histogram') found.set(name, labelNames);
      else {
        found.set(`${name}_bucket`, [...labelNames, 'le']);
        found.set(`${name}_sum`, labelNames).set(`${name}_count`, labelNames);
      }
    }
  }
  return found;
}

/** @param variables of the dashboard */
function queryFaults(expr: string, variables: readonly string[]): string[] {
  const { labels, metrics } = namesIn(expr);
  const unknown = [...metrics].filter((name) => !known.has(name));
  const possible = [...OF_THE_TARGET, ...[...metrics].flatMap((name) => known.get(name) ?? [])];
  return [
    ...(metrics.size === 0 ? ['asks for no metric'] : []),
    ...unknown.map((name) => `asks for ${name}, which is no metric`),
    ...[...labels].filter((label) => !possible.includes(label)).map((label) => `has the unknown label ${label}`),
    ...(expr.includes('job=~"$job"') ? [] : ['does not choose the job']),
    ...(variables.includes('instance') && !expr.includes('instance=~"$instance"')
      ? ['does not choose the gateway']
      : []),
    ...[...expr.matchAll(/"\$(\w+)"/g)].flatMap(([, name = '']) =>
      variables.includes(name) ? [] : [`uses ${name}, which is no variable`],
    ),
    ...(/\[(?!\$__rate_interval\])/.test(expr) ? ['has a fixed interval'] : []),
  ];
}

function panelFaults(panel: Panel, variables: readonly string[]): string[] {
  const { datasource, description, fieldConfig, gridPos, targets = [], title } = panel;
  const isFromVariable = [datasource, ...targets.map((target) => target.datasource)].every(
    (one) => one?.uid === `\${datasource}`,
  );
  const faults = [
    ...(description === undefined ? ['is not explained'] : []),
    ...(UNITS.includes(fieldConfig?.defaults.unit ?? '') ? [] : ['has no unit']),
    ...(isFromVariable ? [] : ['does not use the variable datasource']),
    ...(targets.length === 0 ? ['asks nothing'] : []),
    ...(gridPos.x + gridPos.w > COLUMNS ? ['is beyond the edge'] : []),
    ...targets.flatMap(({ expr }) => queryFaults(expr, variables)),
  ];
  return faults.map((fault) => `${title} ${fault}`);
}

function overlaps(a: Panel, b: Panel): boolean {
  const [p, q] = [a.gridPos, b.gridPos];
  return p.x < q.x + q.w && q.x < p.x + p.w && p.y < q.y + q.h && q.y < p.y + p.h;
}

function dashboardFaults(dashboard: Dashboard): string[] {
  const { panels, templating } = dashboard;
  const isImport = Object.hasOwn(dashboard, '__inputs');
  const variables = templating.list.map(({ name }) => name);
  return [
    ...(templating.list.some(({ name, type }) => name === 'datasource' && type === 'datasource')
      ? []
      : ['no variable datasource']),
    ...(isImport ? ['__inputs, which provisioning does not know'] : []),
    ...(new Set(panels.map(({ id }) => id)).size === panels.length ? [] : ['two panels with one id']),
    ...panels.flatMap((a, at) =>
      panels.slice(at + 1).flatMap((b) => (overlaps(a, b) ? [`${a.title} lies on ${b.title}`] : [])),
    ),
    ...dataPanels(dashboard).flatMap((panel) => panelFaults(panel, variables)),
  ];
}

describe.each(DASHBOARDS)('the dashboard %s', (_file, dashboard) => {
  it('asks for metrics and labels that exist, and can be provisioned anywhere', () => {
    expect(dashboardFaults(dashboard)).toEqual([]);
  });

  it('shows something', () => {
    expect(dataPanels(dashboard).length).toBeGreaterThan(10);
  });
});

it('each dashboard has a name and an address of its own, and leads to the others', () => {
  const all = DASHBOARDS.map(([, dashboard]) => dashboard);
  expect(new Set(all.map(({ uid }) => uid)).size).toBe(all.length);
  expect(new Set(all.map(({ title }) => title)).size).toBe(all.length);
  for (const { links, tags } of all) {
    expect(tags).toEqual(['transcribe-gateway']);
    expect(links).toMatchObject([{ type: 'dashboards', tags }]);
  }
});

describe('the check of dashboards', () => {
  const [, dashboard] = DASHBOARDS.find(([file]) => file === 'overview.json') ?? expect.fail('no overview');
  const [, pods] = DASHBOARDS.find(([file]) => file === 'pods.json') ?? expect.fail('no dashboard of pods');
  const [panel] = dataPanels(dashboard);
  if (panel === undefined) expect.fail('no panel');
  const asking = (expr: string, of = dashboard): Dashboard => ({
    ...of,
    panels: [{ ...panel, targets: [{ refId: 'A', datasource: { uid: `\${datasource}` }, expr }] }],
  });

  it.each([
    ['a metric that is none', asking('sum(transcribe_gateway_sesions{job=~"$job"})'), 'sesions, which is no metric'],
    ['a histogram as such', asking('transcribe_gateway_local_lag_seconds{job=~"$job"}'), 'is no metric'],
    ['a label that is none', asking('sum by (user) (transcribe_gateway_sessions{job=~"$job"})'), 'unknown label user'],
    ['a matcher that is none', asking('transcribe_gateway_sessions{job=~"$job",code="x"}'), 'unknown label code'],
    ['a query of no metric', asking('vector(0) or vector(1)'), 'asks for no metric'],
    ['every job', asking('sum(transcribe_gateway_sessions)'), 'does not choose the job'],
    ['every gateway', asking('sum(transcribe_gateway_sessions{job=~"$job"})', pods), 'does not choose the gateway'],
    ['a variable that is none', asking('up{job=~"$job",instance=~"$instance"}'), 'instance, which is no variable'],
    ['a fixed interval', asking('rate(transcribe_gateway_audio_seconds_total{job=~"$job"}[5m])'), 'fixed interval'],
    ['no unit', { ...dashboard, panels: [{ ...panel, fieldConfig: { defaults: {} } }] }, 'has no unit'],
    ['a fixed source', { ...dashboard, panels: [{ ...panel, datasource: { type: '', uid: 'x' } }] }, 'variable'],
    ['no query', { ...dashboard, panels: [{ ...panel, targets: [] }] }, 'asks nothing'],
    ['an overlap', { ...dashboard, panels: [panel, { ...panel, id: -1 }] }, 'lies on'],
    ['one id twice', { ...dashboard, panels: [panel, panel] }, 'two panels with one id'],
    ['no variable', { ...dashboard, templating: { list: [] } }, 'no variable datasource'],
    ['inputs of an import', { ...dashboard, __inputs: [] } as Dashboard, '__inputs'],
  ])('refuses %s', (_name, wrong, fault) => {
    expect(dashboardFaults(wrong).join('\n')).toContain(fault);
  });
});
