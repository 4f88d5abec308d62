import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { chartReadme } from './chart-readme.ts';
import { resolved, SCHEMA, VALUES, type ValueSchema } from './chart-values.ts';
import { CHART, HELM_VERSIONS, helm, INSTALLATIONS, render, valuesOf, withoutChance } from './helm.ts';

const chart = parse(readFileSync(`${CHART}Chart.yaml`, 'utf8')) as Record<string, unknown>;
const project = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as { version: string };

/** Names that values had or have elsewhere, and those that they have here. */
const RENAMED: readonly [old: string, now: string][] = Object.entries(
  parse(/renamedValues" -\}\}\n([^{]*)/.exec(readFileSync(`${CHART}templates/_checks.tpl`, 'utf8'))?.[1] ?? ''),
);
const SCALED = 'redis.url=redis://a,autoscaling.mode=prometheus-adapter';

/** The names in the schema that are there to be refused. */
function deprecated(of: ValueSchema, path: readonly string[] = []): string[] {
  return Object.entries(resolved(of).properties ?? {}).flatMap(([name, child]) =>
    // What has names in it that are refused is none by itself.
    child.deprecated === true && child.properties === undefined
      ? [[...path, name].join('.')]
      : deprecated(child, [...path, name]),
  );
}

/** What the schema and the values say differently; both must name the same values. */
function differences(unresolved: ValueSchema, given: unknown, path = ''): string[] {
  const of = resolved(unresolved);
  const { properties } = of;
  if (properties === undefined) return [];
  const known = Object.keys(properties).filter((name) => properties[name]?.deprecated !== true);
  const present = Object.keys(given as object);
  return [
    ...(of.additionalProperties === false ? [] : [`${path} takes anything`]),
    ...known
      // Requests and limits are what Kubernetes has, and not each has a default.
      .filter((name) => !present.includes(name) && name !== 'global' && !path.includes('.resources.'))
      .map((name) => `${path}.${name} has no default`),
    ...present.filter((name) => !known.includes(name)).map((name) => `${path}.${name} is not in the schema`),
    ...known.flatMap((name) => {
      const value = (given as Record<string, unknown>)[name];
      const child = properties[name] ?? {};
      const isExplained = child.description !== undefined || path.includes('.resources.');
      const unexplained = isExplained ? [] : [`${path}.${name} is not explained`];
      return [...unexplained, ...(value === undefined ? [] : differences(child, value, `${path}.${name}`))];
    }),
  ];
}

describe('the values', () => {
  it('are all in the schema, with a default and an explanation', () => {
    expect(differences(SCHEMA, VALUES)).toEqual([]);
  });

  it('of another name are in the schema, each with the right one, and that one exists', () => {
    expect(deprecated(SCHEMA).sort()).toEqual(RENAMED.map(([old]) => old).sort());
    for (const [, now] of RENAMED) {
      const place = now.split('.').reduce<unknown>((of, name) => (of as Record<string, unknown>)[name], VALUES);
      expect(place, now).toBeDefined();
    }
  });

  it('have comments for people', () => {
    const text = readFileSync(`${CHART}values.yaml`, 'utf8');
    expect(text.match(/^ *#/gm)?.length).toBeGreaterThan(20);
  });
});

it('has a README with the table of its values; npm run docs:chart writes it', () => {
  const { expected, found } = chartReadme();
  expect(found).toBe(expected);
  expect(found).toContain('<!-- generated: values -->');
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
    ['an autoscaler without Redis', 'autoscaling.mode=keda', 'autoscaling.maxReplicas is 10, which needs Redis'],
    ['fewer pods than it wants', `${SCALED},autoscaling.minReplicas=11`, 'minReplicas is 11, more than'],
    ['KEDA without Prometheus', 'redis.url=redis://a,autoscaling.mode=keda', 'needs autoscaling.keda.serverAddress'],
    ['a rule that nobody asks for', 'autoscaling.prometheusAdapter.createConfigMap=true', 'does nothing while'],
    ['an Ingress for everybody', 'ingress.enabled=true', 'needs ingress.hosts'],
    ['a route of no Gateway', 'httpRoute.enabled=true', 'needs httpRoute.parentRefs'],
    ['stickiness of no route', 'httpRoute.implementation=istio', 'does nothing without httpRoute.enabled'],
    [
      'a policy against Prometheus',
      'networkPolicy.enabled=true,serviceMonitor.enabled=true',
      'Prometheus cannot scrape',
    ],
    ['a policy against an autoscaler', `${SCALED},networkPolicy.enabled=true`, 'Prometheus cannot scrape'],
    ['egress without a policy', 'networkPolicy.egress.enabled=true', 'does nothing without networkPolicy.enabled'],
    ['a probe that is not let in', 'probe.enabled=true,auth.existingSecret=a', 'needs probe.existingSecret'],
    ['a probe without a token', 'probe.enabled=true,auth.mode=jwt,auth.existingSecret=a', 'a Secret with a token'],
    ['a token that nobody asks for', 'probe.existingSecret=a,auth.mode=none', 'does nothing while auth.mode is none'],
    ['the authority of no Redis', 'redis.caExistingSecret=a', 'does nothing without redis'],
    ['an autoscaler that is none', 'autoscaling.mode=hpa', 'mode'],
    ['a host that is a URL', 'ingress.enabled=true,ingress.hosts[0]=https://a.b', 'hosts'],
    ['a volume without a name', 'extraVolumes[0].emptyDir.sizeLimit=1Mi', 'extraVolumes'],
    ['a digest that is none', 'image.digest=abc', 'digest'],
    ['a root user', 'runAsUser=0', 'runAsUser'],
    ['a schedule that is none', 'probe.schedule=often', 'schedule'],
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
    ['a value that is none', 'replicaCounts=3', 'replicaCounts'],
    ['a value that is none, deeper', 'redis.uri=redis://a', 'uri'],
    ['a text for a number', 'replicaCount=three', 'replicaCount'],
    ['an engine that is none', 'engine=azure', 'engine'],
    ['a Redis that is no URL', 'redis.url=redis.example.com', 'url'],
    ['a variable without a value', 'extraEnv[0].name=A', 'extraEnv'],
  ])('refuses %s and says so', (_name, set, reason) => {
    expect(() => render(version, '--set', set)).toThrow(reason);
  });

  it.each(RENAMED)('refuses %s, and says that it is %s here', (old, now) => {
    expect(() => render(version, '--set', `${old}=false`)).toThrow(`${old} is called ${now} here. Rename it.`);
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

describe('after an installation', () => {
  // Helm 3 asks a cluster even for a dry run of the client.
  const notes = (...sets: string[]) => {
    const args = sets.flatMap((set) => ['--set', set]);
    return helm('helm-4', 'install', 'release', CHART, '--dry-run=client', ...args).split('NOTES:')[1];
  };

  it('the notes say how to get in and what to test it with', () => {
    const text = notes();
    expect(text).toContain("get secret release-transcribe-gateway-api-key -o jsonpath='{.data.key}' | base64 -d");
    expect(text).toContain('service/release-transcribe-gateway ');
    expect(text).toContain('http://release-transcribe-gateway.default:80 inside the cluster');
    expect(text).toContain('helm -n default test release --logs');
    expect(text).toContain('Sessions end with the pod.');
    expect(text).not.toContain('WARNING');
  });

  it('the notes warn where everybody may come in, and where clients would not be told apart', () => {
    expect(notes('auth.mode=none')).toContain('WARNING: with auth.mode=none');
    const routed = notes('httpRoute.enabled=true,httpRoute.parentRefs[0].name=a,httpRoute.hostnames[0]=b.example.com');
    expect(routed).toContain('  b.example.com');
    expect(routed).toContain('WARNING: trustedProxies is 0');
    expect(routed).toContain('WARNING: httpRoute.implementation is not set');
    const ingress = 'ingress.enabled=true,ingress.hosts[0]=a.example.com,ingress.tls[0].secretName=a,trustedProxies=1';
    expect(notes(ingress)).toContain('https://a.example.com');
    expect(notes(ingress)).not.toContain('WARNING');
  });

  it.each(INSTALLATIONS)('the notes are whole with %s', (installation) => {
    const text = helm('helm-4', 'install', 'release', CHART, '--dry-run=client', ...valuesOf(installation));
    expect(text.split('NOTES:')[1]).toMatch(/Health and metrics: service\/[a-z-]+-admin, port \d+/);
    expect(text).not.toMatch(/<no value>|%!|map\[/);
  });

  it('the notes name what is missing for a test and for an autoscaler', () => {
    expect(notes('auth.existingSecret=a')).toContain('set probe.existingSecret');
    expect(notes(SCALED)).toContain('/namespaces/default/pods/*/transcribe_gateway_sessions');
  });
});
