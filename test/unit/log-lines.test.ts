import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseSync } from '@swc/core';
import { describe, expect, it } from 'vitest';

/**
 * Walks the source for every call of a logger. A line must be a static text with tagged fields, so that no transcript,
 * audio, token or identity can get into a log by way of string building, and its fields must be among these.
 */
const SOURCE = new URL('../../src/', import.meta.url).pathname;
const LEVELS = new Set(['fatal', 'error', 'warn', 'info', 'debug', 'trace']);
const FORBIDDEN_FIELD =
  /text|transcript|audio(?!_ms)|chunk|token|secret|password|user|principal|subject|address|content|word/i;

type Node = { readonly type?: string; readonly [key: string]: unknown };

interface LogCall {
  readonly file: string;
  readonly method: string;
  readonly args: readonly Node[];
}

function* nodesOf(value: unknown): Generator<Node> {
  if (Array.isArray(value)) for (const one of value) yield* nodesOf(one);
  else if (typeof value === 'object' && value !== null) {
    const node = value as Node;
    if (typeof node.type === 'string') yield node;
    for (const child of Object.values(node)) yield* nodesOf(child);
  }
}

/** The last name of `log`, `this.#log`, `this.#options.log`. */
function lastName(node: Node): string | undefined {
  if (node.type === 'Identifier' || node.type === 'PrivateName') return String(node.value ?? (node.id as Node)?.value);
  if (node.type === 'MemberExpression') return lastName(node.property as Node);
  return undefined;
}

function logCallsOf(file: string, source: string): LogCall[] {
  const calls: LogCall[] = [];
  for (const node of nodesOf(parseSync(source, { syntax: 'typescript', target: 'es2024' }))) {
    const callee = node.callee as Node | undefined;
    if (node.type !== 'CallExpression' || callee?.type !== 'MemberExpression') continue;
    const method = lastName(callee.property as Node) ?? '';
    if (!/^(log|logger|\w+Log)$/.test(lastName(callee.object as Node) ?? '')) continue;
    if (!LEVELS.has(method) && method !== 'child') continue;
    const args = (node.arguments as { expression: Node }[]).map((argument) => argument.expression);
    calls.push({ file, method, args });
  }
  return calls;
}

function faultOf({ method, args }: LogCall): string | undefined {
  const message = method === 'child' ? undefined : args.at(-1);
  const fields = method === 'child' || args.length > 1 ? args[0] : undefined;
  if (method !== 'child' && message?.type !== 'StringLiteral') return 'its message is not a static text';
  if (args.length > 2) return 'it has more than fields and a message';
  if (fields === undefined) return undefined;
  // A name for a literal that stands nearby is fine as long as it is called facts.
  if (fields.type === 'Identifier') return lastName(fields) === 'facts' ? undefined : 'its fields are not a literal';
  if (fields.type !== 'ObjectExpression') return 'its fields are not a literal';
  for (const property of fields.properties as Node[]) {
    const name = property.type === 'Identifier' ? property.value : (property.key as Node | undefined)?.value;
    if (typeof name !== 'string') return 'a field has no static name';
    if (FORBIDDEN_FIELD.test(name)) return `its field ${name} may hold what is private`;
  }
  return undefined;
}

const calls = readdirSync(SOURCE, { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.ts'))
  .flatMap((file) => logCallsOf(file, readFileSync(join(SOURCE, file), 'utf8')));

describe('log lines', () => {
  it('are found by the walk', () => {
    expect(calls.length).toBeGreaterThan(15);
    expect(calls.some((call) => call.file === 'session/session.ts')).toBe(true);
  });

  it('are static texts with tagged fields, none of them private', () => {
    const faults = calls.flatMap((call) => {
      const fault = faultOf(call);
      return fault === undefined ? [] : [`${call.file}: log.${call.method}: ${fault}`];
    });
    expect(faults).toEqual([]);
  });

  it.each([
    // biome-ignore lint/suspicious/noTemplateCurlyInString: it is source text, to be refused
    'log.info(`said ${text}`)',
    'log.info({ text }, "result")',
    'log.warn({ transcript: r }, "result")',
    'log.info(result, "result")',
    'log.info("a" + b)',
    'this.#options.log.error({ ...all }, "x")',
    'log.child({ token: t })',
  ])('would be refused if they were %s', (source) => {
    const [call] = logCallsOf('x.ts', source);
    expect(call).toBeDefined();
    expect(call && faultOf(call)).toBeDefined();
  });
});
