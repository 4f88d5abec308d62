import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { IScaledObject } from '@kubernetes-models/keda/keda.sh/v1alpha1';
import type { IConfigMap } from 'kubernetes-models/v1';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { namesIn } from '../support/dashboards.ts';
import { NO_PROMETHEUS } from '../support/prometheus.ts';
import { ofKind, parseManifests, render, valuesOf } from './helm.ts';

describe.skipIf(NO_PROMETHEUS)('what an autoscaler asks Prometheus', () => {
  /** Two pods of the release with 30 and 50 sessions, and one of another. */
  const SESSIONS = [
    ['release-transcribe-gateway-6f7c-x2x', 30],
    ['release-transcribe-gateway-6f7c-y3y', 50],
    ['other-transcribe-gateway-6f7c-z4z', 70],
  ] as const;

  /** What a real Prometheus answers, as promtool proves it. Throws what it says of an answer that is another. */
  function proveAnswer(expr: string, answer: readonly { readonly labels: string; readonly value: number }[]): void {
    const test = {
      input_series: SESSIONS.map(([pod, sessions]) => ({
        series: `transcribe_gateway_sessions{namespace="default",pod="${pod}"}`,
        values: String(sessions),
      })),
      promql_expr_test: [{ expr, eval_time: '0s', exp_samples: answer }],
    };
    const folder = mkdtempSync(join(tmpdir(), 'query-'));
    try {
      // JSON is YAML.
      writeFileSync(join(folder, 'test.yaml'), JSON.stringify({ tests: [test] }));
      execFileSync('promtool', ['test', 'rules', join(folder, 'test.yaml')], { stdio: 'pipe' });
    } finally {
      rmSync(folder, { recursive: true });
    }
  }

  it('by KEDA is the number of sessions in the pods of the release', () => {
    const manifests = parseManifests(render('helm-4', ...valuesOf('keda-values.yaml')));
    const [scaler] = ofKind<IScaledObject>(manifests, 'ScaledObject');
    proveAnswer(scaler?.spec.triggers[0]?.metadata.query ?? '', [{ labels: '{}', value: 80 }]);
  });

  it('by the rule of prometheus-adapter is the number of sessions in each pod', () => {
    const manifests = parseManifests(render('helm-4', ...valuesOf('hpa-values.yaml')));
    const [map] = ofKind<IConfigMap>(manifests, 'ConfigMap');
    const { rules } = parse(map?.data?.['config.yaml'] ?? '') as {
      rules: [{ seriesQuery: string; metricsQuery: string }];
    };
    const [{ metricsQuery, seriesQuery }] = rules;
    // What the adapter puts in when it is asked for the pods of a HorizontalPodAutoscaler.
    const query = metricsQuery
      .replace('<<.Series>>', 'transcribe_gateway_sessions')
      .replace('<<.LabelMatchers>>', `namespace="default",pod=~"${SESSIONS[0][0]}|${SESSIONS[1][0]}"`)
      .replace('<<.GroupBy>>', 'pod');
    const ofPod = (n: 0 | 1) => ({ labels: `{pod="${SESSIONS[n][0]}"}`, value: SESSIONS[n][1] });
    proveAnswer(query, [ofPod(0), ofPod(1)]);
    expect(() => proveAnswer(query, [ofPod(0)])).toThrow('FAILED');
    expect([...namesIn(seriesQuery).metrics]).toEqual(['transcribe_gateway_sessions']);
  });
});
