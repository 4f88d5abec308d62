/**
 * The direction of the house: main → cli → cluster → app → socket, http, admin → session → engines → limits, resume → store →
 * metrics → auth → errors, log, protocol, config types. A folder may import those after it, never those before it. The client
 * library stands beside the server: of all that it may know only the protocol.
 */
const LAYERS = [
  ['main', '^src/(main\\.ts|bin\\.js)$'],
  ['cli', '^src/cli/'],
  ['cluster', '^src/(cluster/|lifecycle\\.ts)'],
  ['app', '^src/app\\.ts$'],
  ['doors', '^src/(socket|http|admin|emulator)/'],
  ['session', '^src/session/'],
  ['engines', '^src/engines/'],
  ['limits', '^src/limits/'],
  ['resume', '^src/resume/'],
  ['store', '^src/store/'],
  ['metrics', '^src/metrics/'],
  ['auth', '^src/auth/'],
  ['client', '^src/client/'],
  [
    'base',
    '^src/(protocol|config)/|^src/(backoff|errors|failpoints|log|same-hash|version|speech-sample|watched-files)\\.ts$',
  ],
];

const upward = LAYERS.slice(1).map(([name, path], index) => ({
  name: `${name}-imports-upward`,
  comment: `${name} may import only itself and the layers below it`,
  severity: 'error',
  from: { path },
  to: {
    path: LAYERS.slice(0, index + 1)
      .map(([, above]) => above)
      .join('|'),
  },
}));

export default {
  forbidden: [
    { name: 'no-cycles', severity: 'error', from: {}, to: { circular: true } },
    ...upward,
    {
      name: 'session-knows-contracts-only',
      severity: 'error',
      from: { path: '^src/session/' },
      to: { path: '^src/(engines|store)/', pathNot: '^src/(engines/engine|store/(store|session-id))\\.ts$' },
    },
    {
      name: 'engines-are-chosen-in-one-place',
      severity: 'error',
      from: { path: '^src/', pathNot: '^src/engines/' },
      to: { path: '^src/engines/(local|scripted|aws)/' },
    },
    {
      name: 'hosted-engines-are-any-engines',
      comment: 'what carries an engine to another process knows the contract, and none of the engines',
      severity: 'error',
      from: { path: '^src/engines/hosted/' },
      to: { path: '^src/engines/', pathNot: '^src/engines/(hosted/|(engine|result-queue)\\.ts$)' },
    },
    {
      name: 'stores-are-chosen-in-one-place',
      severity: 'error',
      from: { path: '^src/', pathNot: '^src/store/' },
      to: { path: '^src/store/', pathNot: '^src/store/(index|store|leases|ledger|quota|rates|session-id)\\.ts$' },
    },
    {
      name: 'emulator-and-engine-share-no-code',
      comment: 'otherwise both could agree on a wrong wire',
      severity: 'error',
      from: { path: '^src/emulator/' },
      to: { path: '^src/engines/', pathNot: '^src/engines/engine\\.ts$' },
    },
    {
      name: 'client-knows-the-protocol-only',
      comment: 'it runs in browsers and phones',
      severity: 'error',
      from: { path: '^src/client/' },
      to: { path: '^src/', pathNot: '^src/(client|protocol)/' },
    },
    {
      name: 'client-needs-no-node',
      severity: 'error',
      from: { path: '^src/client/' },
      to: { dependencyTypes: ['core'] },
    },
    {
      name: 'client-reaches-no-server-code',
      comment: 'a file of the protocol that the client needs may not bring in what servers check it with',
      severity: 'error',
      from: { path: '^src/client/' },
      to: { reachable: true, path: '^src/(?!client/|protocol/)|^node_modules/(?!socket\\.io-client/)' },
    },
    { name: 'no-unresolvable', severity: 'error', from: {}, to: { couldNotResolve: true } },
    {
      name: 'no-dev-dependencies-at-run-time',
      severity: 'error',
      from: { path: '^src/' },
      to: { dependencyTypes: ['npm-dev'], dependencyTypesNot: ['type-only'] },
    },
  ],
  options: {
    parser: 'swc',
    tsPreCompilationDeps: true,
    doNotFollow: { path: 'node_modules' },
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['import', 'node', 'default'] },
  },
};
