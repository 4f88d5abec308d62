import { describe, expect, it } from 'vitest';
import { parseManifests, render } from '../helm.ts';
import { readPodSpec } from './pod-spec.ts';

const SECRETS = { 'release-transcribe-gateway-api-key': { 'keys.json': '{}' } };

/** The pod template of the chart without values, with one more field. */
function template(add: (spec: Record<string, unknown>, container: Record<string, unknown>) => void): unknown {
  const deployment = parseManifests(render('helm-3')).find(({ kind }) => kind === 'Deployment') as unknown as {
    spec: { template: { spec: Record<string, unknown> & { containers: Record<string, unknown>[] } } };
  };
  const { spec } = deployment.spec.template;
  add(spec, spec.containers[0] ?? {});
  return deployment.spec.template;
}

describe('the reader of pod templates', () => {
  it('reads what the chart says', () => {
    const { container, graceSeconds, preStopSeconds, user } = readPodSpec(
      template(() => undefined),
      SECRETS,
    );
    expect(container.limits.memoryBytes).toBe(1536 * 2 ** 20);
    expect(container.probes.readiness).toMatchObject({ path: '/readyz', port: 'admin' });
    expect({ graceSeconds, preStopSeconds, user }).toEqual({ graceSeconds: 35, preStopSeconds: 5, user: 10001 });
  });

  it.each([
    ['of the pod', () => template((spec) => Object.assign(spec, { hostNetwork: true })), /hostNetwork/],
    ['of the container', () => template((_, container) => Object.assign(container, { tty: true })), /tty/],
    [
      'of a volume',
      () => template((spec) => Object.assign(spec, { volumes: [{ name: 'tmp', hostPath: { path: '/' } }] })),
      /hostPath/,
    ],
  ])('refuses a field %s that would be passed over', (_, make, name) => {
    expect(() => readPodSpec(make(), SECRETS)).toThrow(name);
  });

  it('refuses a Secret that is not there', () => {
    expect(() =>
      readPodSpec(
        template(() => undefined),
        {},
      ),
    ).toThrow(/Secret/);
  });
});
