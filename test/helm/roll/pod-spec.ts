/** What a pod template of the chart says, checked to say nothing that `kubelet.ts` would pass over. */

/** Secrets by name and key. */
export type Secrets = Readonly<Record<string, Readonly<Record<string, string>>>>;

export interface Probe {
  readonly path: string;
  readonly port: string;
  readonly periodSeconds: number;
  readonly timeoutSeconds: number;
  readonly failureThreshold: number;
}

export interface Container {
  readonly image: string;
  readonly command: readonly string[] | undefined;
  readonly args: readonly string[] | undefined;
  readonly env: readonly { readonly name: string; readonly value: string }[];
  /** By name. */
  readonly ports: Readonly<Record<string, number>>;
  readonly limits: { readonly memoryBytes: number | undefined; readonly cpus: number | undefined };
  readonly probes: Readonly<Record<'startup' | 'liveness' | 'readiness', Probe>>;
  readonly securityContext: {
    readonly allowPrivilegeEscalation: boolean;
    readonly readOnlyRootFilesystem: boolean;
    readonly dropped: readonly string[];
  };
}

type Volume = { readonly name: string; readonly path: string } & (
  | { readonly kind: 'memory'; readonly bytes: number }
  | { readonly kind: 'files'; readonly files: Readonly<Record<string, string>> }
);

export interface PodSpec {
  readonly container: Container;
  readonly user: number;
  readonly group: number;
  readonly volumes: readonly Volume[];
  readonly graceSeconds: number;
  readonly preStopSeconds: number;
}

type Fields = Record<string, unknown>;

/** Where a pod is placed and what it may ask of the cluster: there is one node here, and no cluster to ask. */
const WITHOUT_EFFECT = [
  ...['affinity', 'nodeSelector', 'tolerations', 'topologySpreadConstraints', 'priorityClassName'],
  ...['serviceAccountName', 'imagePullSecrets'],
];

/** Reads the fields of an object, each once; what nobody has read at the end is an error. */
class Reader {
  readonly #fields: Fields;
  readonly #path: string;

  constructor(value: unknown, path: string) {
    if (typeof value !== 'object' || value === null) throw new Error(`${path} is no object`);
    this.#fields = { ...value };
    this.#path = path;
  }

  any(name: string): unknown {
    const value = this.#fields[name];
    delete this.#fields[name];
    return value;
  }

  read<T>(name: string, is: (value: unknown) => value is T): T {
    const value = this.any(name);
    if (!is(value)) throw new Error(`${this.#path}.${name} is ${JSON.stringify(value)}`);
    return value;
  }

  /** Undefined where it is absent. */
  maybe<T>(name: string, is: (value: unknown) => value is T): T | undefined {
    return this.#fields[name] === undefined ? undefined : this.read(name, is);
  }

  object(name: string): Reader {
    return new Reader(this.any(name) ?? {}, `${this.#path}.${name}`);
  }

  list(name: string): Reader[] {
    const items = this.any(name) ?? [];
    if (!Array.isArray(items)) throw new Error(`${this.#path}.${name} is no list`);
    return items.map((item, n) => new Reader(item, `${this.#path}.${name}[${n}]`));
  }

