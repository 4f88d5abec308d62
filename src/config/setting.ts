import { z } from 'zod';

/** One setting of the gateway. */
export interface Setting<T> {
  /** Environment variable. Ours start with GATEWAY_; conventional ones keep the name that operators know. */
  readonly variable: string;
  /** Checks and converts the text of the variable. */
  readonly schema: z.ZodType<T, string>;
  /** Undefined when the setting is off or computed unless given. */
  readonly default: T;
  /** How the table names a default that is computed. */
  readonly defaultText?: string;
  readonly unit?: string;
  readonly help: string;
  /** The value is never printed. */
  readonly secret?: boolean;
}

export function setting<T>(definition: Setting<T>): Setting<T> {
  return definition;
}

/** Digits only, so that `1e3`, `0x10` and an empty string are faults and not surprises. */
export function integer(min: number, max: number): z.ZodType<number, string> {
  return z
    .string()
    .regex(/^\d{1,15}$/, 'must be a whole number')
    .transform(Number)
    .refine((n) => n >= min && n <= max, `must be between ${min} and ${max}`);
}

/** A plain decimal number, for factors. */
export function decimal(min: number, max: number): z.ZodType<number, string> {
  return z
    .string()
    .regex(/^\d{1,6}(\.\d{1,6})?$/, 'must be a number such as 1.5')
    .transform(Number)
    .refine((n) => n >= min && n <= max, `must be between ${min} and ${max}`);
}

export function oneOf<const T extends readonly [string, ...string[]]>(values: T): z.ZodType<T[number], string> {
  return z.enum(values, { error: `must be one of ${values.join(', ')}` }) as unknown as z.ZodType<T[number], string>;
}

export const text = z.string().trim().min(1, 'must not be empty');
export const host = text.regex(/^[\w.:%-]+$/, 'must be an IP address or a host name');

/** Several texts with commas between them. */
export const list = z
  .string()
  .transform((value) => value.split(',').map((item) => item.trim()))
  .refine((items) => items.every((item) => item !== ''), 'must be texts with commas between them');
