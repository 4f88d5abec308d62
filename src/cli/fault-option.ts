import { FAULT_RULE, type Fault, type FaultRule } from '../emulator/faults.ts';
import { parseMsRange } from './ms-range.ts';

const FORM = 'KIND:RATE[,FIELD=VALUE…]';

/** The faults that the emulator knows, each with the fields of its own schema, so that none is listed twice. */
const FIELDS = new Map(
  FAULT_RULE.shape.fault.options.map(({ shape: { kind, ...fields } }) => [kind.value, Object.entries(fields)]),
);

/**
 * Reads a rule by which a fault strikes new streams at a rate, such as `http_error:0.01,status=503`.
 * @throws Error whose message says what is wrong
 */
export function parseFault(text: string): FaultRule {
  const [head = '', ...assignments] = text.split(',');
  const [kind = '', rate] = head.split(':');
  if (rate === undefined) throw new Error(`It must be like ${FORM}.`);
  const fields = FIELDS.get(kind as Fault['kind']);
  if (fields === undefined) throw new Error(`There is no fault "${kind}"; there are ${[...FIELDS.keys()].join(', ')}.`);
  const values = Object.fromEntries(assignments.map((assignment) => parseField(kind, fields, assignment)));
  const missing = fields.filter(([name, schema]) => !(name in values) && !schema.safeParse(undefined).success);
  if (missing.length > 0) throw new Error(`The fault ${kind} needs ${missing.map(([name]) => name).join(', ')}.`);
  return { fault: { kind, ...values } as FaultRule['fault'], rate: parseRate(rate) };
}

/** A table of the faults for `--help`. */
export function faultsHelp(): string {
  const width = Math.max(...[...FIELDS.keys()].map((kind) => kind.length));
  const rows = [...FIELDS].map(([kind, fields]) => {
    const names = fields.map(([name, schema]) => (schema.safeParse(undefined).success ? `[${name}]` : name));
    return `  ${kind.padEnd(width)}  ${names.join(' ')}`.trimEnd();
  });
  return `
Faults are given as ${FORM}, such as
--fault exception:0.01,exception=LimitExceededException,afterAudioMs=1000-5000. The rate is the
share of new streams that get the fault, 0 to 1; fields in brackets may be left out. afterAudioMs
is the audio after which the fault strikes, in milliseconds, or a range to draw it from.

${rows.join('\n')}`;
}

function parseRate(text: string): number {
  const rate = Number(text);
  if (!/^\d*\.?\d+$/.test(text) || rate > 1) throw new Error('The rate must be between 0 and 1, such as 0.01.');
  return rate;
}

type Field = NonNullable<ReturnType<typeof FIELDS.get>>[number];

function parseField(kind: string, fields: readonly Field[], assignment: string): [string, unknown] {
  const [name = '', ...rest] = assignment.split('=');
  const text = rest.join('=');
  if (rest.length === 0) throw new Error(`A field must be like ${FORM}.`);
  const schema = fields.find(([known]) => known === name)?.[1];
  if (schema === undefined) {
    throw new Error(`The fault ${kind} has no ${name}; it has ${fields.map(([known]) => known).join(', ')}.`);
  }
  // A field that takes text takes digits too.
  const value = schema.safeParse(text).success ? text : toValue(text);
  const [issue] = schema.safeParse(value).error?.issues ?? [];
  if (issue === undefined) return [name, value];
  const problem = issue.code === 'invalid_union' ? 'it must be milliseconds or a range of them' : issue.message;
  throw new Error(`${name}: ${problem}: ${text}`);
}

function toValue(text: string): unknown {
  return /^-?\d+$/.test(text) ? Number(text) : (parseMsRange(text) ?? text);
}
