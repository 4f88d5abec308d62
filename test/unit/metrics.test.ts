import type { Registry } from 'prom-client';
import { describe, expect, it } from 'vitest';
import { PREFIX } from '../../src/metrics/declaring.ts';
import { createClusterMetrics, createMetrics } from '../../src/metrics/metrics.ts';

interface Declared {
  readonly name: string;
  readonly type: string;
  readonly help: string;
  readonly labelNames: readonly string[];
}

/** Base units, or what is counted. A gauge without a unit counts things, and its name is their plural or a state. */
const BASE_UNITS = ['seconds', 'bytes', 'ratio'];
/** Units that are not the base ones, and short forms. */
const OTHER_UNITS =
  /(^|_)(ms|milliseconds?|minutes?|hours?|us|ns|kb|mb|kilobytes|megabytes|percent|samples|sec|secs|second|byte)(_|$)/;
/** What the text format or a scrape has a meaning for. */
const RESERVED_LABELS = ['le', 'quantile', 'job', 'instance', 'worker_id', 'pid'];
/** Of which there are ever more: sessions, people, addresses. */
const UNBOUNDED_LABELS = /session|user|tenant|address|ip$|token|connection|path$|url|message|text/;

function declared(...registries: Registry[]): Declared[] {
  // prom-client keeps the names of the labels, but not in its types.
  return registries.flatMap((registry) => registry.getMetricsAsArray() as unknown as Declared[]);
}

/** By https://prometheus.io/docs/practices/naming/, which promtool also checks, though less of it. */
function faults({ help, labelNames, name, type }: Declared): string[] {
  const own = name.slice(PREFIX.length);
  const unit =
    own
      .replace(/_total$/, '')
      .split('_')
      .at(-1) ?? '';
  return [
    ...(name.startsWith(PREFIX) ? [] : ['has another prefix']),
    ...(/^[a-z]+(_[a-z]+)*$/.test(own) ? [] : ['is not in snake case']),
    ...(own.endsWith('_total') === (type === 'counter') ? [] : ['has _total where it should not, or has it not']),
    ...(type === 'histogram' && !BASE_UNITS.includes(unit) ? ['has no base unit'] : []),
    ...(OTHER_UNITS.test(own) ? ['has a unit that is not a base unit'] : []),
    ...(/_(count|sum|bucket|info)$/.test(own) ? ['ends as a part of a histogram does'] : []),
    ...(own.includes(type) ? ['names its type'] : []),
    ...(/^[A-Z0-9].*\.$/.test(help) ? [] : ['is not explained by a sentence']),
    ...labelNames.flatMap((label) => [
      ...(/^[a-z]+(_[a-z]+)*$/.test(label) ? [] : [`has a label ${label} that is not in snake case`]),
      ...(RESERVED_LABELS.includes(label) ? [`has the reserved label ${label}`] : []),
      ...(UNBOUNDED_LABELS.test(label) ? [`has a label ${label} of which there is no end`] : []),
      ...(own.includes(`_by_${label}`) ? [`has its label ${label} in the name`] : []),
    ]),
  ];
}

describe('the metrics', () => {
  const all = declared(createMetrics().registry, createClusterMetrics().registry).filter(
    // Those of the process and of Node have the names that dashboards of Node know.
    ({ name }) => !/^(process|nodejs)_/.test(name),
  );

  it('are named by the conventions of Prometheus, with base units and bounded labels', () => {
    expect(all.length).toBeGreaterThan(50);
    expect(all.map((metric) => [metric.name, faults(metric)]).filter(([, found]) => found?.length !== 0)).toEqual([]);
  });

  it.each([
    [{ name: `${PREFIX}latency_ms`, type: 'histogram' }, 'has a unit that is not a base unit'],
    [{ name: `${PREFIX}things`, type: 'counter' }, 'has _total where it should not, or has it not'],
    [{ name: `${PREFIX}things_total`, type: 'gauge' }, 'has _total where it should not, or has it not'],
    [{ name: `${PREFIX}delay`, type: 'histogram' }, 'has no base unit'],
    [{ name: 'delay_seconds', type: 'histogram' }, 'has another prefix'],
    [{ name: `${PREFIX}aCounter_total`, type: 'counter' }, 'is not in snake case'],
    [{ name: `${PREFIX}things`, type: 'gauge', help: 'things' }, 'is not explained by a sentence'],
    [
      { name: `${PREFIX}things`, type: 'gauge', labelNames: ['session_id'] },
      'has a label session_id of which there is no end',
    ],
    [{ name: `${PREFIX}things`, type: 'gauge', labelNames: ['le'] }, 'has the reserved label le'],
  ])('would not pass as %o', (metric, fault) => {
    expect(faults({ help: 'Things.', labelNames: [], ...metric })).toContain(fault);
  });
});
