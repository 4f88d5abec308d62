import { readFileSync } from 'node:fs';
import { parse } from 'yaml';
import { CHART } from './helm.ts';

/** As much of JSON Schema as values.schema.json says of a value. */
export interface ValueSchema {
  readonly description?: string;
  readonly type?: string | readonly string[];
  readonly enum?: readonly string[];
  readonly $ref?: string;
  /** What is called otherwise here, and is refused with the right name. */
  readonly deprecated?: boolean;
  readonly additionalProperties?: unknown;
  readonly properties?: Readonly<Record<string, ValueSchema>>;
}

/** The schema of all values. */
export const SCHEMA = JSON.parse(readFileSync(`${CHART}values.schema.json`, 'utf8')) as ValueSchema & {
  readonly definitions: Readonly<Record<string, ValueSchema>>;
};

/** The values that hold where nothing is said. */
export const VALUES = parse(readFileSync(`${CHART}values.yaml`, 'utf8')) as Record<string, unknown>;

/** The schema of a value, whatever it refers to. */
export function resolved(schema: ValueSchema): ValueSchema {
  const name = schema.$ref?.replace('#/definitions/', '');
  return name === undefined ? schema : { ...SCHEMA.definitions[name], ...schema };
}