  end(): void {
    const left = Object.keys(this.#fields);
    if (left.length > 0) throw new Error(`${this.#path} has fields that are not understood here: ${left.join(', ')}`);
  }
}

const isText = (value: unknown): value is string => typeof value === 'string';
const isNumber = (value: unknown): value is number => typeof value === 'number';
const isTexts = (value: unknown): value is string[] => Array.isArray(value) && value.every(isText);
const isTrue = (value: unknown): value is true => value === true;
const isFalse = (value: unknown): value is false => value === false;
const isBoolean = (value: unknown): value is boolean => typeof value === 'boolean';

/**
 * @param template of a Deployment, as rendered
 * @param secrets that exist where it is installed
 */
export function readPodSpec(template: unknown, secrets: Secrets): PodSpec {
  const whole = new Reader(template, 'template');
  whole.any('metadata');
  const spec = whole.object('spec');
  whole.end();
  for (const name of WITHOUT_EFFECT) spec.any(name);
  // True would put variables of Services into the environment, and a token into the file system.
  spec.read('enableServiceLinks', isFalse);
  spec.read('automountServiceAccountToken', isFalse);
  const graceSeconds = spec.read('terminationGracePeriodSeconds', isNumber);
  const security = spec.object('securityContext');
  security.read('runAsNonRoot', isTrue);
  const user = security.read('runAsUser', isNumber);
  const group = security.read('runAsGroup', isNumber);
  // The engine's own profile is the default there too.
  security.any('seccompProfile');
  security.end();
  const volumes = spec.list('volumes').map((volume) => readVolume(volume, secrets));
  const [first, ...others] = spec.list('containers');
  if (first === undefined || others.length > 0) throw new Error('the pod has not one container');
  spec.end();
  const mounts = first.list('volumeMounts').map((mount) => {
    mount.any('readOnly');
    const facts = { name: mount.read('name', isText), path: mount.read('mountPath', isText) };
    mount.end();
    return facts;
  });
  const lifecycle = first.object('lifecycle');
  const preStop = lifecycle.object('preStop');
  const sleep = preStop.object('sleep');
  const preStopSeconds = sleep.read('seconds', isNumber);
  for (const reader of [sleep, preStop, lifecycle]) reader.end();
  return {
    container: readContainer(first, secrets),
    user,
    group,
    volumes: mounts.map((mount) => {
      const volume = volumes.find(({ name }) => name === mount.name);
      if (volume === undefined) throw new Error(`no volume ${mount.name}`);
      return { ...volume, path: mount.path };
    }),
    graceSeconds,
    preStopSeconds,
  };
}

function readContainer(container: Reader, secrets: Secrets): Container {
  container.any('name');
  container.any('imagePullPolicy');
  const ports = container.list('ports').map((port) => {
    port.any('protocol');
    const entry = [port.read('name', isText), port.read('containerPort', isNumber)] as const;
    port.end();
    return entry;
  });
  const security = container.object('securityContext');
  const capabilities = security.object('capabilities');
  const read = {
    image: container.read('image', isText),
    command: container.maybe('command', isTexts),
    args: container.maybe('args', isTexts),
    env: container.list('env').flatMap((variable) => readVariable(variable, secrets)),
    ports: Object.fromEntries(ports),
    limits: readLimits(container.object('resources')),
    probes: {
      startup: readProbe(container.object('startupProbe')),
      liveness: readProbe(container.object('livenessProbe')),
      readiness: readProbe(container.object('readinessProbe')),
    },
    securityContext: {
      allowPrivilegeEscalation: security.read('allowPrivilegeEscalation', isBoolean),
      readOnlyRootFilesystem: security.read('readOnlyRootFilesystem', isBoolean),
      dropped: capabilities.read('drop', isTexts),
    },
  };
  for (const reader of [capabilities, security, container]) reader.end();
  return read;
}

function readProbe(probe: Reader): Probe {
  const http = probe.object('httpGet');
  const read = {
    path: http.read('path', isText),
    port: http.read('port', isText),
    periodSeconds: probe.read('periodSeconds', isNumber),
    timeoutSeconds: probe.read('timeoutSeconds', isNumber),
    failureThreshold: probe.read('failureThreshold', isNumber),
  };
  http.end();
  probe.end();
  return read;
}

function readVariable(variable: Reader, secrets: Secrets): { name: string; value: string }[] {
  const name = variable.read('name', isText);
  const value = variable.maybe('value', isText);
  if (value !== undefined) {
    variable.end();
    return [{ name, value }];
  }
  const from = variable.object('valueFrom');
  const key = from.object('secretKeyRef');
  const found = secrets[key.read('name', isText)]?.[key.read('key', isText)];
  const isOptional = key.maybe('optional', isBoolean) ?? false;
  for (const reader of [key, from, variable]) reader.end();
  if (found !== undefined) return [{ name, value: found }];
  if (isOptional) return [];
  throw new Error(`${name} comes from a Secret that is not there`);
}

function readLimits(resources: Reader): Container['limits'] {
  // What is asked for decides where a pod is placed, and there is one node.
  resources.any('requests');
  const limits = resources.object('limits');
  const memory = limits.maybe('memory', isText);
  const cpu = limits.maybe('cpu', isText);
  limits.end();
  resources.end();
  return {
    memoryBytes: memory === undefined ? undefined : bytesOf(memory),
    cpus: cpu === undefined ? undefined : cpusOf(cpu),
  };
}

function readVolume(volume: Reader, secrets: Secrets): Volume {
  const name = volume.read('name', isText);
  const memory = volume.any('emptyDir');
  if (memory !== undefined) {
    volume.end();
    const empty = new Reader(memory, `volume ${name}`);
    const bytes = bytesOf(empty.read('sizeLimit', isText));
    empty.any('medium');
    empty.end();
    return { name, path: '', kind: 'memory', bytes };
  }
  const source = volume.object('secret');
  volume.end();
  const secretName = source.read('secretName', isText);
  const items = source.list('items').map((item) => {
    const entry = { key: item.read('key', isText), path: item.read('path', isText) };
    item.end();
    return entry;
  });
  source.end();
  const secret = secrets[secretName];
  if (secret === undefined) throw new Error(`volume ${name} comes from a Secret that is not there`);
  const files = items.map(({ key, path }) => {
    const content = secret[key];
    if (content === undefined) throw new Error(`Secret ${secretName} has no ${key}`);
    return [path, content] as const;
  });
  return { name, path: '', kind: 'files', files: Object.fromEntries(files) };
}

const UNITS: Readonly<Record<string, number>> = {
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  '': 1,
};

/** A quantity of memory, such as `512Mi`. */
function bytesOf(quantity: string): number {
  const [, number, unit = ''] = /^(\d+)([A-Za-z]*)$/.exec(quantity) ?? [];
  const factor = UNITS[unit];
  if (number === undefined || factor === undefined) throw new Error(`${quantity} is no quantity of memory`);
  return Number(number) * factor;
}

/** A quantity of processors, such as `2` or `500m`. */
function cpusOf(quantity: string): number {
  const [, number, unit] = /^(\d+(?:\.\d+)?)(m?)$/.exec(quantity) ?? [];
  if (number === undefined) throw new Error(`${quantity} is no quantity of processors`);
  return Number(number) / (unit === 'm' ? 1_000 : 1);
}
