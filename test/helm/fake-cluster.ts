import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { MODELS } from './kinds.ts';

/** An object of the cluster, as its API gives it. */
interface Stored {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string };
}

/**
 * As much of the API of Kubernetes as helm asks when it renders with a cluster at hand: which kinds there are, and objects of the
 * namespace `default`. It takes nothing.
 */
export class FakeCluster {
  readonly #server: Server;
  readonly #answers: ReadonlyMap<string, unknown>;

  private constructor(objects: readonly Stored[]) {
    this.#answers = new Map<string, unknown>([
      ...discovery(),
      ...objects.map((object) => [pathOf(object), object] as const),
    ]);
    this.#server = createServer((request, response) => {
      const [path = ''] = (request.url ?? '').split('?');
      const answer = request.method === 'GET' ? this.#answers.get(path) : undefined;
      response.writeHead(answer === undefined ? 404 : 200, { 'content-type': 'application/json' });
      response.end(JSON.stringify(answer ?? { kind: 'Status', apiVersion: 'v1', reason: 'NotFound', code: 404 }));
    });
  }

  static async with(objects: readonly Stored[]): Promise<FakeCluster> {
    const cluster = new FakeCluster(objects);
    await new Promise<void>((resolve) => cluster.#server.listen(0, '127.0.0.1', resolve));
    return cluster;
  }

  /** What makes helm ask this cluster and no other. */
  get arguments(): readonly string[] {
    const { port } = this.#server.address() as AddressInfo;
    const here = ['--kube-apiserver', `http://127.0.0.1:${port}`, '--kubeconfig', '/dev/null'];
    return ['--dry-run=server', '--disable-openapi-validation', ...here];
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

/** The lists of kinds: those that the chart renders. */
function discovery(): [string, unknown][] {
  const kinds = Object.keys(MODELS).map((name) => ({
    version: name.slice(0, name.lastIndexOf('/')),
    kind: name.slice(name.lastIndexOf('/') + 1),
  }));
  const versions = [...new Set(kinds.map(({ version }) => version))];
  const groups = versions.filter((version) => version.includes('/'));
  return [
    ['/version', { major: '1', minor: '33', gitVersion: 'v1.33.0' }],
    ['/api', { kind: 'APIVersions', versions: ['v1'] }],
    [
      '/apis',
      {
        kind: 'APIGroupList',
        apiVersion: 'v1',
        groups: groups.map((groupVersion) => {
          const [name, version] = groupVersion.split('/');
          return { name, versions: [{ groupVersion, version }], preferredVersion: { groupVersion, version } };
        }),
      },
    ],
    ...versions.map((groupVersion): [string, unknown] => [
      root(groupVersion),
      {
        kind: 'APIResourceList',
        apiVersion: 'v1',
        groupVersion,
        resources: kinds
          .filter(({ version }) => version === groupVersion)
          .map(({ kind }) => ({ name: plural(kind), singularName: '', namespaced: true, kind, verbs: ['get'] })),
      },
    ]),
  ];
}

function pathOf({ apiVersion, kind, metadata }: Stored): string {
  return `${root(apiVersion)}/namespaces/default/${plural(kind)}/${metadata.name}`;
}

function root(groupVersion: string): string {
  return groupVersion.includes('/') ? `/apis/${groupVersion}` : `/api/${groupVersion}`;
}

function plural(kind: string): string {
  return kind.toLowerCase().replace(/y$/, 'ie').replace(/ss$/, 'sse').concat('s');
}
