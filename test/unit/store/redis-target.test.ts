import { describe, expect, it } from 'vitest';
import { ConfigError } from '../../../src/config/config-error.ts';
import { loadConfig } from '../../../src/config/load.ts';
import { redisTargetOf } from '../../../src/store/redis-target.ts';

const targetOf = (environment: Record<string, string>) => redisTargetOf(loadConfig(environment));

describe('the target of REDIS_URL', () => {
  it('is none without it', () => {
    expect(targetOf({})).toBeUndefined();
  });

  it.each([
    [
      'redis://cache',
      { node: { host: 'cache', port: 6379 }, db: 0, username: undefined, password: undefined, tls: undefined },
    ],
    ['redis://cache:1234/7', { node: { host: 'cache', port: 1234 }, db: 7 }],
    ['redis://user:pass@cache', { username: 'user', password: 'pass' }],
    ['redis://:p%40ss%3A%2F@cache', { username: undefined, password: 'p@ss:/' }],
    ['redis://[::1]:1234', { node: { host: '::1', port: 1234 } }],
    ['rediss://cache', { tls: {} }],
  ])('is read from %s', (url, expected) => {
    expect(targetOf({ REDIS_URL: url })).toMatchObject({ mode: 'standalone', ...expected });
  });

  it('is a master that Sentinels know', () => {
    const environment = {
      REDIS_URL: 'redis://user:pass@ignored/2',
      GATEWAY_REDIS_MODE: 'sentinel',
      GATEWAY_REDIS_NODES: 'one:26379,two:26380',
      GATEWAY_REDIS_SENTINEL_NAME: 'main',
      GATEWAY_REDIS_SENTINEL_USERNAME: 'watcher',
      GATEWAY_REDIS_SENTINEL_PASSWORD: 'word',
    };
    expect(targetOf(environment)).toEqual({
      mode: 'sentinel',
      sentinels: [
        { host: 'one', port: 26_379 },
        { host: 'two', port: 26_380 },
      ],
      sentinelUsername: 'watcher',
      sentinelPassword: 'word',
      name: 'main',
      db: 2,
      username: 'user',
      password: 'pass',
      tls: undefined,
    });
  });

  it('is a cluster, found by the host of the URL or by several nodes', () => {
    const environment = { REDIS_URL: 'redis://seed:7000', GATEWAY_REDIS_MODE: 'cluster' };
    expect(targetOf(environment)).toMatchObject({ mode: 'cluster', nodes: [{ host: 'seed', port: 7000 }] });
    expect(targetOf({ ...environment, GATEWAY_REDIS_NODES: 'a:1,b:2' })).toMatchObject({
      nodes: [
        { host: 'a', port: 1 },
        { host: 'b', port: 2 },
      ],
    });
  });

  it.each([
    [{ GATEWAY_REDIS_MODE: 'cluster' }, /needs REDIS_URL/],
    [{ GATEWAY_REDIS_NODES: 'a:1' }, /GATEWAY_REDIS_NODES does nothing without REDIS_URL/],
    [{ REDIS_URL: 'redis://a', GATEWAY_REDIS_NODES: 'a:1' }, /needs GATEWAY_REDIS_MODE/],
    [{ REDIS_URL: 'redis://a/1', GATEWAY_REDIS_MODE: 'cluster' }, /no database 1/],
    [{ REDIS_URL: 'redis://a', GATEWAY_REDIS_CA_FILE: '/etc/ca.pem' }, /needs rediss:/],
    [{ REDIS_URL: 'rediss://a', GATEWAY_REDIS_CA_FILE: '/no/such/file' }, /cannot be read/],
  ])('is refused with %o', (environment, message) => {
    expect(() => targetOf(environment as Record<string, string>)).toThrow(message);
  });

  it.each([
    ['REDIS_URL', 'cache:6379'],
    ['REDIS_URL', 'http://cache'],
    ['REDIS_URL', 'redis://cache/name'],
    ['REDIS_URL', 'redis://cache?db=1'],
    ['GATEWAY_REDIS_NODES', 'cache'],
    ['GATEWAY_REDIS_NODES', 'a:1;b:2'],
    ['GATEWAY_REDIS_MODE', 'replicated'],
    ['GATEWAY_REDIS_PREFIX', 'a{b}'],
    ['GATEWAY_REDIS_TIMEOUT_MS', '0'],
    ['GATEWAY_REDIS_SENTINEL_NAME', 'my master'],
  ])('is refused with %s=%s', (variable, value) => {
    expect(() => targetOf({ [variable]: value })).toThrow(ConfigError);
  });
});
