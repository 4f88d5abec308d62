import { ConfigError, type ConfigFault, HIDDEN } from './config-error.ts';
import { contradictions } from './contradictions.ts';
import { type Config, SETTINGS } from './schema.ts';

const OUR_PREFIX = 'GATEWAY_';

/**
 * Kubernetes injects these for a Service whose name ends in "gateway": GATEWAY_SERVICE_HOST, GATEWAY_SERVICE_PORT_HTTP,
 * GATEWAY_PORT, GATEWAY_PORT_5001_TCP_ADDR and so on. They are not settings and must not stop the start.
 */
const KUBERNETES_SERVICE_VARIABLE =
  /^GATEWAY_(?:\w+_)?(?:SERVICE_HOST|SERVICE_PORT(?:_\w+)?|PORT_\d+_(?:TCP|UDP|SCTP)(?:_(?:PROTO|PORT|ADDR))?)$/;

/**
 * The bare `GATEWAY_PORT` of the same family is told by its value, a URL. Its name may be that of a setting: a Service
 * named "gateway-admin" brings GATEWAY_ADMIN_PORT.
 */
const KUBERNETES_PORT_URL = /^(?:tcp|udp|sctp):\/\//;

function isKubernetesPort(variable: string, value: string): boolean {
  return variable.endsWith('_PORT') && KUBERNETES_PORT_URL.test(value);
}

/**
 * Reads the whole configuration. A variable that is unset, empty, or injected by Kubernetes means the default: an empty
 * one is how compose files and charts say "not given".
 *
 * @throws ConfigError that lists every fault by name and value
 */
export function loadConfig(environment: Readonly<Record<string, string | undefined>> = process.env): Config {
  const faults: ConfigFault[] = [];
  const values: Record<string, unknown> = {};
  const known = new Set<string>();

  for (const [key, definition] of Object.entries(SETTINGS)) {
    known.add(definition.variable);
    const value = environment[definition.variable];
    if (value === undefined || value === '' || isKubernetesPort(definition.variable, value)) {
      values[key] = definition.default;
      continue;
    }
    const parsed = definition.schema.safeParse(value);
    if (parsed.success) values[key] = parsed.data;
    else {
      const shown = definition.secret === true ? HIDDEN : value;
      faults.push({ variable: definition.variable, value: shown, problem: problemsOf(parsed.error) });
    }
  }

  for (const [variable, value] of Object.entries(environment)) {
    if (!variable.startsWith(OUR_PREFIX) || known.has(variable) || value === undefined) continue;
    if (KUBERNETES_SERVICE_VARIABLE.test(variable) || isKubernetesPort(variable, value)) continue;
    faults.push({ variable, value, problem: unknownVariable(variable, known) });
  }

  faults.push(...contradictions(values as Partial<Config>));
  if (faults.length > 0) throw new ConfigError(faults);
  return Object.freeze(values) as unknown as Config;
}

function problemsOf(error: { issues: readonly { message: string }[] }): string {
  return error.issues.map((issue) => issue.message).join(', ');
}

function unknownVariable(variable: string, known: ReadonlySet<string>): string {
  const conventional = variable.slice(OUR_PREFIX.length);
  const near = known.has(conventional)
    ? conventional
    : [...known].find((name) => name.startsWith(OUR_PREFIX) && isNear(name, variable));
  return near === undefined
    ? 'is not a setting of this version'
    : `is not a setting of this version; did you mean ${near}?`;
}

/** Close enough for a hint: the same letters but for at most two, which catches typing errors and plurals. */
function isNear(a: string, b: string): boolean {
  if (Math.abs(a.length - b.length) > 2) return false;
  let start = 0;
  while (start < a.length && a[start] === b[start]) start++;
  let end = 0;
  while (end < a.length - start && end < b.length - start && a.at(-1 - end) === b.at(-1 - end)) end++;
  return Math.max(a.length, b.length) - start - end <= 2;
}
