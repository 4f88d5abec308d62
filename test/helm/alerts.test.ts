import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { SETTINGS } from '../../src/config/schema.ts';
import { collectProcessMetrics, createClusterMetrics, createMetrics } from '../../src/metrics/metrics.ts';
import { namesIn } from '../support/dashboards.ts';
import { NO_PROMETHEUS } from '../support/prometheus.ts';
import { SCENARIOS, type Scenario } from './alert-scenarios.ts';
import { CHART } from './helm.ts';

const RULES = `${CHART}rules/`;
const REPOSITORY = new URL('../../', import.meta.url).pathname;
/** The value with which an alert has fired. */
const LAST = 60;
/** What every runbook says. */
const SECTIONS = ['## Symptom', '## Look at', '## Do'];

interface Alert {
  readonly alert: string;
  readonly expr: string;
  readonly labels: { readonly severity: string };
  readonly annotations: Readonly<Record<'summary' | 'description' | 'runbook_url', string>>;
}

interface RuleFile {
  readonly groups: readonly {
    readonly rules: readonly (Alert | { readonly record: string; readonly expr: string })[];
  }[];
}

const FILES = readdirSync(RULES);
const ALL = FILES.flatMap((file) => {
  const { groups } = parse(readFileSync(RULES + file, 'utf8')) as RuleFile;
  return groups.flatMap(({ rules }) => rules).map((rule) => ({ file, rule }));
});
const ALERTS = ALL.flatMap(({ file, rule }) => ('alert' in rule ? [{ file, ...rule }] : []));

const folder = mkdtempSync(join(tmpdir(), 'alerts-test-'));
afterAll(() => rmSync(folder, { recursive: true }));

/** What promtool says, and whether it was content. */
function promtool(...args: readonly string[]): { readonly ok: boolean; readonly said: string } {
  const { status, stderr, stdout } = spawnSync('promtool', args, { encoding: 'utf8' });
  return { ok: status === 0, said: `${stdout}${stderr}` };
}

/** Whether an alert is as expected at the end of a scenario. */
function outcome(
  alert: (typeof ALERTS)[number],
  { labels = {}, stepMinutes = 1 }: Scenario,
  series: Scenario['fires'],
  fires: boolean,
) {
  const text = (template: string) =>
    template.replace(/\{\{ \$labels\.(\w+) \}\}/g, (_, name: string) => labels[name] ?? '');
  const annotations = Object.fromEntries(Object.entries(alert.annotations).map(([name, value]) => [name, text(value)]));
  const expected = { exp_labels: { ...labels, ...alert.labels }, exp_annotations: annotations };
  const test = {
    rule_files: [RULES + alert.file],
    evaluation_interval: `${stepMinutes}m`,
    tests: [
      {
        interval: `${stepMinutes}m`,
        input_series: Object.entries(series).map(([name, values]) => ({ series: name, values })),
        alert_rule_test: [
          { eval_time: `${LAST * stepMinutes}m`, alertname: alert.alert, exp_alerts: fires ? [expected] : [] },
        ],
      },
    ],
  };
  const file = join(folder, `${alert.alert}-${fires}.json`);
  // JSON is YAML.
  writeFileSync(file, JSON.stringify(test));
  return promtool('test', 'rules', file);
}

describe.skipIf(NO_PROMETHEUS)('the alerts', () => {
  it.each(FILES)('of %s are rules that Prometheus reads', (file) => {
    expect(promtool('check', 'rules', RULES + file)).toMatchObject({ ok: true });
  });

  it.each(ALERTS)('$alert fires when it should, and not when all is nearly well', (alert) => {
    const scenario = SCENARIOS[alert.alert];
    if (scenario === undefined) throw new Error(`${alert.alert} has no scenario`);
    expect(outcome(alert, scenario, scenario.fires, true)).toMatchObject({ ok: true });
    expect(outcome(alert, scenario, scenario.quiet, false)).toMatchObject({ ok: true });
    // Which would pass for any expectation if the test itself were wrong.
    expect(outcome(alert, scenario, scenario.quiet, true)).toMatchObject({ ok: false });
  });
});

describe('each alert', () => {
  it.each(ALERTS)(
    '$alert has a severity, and a runbook that says what it looks like, what to look at and what to do',
    (alert) => {
      expect(['critical', 'warning']).toContain(alert.labels.severity);
      const runbook = join(REPOSITORY, alert.annotations.runbook_url);
      expect(existsSync(runbook), runbook).toBe(true);
      const text = readFileSync(runbook, 'utf8');
      for (const section of SECTIONS) expect(text).toContain(`\n${section}\n`);
      expect(text).toContain(alert.alert);
      // A value in a label would make a new alert with every change of it.
      expect(JSON.stringify(alert.labels)).not.toContain('$value');
    },
  );

  it('is told apart from every other by its name, and no scenario is left over', () => {
    expect(ALERTS.map(({ alert }) => alert).toSorted()).toEqual(Object.keys(SCENARIOS).toSorted());
  });
});

const RUNBOOKS = join(REPOSITORY, 'docs/runbooks/');

async function knownMetrics(): Promise<ReadonlySet<string>> {
  const metrics = createMetrics();
  collectProcessMetrics(metrics);
  const registries = [metrics.registry, createClusterMetrics().registry];
  const lists = await Promise.all(registries.map((registry) => registry.getMetricsAsJSON()));
  return new Set(lists.flat().map(({ name }) => name));
}

const withoutSuffix = (name: string) => name.replace(/_(bucket|sum|count)$/, '');

it('the rules use metrics that there are', async () => {
  const known = await knownMetrics();
  const recorded = new Set(ALL.flatMap(({ rule }) => ('record' in rule ? [rule.record] : [])));
  // Of Prometheus and of kube-state-metrics.
  const foreign = /^(up|kube_.*)$/;
  const used = ALL.flatMap(({ rule }) => [...namesIn(rule.expr).metrics]).map(withoutSuffix);
  const missing = used.filter((name) => !known.has(name) && !recorded.has(name) && !foreign.test(name));
  expect([...new Set(missing)]).toEqual([]);
});

describe('the runbooks', () => {
  const books = readdirSync(RUNBOOKS);

  it('are all of alerts', () => {
    const used = new Set(ALERTS.map(({ annotations }) => annotations.runbook_url));
    expect(books.filter((book) => !used.has(`docs/runbooks/${book}`))).toEqual([]);
  });

  it.each(books)('%s names settings and metrics that there are, and pages beside it', async (book) => {
    const text = readFileSync(RUNBOOKS + book, 'utf8');
    const settings = new Set<string>(Object.values(SETTINGS).map(({ variable }) => variable));
    const known = await knownMetrics();
    const named = (pattern: RegExp) => [...text.matchAll(pattern)].map(([name]) => name);
    expect(named(/GATEWAY_[A-Z_]+/g).filter((name) => !settings.has(name))).toEqual([]);
    const metrics = named(/(transcribe_gateway|nodejs|process)_[a-z0-9_]+/g).map(withoutSuffix);
    expect(metrics.filter((name) => !known.has(name))).toEqual([]);
    const links = [...text.matchAll(/\]\(([^)]+)\)/g)].map(([, link = '']) => link);
    expect(links.filter((link) => !books.includes(link))).toEqual([]);
  });
});
