import { readFileSync } from 'node:fs';

/** The atomic operations: each is a file in `lua/`, whose header lists keys, arguments and answers. */
export const SCRIPT_NAMES = [
  ...(['create', 'claim', 'append', 'stop', 'update', 'read', 'rebuild', 'remove'] as const),
  ...(['acquire', 'renew', 'release'] as const),
  ...(['ask', 'hold', 'note'] as const),
  ...(['spend'] as const),
] as const;
export type ScriptName = (typeof SCRIPT_NAMES)[number];

/** The text of an operation as it is in its file. */
export function scriptText(name: ScriptName | 'common'): string {
  return readFileSync(new URL(`./lua/${name}.lua`, import.meta.url), 'utf8');
}

/** The operations as ioredis takes them. The number of keys is given with each call, since some have many. */
export function loadScripts(): Record<ScriptName, { lua: string }> {
  const common = scriptText('common');
  const entries = SCRIPT_NAMES.map((name) => [name, { lua: `${common}\n${scriptText(name)}` }]);
  return Object.fromEntries(entries) as Record<ScriptName, { lua: string }>;
}
