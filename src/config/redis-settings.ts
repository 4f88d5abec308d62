import { z } from 'zod';
import { integer, oneOf, setting, text } from './setting.ts';

const redisUrl = z.string().refine((value) => {
  if (!URL.canParse(value)) return false;
  const { hash, hostname, pathname, protocol, search } = new URL(value);
  return /^rediss?:$/.test(protocol) && hostname !== '' && /^(\/\d{0,4})?$/.test(pathname) && search + hash === '';
}, 'must be redis://user:password@host:port/database, or rediss:// for TLS');

const hostsAndPorts = z
  .string()
  .regex(/^[\w.-]+:\d{1,5}(,[\w.-]+:\d{1,5})*$/, 'must be host:port, or several with commas between them');

const REDIS_MODES = ['standalone', 'sentinel', 'cluster'] as const;

/** How Redis is reached. */
export const REDIS_SETTINGS = {
  redisUrl: setting<string | undefined>({
    variable: 'REDIS_URL',
    secret: true,
    schema: redisUrl,
    default: undefined,
    defaultText: 'none: sessions end with the process',
    help: 'Redis that the workers share sessions through: `redis://user:password@host:port/database`, or `rediss://` for TLS. Special characters of user and password percent-encoded.',
  }),
  redisMode: setting<(typeof REDIS_MODES)[number]>({
    variable: 'GATEWAY_REDIS_MODE',
    schema: oneOf(REDIS_MODES),
    default: 'standalone',
    help: 'How Redis is run: `standalone`, `sentinel` or `cluster`. User, password and TLS come from REDIS_URL in all of them.',
  }),
  redisNodes: setting<string | undefined>({
    variable: 'GATEWAY_REDIS_NODES',
    schema: hostsAndPorts,
    default: undefined,
    defaultText: 'the one in REDIS_URL',
    help: 'The Sentinels, or some nodes of the cluster, to ask for the others: `host:port,host:port`.',
  }),
  redisSentinelName: setting<string>({
    variable: 'GATEWAY_REDIS_SENTINEL_NAME',
    schema: text.regex(/^[\w.-]+$/, 'must be letters, digits, dots, hyphens or underscores'),
    default: 'mymaster',
    help: 'Name under which the Sentinels know the master.',
  }),
  redisSentinelUsername: setting<string | undefined>({
    variable: 'GATEWAY_REDIS_SENTINEL_USERNAME',
    schema: text,
    default: undefined,
    help: 'User for the Sentinels themselves.',
  }),
  redisSentinelPassword: setting<string | undefined>({
    variable: 'GATEWAY_REDIS_SENTINEL_PASSWORD',
    secret: true,
    schema: text,
    default: undefined,
    help: 'Password for the Sentinels themselves.',
  }),
  redisCaFile: setting<string | undefined>({
    variable: 'GATEWAY_REDIS_CA_FILE',
    schema: text,
    default: undefined,
    defaultText: 'those that Node trusts',
    help: 'PEM file of the authorities that Redis certificates are checked against, with `rediss://`.',
  }),
  redisPrefix: setting<string>({
    variable: 'GATEWAY_REDIS_PREFIX',
    schema: z.string().regex(/^[\w:.-]{1,64}$/, 'must be letters, digits, colons, dots, hyphens or underscores'),
    default: 'transcribe-gateway:',
    help: 'Before every key, for gateways that share a Redis and nothing else.',
  }),
  redisTimeoutMs: setting<number>({
    variable: 'GATEWAY_REDIS_TIMEOUT_MS',
    schema: integer(50, 60_000),
    default: 1_000,
    unit: 'ms',
    help: 'How long Redis may take to answer before it counts as away.',
  }),
} as const;
