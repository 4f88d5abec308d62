import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { CHART, HELM_VERSIONS, helm, INSTALLATIONS, render, valuesOf, withoutChance } from './helm.ts';

interface ValueSchema {
  readonly description?: string;
  readonly type?: string;
  readonly additionalProperties?: unknown;
  readonly properties?: Readonly<Record<string, ValueSchema>>;
}

const schema = JSON.parse(readFileSync(`${CHART}values.schema.json`, 'utf8')) as ValueSchema;
const values = parse(readFileSync(`${CHART}values.yaml`, 'utf8')) as Record<string, unknown>;
const chart = parse(readFileSync(`${CHART}Chart.yaml`, 'utf8')) as Record<string, unknown>;
const project = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as { version: string };

/** What the schema and the values say differently; both must name the same values. */
function differences(of: ValueSchema, given: unknown, path = ''): string[] {
  const { properties } = of;
  if (properties === undefined) return [];
  const known = Object.keys(properties);
  const present = Object.keys(given as object);
  return [
    ...(of.additionalProperties === false ? [] : [`${path} takes anything`]),
    ...known
      .filter((name) => !present.includes(name) && name !== 'global')
      .map((name) => `${path}.${name} has no default`),
    ...present.filter((name) => !known.includes(name)).map((name) => `${path}.${name} is not in the schema`),
    ...known.flatMap((name) => {
      const value = (given as Record<string, unknown>)[name];
      const child = properties[name] ?? {};
      const unexplained = child.description === undefined ? [`${path}.${name} is not explained`] : [];
      return [...unexplained, ...(value === undefined ? [] : differences(child, value, `${path}.${name}`))];
    }),
  ];
}

describe('the values', () => {
  it('are all in the schema, with a default and an explanation', () => {
    // Requests and limits are what Kubernetes calls them.
    const { resources: _, ...rest } = schema.properties ?? {};
    const { resources: __, ...given } = values;
    expect(differences({ ...schema, properties: rest }, given)).toEqual([]);
  });

  it('have comments for people', () => {
    const text = readFileSync(`${CHART}values.yaml`, 'utf8');
    expect(text.match(/^ *#/gm)?.length).toBeGreaterThan(20);
  });
});

it('has the version of the package, as chart and as app', () => {
  expect(chart).toMatchObject({ version: project.version, appVersion: project.version });
});

describe.each(HELM_VERSIONS)('%s', (version) => {
  it.each(INSTALLATIONS)('lints %s without a warning', (installation) => {
    expect(helm(version, 'lint', '--strict', CHART, ...valuesOf(installation))).toContain('0 chart(s) failed');
  });

  it.each([
    ['several pods without Redis', 'replicaCount=2', 'replicaCount is 2, which needs Redis'],
    ['several workers without Redis', 'workers=2', 'workers is 2, which needs Redis'],
    ['aws without a region', 'engine=aws', 'engine is aws, which needs aws.region or aws.pool'],
    ['two places of Redis', 'redis.url=redis://a,redis.existingSecret=b', 'both set'],
    ['the tag latest', 'image.tag=latest', 'image.tag is latest'],
    ['one port for both', 'ports.admin=5001', 'must stay apart'],
    [
      'a variable that a value sets',
      'extraEnv[0].name=GATEWAY_ENGINE,extraEnv[0].value=aws',
      'which another value sets',
    ],
    ['a variable twice', 'extraEnv[0].name=A,extraEnv[0].value=b,extraEnv[1].name=A,extraEnv[1].value=c', 'sets A'],
    ['jwt without a key', 'auth.mode=jwt', 'needs one of auth.jwt.jwksUrl and auth.existingSecret'],
    ['the keys of an issuer for anybody', 'auth.mode=jwt,auth.jwt.jwksUrl=https://a.b/c', 'needs auth.jwt.audience'],
    ['an issuer that nobody asks', 'auth.jwt.issuer=https://a.b', 'does nothing while auth.mode is api_key'],
    ['keys that nobody asks for', 'auth.mode=none,auth.existingSecret=a', 'does nothing while auth.mode is none'],
    ['an origin that is none', 'allowedOrigins[0]=app.example.com', 'allowedOrigins'],
    ['a value that is none', 'replicas=3', 'replicas'],
    ['a value that is none, deeper', 'redis.uri=redis://a', 'uri'],
    ['a text for a number', 'replicaCount=three', 'replicaCount'],
    ['an engine that is none', 'engine=azure', 'engine'],
    ['a Redis that is no URL', 'redis.url=redis.example.com', 'url'],
    ['a variable without a value', 'extraEnv[0].name=A', 'extraEnv'],
  ])('refuses %s and says so', (_name, set, reason) => {
    expect(() => render(version, '--set', set)).toThrow(reason);
  });

  it('takes several pods and workers with Redis, and a pool instead of a region', () => {
    const set =
      'replicaCount=3,workers=4,redis.url=redis://a,engine=aws,aws.pool[0].name=a,aws.pool[0].region=us-east-1';
    expect(render(version, '--set', set)).toContain('kind: PodDisruptionBudget');
  });

  it('lets the chart be part of another one, which gives it global values', () => {
    expect(withoutChance(render(version, '--set', 'global.region=eu'))).toBe(withoutChance(render(version)));
  });
});

it('says after an installation how to get in, and warns where everybody may', () => {
  // Helm 3 asks a cluster even for a dry run of the client.
  const install = (...more: string[]) =>
    helm('helm-4', 'install', 'release', CHART, '--dry-run=client', ...more).split('NOTES:')[1];
  const notes = install();
  expect(notes).toContain("get secret release-transcribe-gateway-api-key -o jsonpath='{.data.key}' | base64 -d");
  expect(notes).not.toContain('WARNING');
  expect(install('--set', 'auth.mode=none')).toContain('WARNING: with auth.mode=none');
  expect(notes).toContain('service/release-transcribe-gateway ');
  expect(notes).toContain('Sessions end with the pod.');
});
