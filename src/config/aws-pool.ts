import { z } from 'zod';

/** One region or account of the pool that streams are opened in. */
export interface AwsPoolEntry {
  /** Label in metrics and log lines. */
  readonly name: string;
  readonly region: string;
  /** Default: the public endpoint of the region. */
  readonly endpoint?: string | undefined;
  /** Assumed with the credentials of the SDK's default chain. */
  readonly roleArn?: string | undefined;
  /** The lowest comes first; a higher one is used only while none of the lower opens a stream. */
  readonly priority: number;
  /** Share of the streams among the entries of one priority. */
  readonly weight: number;
  /** Streams at a time that the account grants in the region; default: the setting for all entries. */
  readonly streams?: number | undefined;
  /** Starts in a second; the same. */
  readonly startsPerSecond?: number | undefined;
}

/** Each entry is a label of metrics and holds connections of its own. */
const MAX_ENTRIES = 16;

const AWS_REGION = /^[a-z]{2,4}(-[a-z]+)+-\d{1,2}$/;

export function isAwsRegion(value: string): boolean {
  return AWS_REGION.test(value);
}

export const httpUrl = z.string().refine((value) => {
  if (!URL.canParse(value)) return false;
  const { protocol, username, password, search, hash } = new URL(value);
  return /^https?:$/.test(protocol) && username + password + search + hash === '';
}, 'must be an http:// or https:// URL without credentials and query');

const ENTRY = z
  .strictObject({
    name: z.string().regex(/^[\w.-]{1,64}$/, 'must be letters, digits, dots, hyphens or underscores'),
    region: z.string().refine(isAwsRegion, 'must be the code of a region, such as us-east-1'),
    endpoint: httpUrl.optional(),
    role_arn: z
      .string()
      .regex(/^arn:aws[\w-]*:iam::\d{12}:role\/[\w+=,.@/-]{1,512}$/, 'must be the ARN of an IAM role')
      .optional(),
    priority: z.number().int().min(0).max(1000).default(1),
    weight: z.number().int().min(1).max(1000).default(1),
    streams: z.number().int().min(1).max(1_000_000).optional(),
    starts_per_second: z.number().int().min(1).max(1_000_000).optional(),
  })
  .transform(
    ({ role_arn, starts_per_second, ...rest }): AwsPoolEntry => ({
      ...rest,
      roleArn: role_arn,
      startsPerSecond: starts_per_second,
    }),
  );

const POOL = z
  .array(ENTRY)
  .min(1, 'must have an entry')
  .max(MAX_ENTRIES, `must not have more than ${MAX_ENTRIES} entries`)
  .refine((pool) => new Set(pool.map(({ name }) => name)).size === pool.length, 'must not have a name twice');

/** A JSON array of entries; faults are named by their place, such as `0.region`. */
export const awsPool: z.ZodType<string, string> = z.string().superRefine((value, context) => {
  let parsed: unknown;
  try {
    parsed = JSON.parse(value);
  } catch {
    context.addIssue({ code: 'custom', message: 'must be a JSON array' });
    return;
  }
  for (const { path, message } of POOL.safeParse(parsed).error?.issues ?? []) {
    context.addIssue({ code: 'custom', message: path.length === 0 ? message : `${path.join('.')}: ${message}` });
  }
});

/**
 * The entries in a text that `awsPool` has accepted.
 * @throws SyntaxError or ZodError for any other
 */
export function parseAwsPool(value: string): readonly AwsPoolEntry[] {
  return POOL.parse(JSON.parse(value));
}
