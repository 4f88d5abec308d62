import { type Config, SETTINGS } from './schema.ts';

/** Names the variable, shows its value and says what is wrong with it. */
export interface ConfigFault {
  readonly variable: string;
  readonly value: string;
  readonly problem: string;
}

/** Thrown with every fault at once, so that an operator mends them in one go. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
  readonly faults: readonly ConfigFault[];

  constructor(faults: readonly ConfigFault[]) {
    const lines = faults.map((f) => `  ${f.variable}=${JSON.stringify(f.value)} ${f.problem}`);
    super(`The configuration has ${faults.length === 1 ? 'a fault' : `${faults.length} faults`}:\n${lines.join('\n')}`);
    this.faults = faults;
  }
}

const OUR_PREFIX = 'GATEWAY_';

/** What is shown of a secret. */
export const HIDDEN = '***';

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

  if (portsClash(values as Partial<Config>)) {
    faults.push({
      variable: SETTINGS.adminPort.variable,
      value: String(values.adminPort),
      problem: `must differ from ${SETTINGS.port.variable}, unless the hosts are two addresses`,
    });
  }
  const { workers, redisUrl } = values as Partial<Config>;
  // A Redis that is at fault itself is absent from the values, and named already.
  if (workers !== undefined && workers > 1 && redisUrl === undefined && 'redisUrl' in values) {
    faults.push({
      variable: SETTINGS.workers.variable,
      value: String(workers),
      problem: `needs ${SETTINGS.redisUrl.variable}: a client that returns may meet another worker, which finds its session there`,
    });
  }
  if (faults.length > 0) throw new ConfigError(faults);
  return Object.freeze(values) as unknown as Config;
}

/** An address of zeros alone, in any spelling: it stands for all the others. */
const WILDCARD_HOST = /^[0.:]+$/;

/**
 * Whether both servers are certain to want the same port of the same address. A value that is at fault itself is absent
 * and proves nothing. Two spellings of one address are left to the operating system, which refuses the second server.
 */
function portsClash({ host, port, adminHost, adminPort }: Partial<Config>): boolean {
  if (port === undefined || port === 0 || port !== adminPort) return false;
  const isWildcard = (name: string | undefined) => name !== undefined && WILDCARD_HOST.test(name);
  const isSame = host !== undefined && host.toLowerCase() === adminHost?.toLowerCase();
  return isSame || isWildcard(host) || isWildcard(adminHost);
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
