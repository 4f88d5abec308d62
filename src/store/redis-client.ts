import { Cluster, type ClusterOptions, Redis, type RedisOptions } from 'ioredis';
import { backoffMs } from '../backoff.ts';
import type { RedisTarget } from './redis-target.ts';
import { loadScripts } from './scripts.ts';

/** TCP, TLS and the way through a load balancer; beyond it the next attempt is likelier to succeed. */
const CONNECT_TIMEOUT_MS = 3_000;
/** How long a connection that is given up may take to close; its commands have failed by then. */
const DISCONNECT_TIMEOUT_MS = 50;
const LAST_RETRY_MS = 2_000;
const RETRY = { firstMs: 50, longestMs: LAST_RETRY_MS };
/** A server that loads its data names a wait of its own, up to this. */
const LOADING_RETRY_MS = 500;
const MAX_REDIRECTIONS = 4;

/**
 * A client that never waits for a server that is away: nothing is queued while there is no connection, and nothing is
 * sent again on the next one, because by then it may be stale. Whoever called has been told that it failed.
 * @param subscribes the client listens to channels, which a cluster spreads over its nodes
 */
export function createClient(target: RedisTarget, timeoutMs: number, subscribes = false): Redis | Cluster {
  const common: RedisOptions = {
    ...(target.username === undefined ? {} : { username: target.username }),
    ...(target.password === undefined ? {} : { password: target.password }),
    ...(target.tls === undefined ? {} : { tls: target.tls }),
    connectionName: 'transcribe-gateway',
    // The version of a library is nobody's business, and the two commands would precede each connection.
    disableClientInfo: true,
    connectTimeout: CONNECT_TIMEOUT_MS,
    disconnectTimeout: DISCONNECT_TIMEOUT_MS,
    // Not `socketTimeout`, which would close silent connections by itself: in 5.11 its timer outlives the connection and
    // cuts the next one.
    commandTimeout: timeoutMs,
    maxLoadingRetryTime: LOADING_RETRY_MS,
    autoResendUnfulfilledCommands: false,
    // It catches no failure of its own: one on a connection that is lost again would end the process.
    autoResubscribe: false,
    maxRetriesPerRequest: 0,
    // A replica that was the master until a moment ago, or a server that loads its data, stays so on this connection.
    reconnectOnError: (error) => /\b(READONLY|LOADING|MASTERDOWN)\b/.test(error.message),
  };
  const scripts = loadScripts();
  const single: RedisOptions = {
    ...common,
    scripts,
    enableOfflineQueue: false,
    retryStrategy: retryDelay,
    // By itself it subscribes again without catching a failure, which would end the process.
    autoResubscribe: false,
  };
  switch (target.mode) {
    case 'standalone':
      return new Redis({ ...single, ...target.node, db: target.db });
    case 'sentinel':
      return new Redis({
        ...single,
        sentinels: [...target.sentinels],
        name: target.name,
        db: target.db,
        ...(target.sentinelUsername === undefined ? {} : { sentinelUsername: target.sentinelUsername }),
        ...(target.sentinelPassword === undefined ? {} : { sentinelPassword: target.sentinelPassword }),
        ...(target.tls === undefined ? {} : { sentinelTLS: target.tls, enableTLSForSentinelMode: true }),
        sentinelCommandTimeout: timeoutMs,
        sentinelRetryStrategy: retryDelay,
        // No `failoverDetector`: a failover closes the connections to the old master, and what is written to one that
        // only we still reach is lost, which the heads of later writes show. The detector's connections have no error
        // handler, and can leave a client that is just connecting at its end.
      });
    case 'cluster': {
      const options: ClusterOptions = {
        redisOptions: common,
        scripts,
        enableOfflineQueue: false,
        shardedSubscribers: subscribes,
        clusterRetryStrategy: retryDelay,
        maxRedirections: MAX_REDIRECTIONS,
        // A call that finds no node fails at once, and the caller decides; only real redirections are followed.
        retryDelayOnFailover: 0,
        retryDelayOnClusterDown: 0,
        slotsRefreshTimeout: timeoutMs,
        // Finds out by itself where the slots of a node went that is gone.
        slotsRefreshInterval: LAST_RETRY_MS,
        // Certificates are made out for names: with TLS the nodes are reached by what the cluster calls them.
        ...(target.tls === undefined ? {} : { dnsLookup: (name, callback) => callback(null, name) }),
      };
      return new Cluster([...target.nodes], options);
    }
  }
}

/** Milliseconds to the next attempt. @param attempt counted from 1, as ioredis does */
export function retryDelay(attempt: number): number {
  return Math.round(backoffMs(attempt - 1, RETRY));
}
