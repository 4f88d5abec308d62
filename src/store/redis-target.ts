import { readFileSync } from 'node:fs';
import type { ConnectionOptions } from 'node:tls';
import { type Config, SETTINGS } from '../config/schema.ts';
import { GatewayError } from '../errors.ts';

/** A server as host and port. */
interface RedisNode {
  readonly host: string;
  readonly port: number;
}

/** What every connection to Redis has in common. */
interface RedisAccess {
  readonly username?: string | undefined;
  readonly password?: string | undefined;
  /** Absent: without TLS. */
  readonly tls?: ConnectionOptions | undefined;
}

/** Where Redis is: the three ways in which it is run. */
export type RedisTarget = RedisAccess &
  (
    | { readonly mode: 'standalone'; readonly node: RedisNode; readonly db: number }
    | {
        readonly mode: 'sentinel';
        readonly sentinels: readonly RedisNode[];
        readonly sentinelUsername?: string | undefined;
        readonly sentinelPassword?: string | undefined;
        /** The name under which the Sentinels know the master. */
        readonly name: string;
        readonly db: number;
      }
    | { readonly mode: 'cluster'; readonly nodes: readonly RedisNode[] }
  );

const DEFAULT_PORT = 6379;

/**
 * The Redis that the configuration names; undefined if it names none.
 * @throws GatewayError that says what to set, where settings contradict one another
 */
export function redisTargetOf(config: Config): RedisTarget | undefined {
  const { redisCaFile, redisMode, redisNodes, redisUrl } = config;
  if (redisUrl === undefined) {
    for (const key of ['redisNodes', 'redisCaFile'] as const) {
      if (config[key] !== undefined) throw misconfigured(`${SETTINGS[key].variable} does nothing without ${url}.`);
    }
    if (redisMode === 'standalone') return undefined;
    throw misconfigured(`${SETTINGS.redisMode.variable}=${redisMode} needs ${url}, for user, password and TLS.`);
  }
  const parsed = new URL(redisUrl);
  const isTls = parsed.protocol === 'rediss:';
  if (redisCaFile !== undefined && !isTls) {
    throw misconfigured(`${SETTINGS.redisCaFile.variable} needs rediss:// in ${url}.`);
  }
  const host = parsed.hostname.replace(/^\[(.*)\]$/, '$1');
  const node = { host, port: Number(parsed.port || DEFAULT_PORT) };
  const db = Number(parsed.pathname.slice(1));
  const nodes = redisNodes === undefined ? [node] : redisNodes.split(',').map(nodeOf);
  const access: RedisAccess = {
    username: parsed.username === '' ? undefined : decodeURIComponent(parsed.username),
    password: parsed.password === '' ? undefined : decodeURIComponent(parsed.password),
    tls: isTls ? tlsOptions(redisCaFile) : undefined,
  };
  switch (redisMode) {
    case 'standalone':
      if (redisNodes === undefined) return { mode: redisMode, node, db, ...access };
      throw misconfigured(`${SETTINGS.redisNodes.variable} needs ${SETTINGS.redisMode.variable}.`);
    case 'sentinel':
      return {
        mode: redisMode,
        sentinels: nodes,
        sentinelUsername: config.redisSentinelUsername,
        sentinelPassword: config.redisSentinelPassword,
        name: config.redisSentinelName,
        db,
        ...access,
      };
    case 'cluster':
      if (db === 0) return { mode: redisMode, nodes, ...access };
      throw misconfigured(`A Redis Cluster has no database ${db}: leave it out of ${url}.`);
  }
}

const url = SETTINGS.redisUrl.variable;

function nodeOf(text: string): RedisNode {
  const [host = '', port] = text.split(':');
  return { host, port: Number(port) };
}

function tlsOptions(caFile: string | undefined): ConnectionOptions {
  if (caFile === undefined) return {};
  try {
    return { ca: readFileSync(caFile) };
  } catch (error) {
    throw misconfigured(`${SETTINGS.redisCaFile.variable} cannot be read.`, error);
  }
}

function misconfigured(message: string, cause?: unknown): GatewayError {
  return new GatewayError('store_unavailable', message, { retryable: false, cause });
}
