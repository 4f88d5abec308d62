import { describe, expect, it } from 'vitest';
import { ConfigError } from '../../../src/config/config-error.ts';
import { environmentLines } from '../../../src/config/describe.ts';
import { loadConfig } from '../../../src/config/load.ts';
import { SETTINGS } from '../../../src/config/schema.ts';

function faultsOf(environment: Record<string, string>) {
  try {
    loadConfig(environment);
  } catch (error) {
    if (error instanceof ConfigError) return error;
    throw error;
  }
  throw new Error('no fault found');
}

describe('loadConfig', () => {
  it('gives the defaults for an empty environment, frozen', () => {
    const config = loadConfig({});
    expect(config).toMatchObject({ port: 5001, adminPort: 9464, engine: 'local', localLanguage: 'en-US' });
    expect(Object.isFrozen(config)).toBe(true);
  });

  it('refuses several workers without a Redis, and says why', () => {
    expect(faultsOf({ GATEWAY_WORKERS: '4' }).message).toContain('GATEWAY_WORKERS="4" needs REDIS_URL');
    expect(loadConfig({ GATEWAY_WORKERS: '4', REDIS_URL: 'redis://localhost' }).workers).toBe(4);
    expect(loadConfig({ GATEWAY_WORKERS: '1' }).workers).toBe(1);
    // One fault, not two, where the Redis is given and its URL is wrong.
    expect(faultsOf({ GATEWAY_WORKERS: '4', REDIS_URL: 'x' }).faults.map(({ variable }) => variable)).toEqual([
      'REDIS_URL',
    ]);
  });

  it('takes an empty variable as not given', () => {
    expect(loadConfig({ PORT: '', GATEWAY_ENGINE: '' })).toEqual(loadConfig({}));
  });

  it('reports every fault at once, by name and value', () => {
    const error = faultsOf({
      PORT: '70000',
      HOST: 'a b',
      LOG_LEVEL: 'loud',
      GATEWAY_ENGINE: 'cloud',
      GATEWAY_REPLAY_MS: '1e4',
      GATEWAY_DRAIN_TIMEOUT_MS: '-1',
      GATEWAY_NONSENSE: '1',
    });
    expect(error.faults.map((fault) => fault.variable)).toEqual([
      'HOST',
      'PORT',
      'LOG_LEVEL',
      'GATEWAY_ENGINE',
      'GATEWAY_REPLAY_MS',
      'GATEWAY_DRAIN_TIMEOUT_MS',
      'GATEWAY_NONSENSE',
    ]);
    expect(error.message).toMatch(/^The configuration has 7 faults:/);
    expect(error.message).toContain('PORT="70000" must be between 0 and 65535');
    expect(error.message).toContain('GATEWAY_ENGINE="cloud" must be one of local, scripted');
    expect(error.message).toContain('GATEWAY_NONSENSE="1" is not a setting of this version');
  });

  it.each([
    ['GATEWAY_ADMIN_PROT', 'GATEWAY_ADMIN_PORT'],
    ['GATEWAY_LOCAL_MODELS', 'GATEWAY_LOCAL_MODEL'],
    ['GATEWAY_PORT', 'PORT'],
    ['GATEWAY_LOG_LEVEL', 'LOG_LEVEL'],
  ])('refuses %s with a hint at %s', (variable, meant) => {
    expect(faultsOf({ [variable]: '1234' }).message).toContain(`did you mean ${meant}?`);
  });

  it('ignores what Kubernetes injects for a Service whose name ends in gateway', () => {
    const injected = {
      GATEWAY_SERVICE_HOST: '10.0.0.1',
      GATEWAY_SERVICE_PORT: '5001',
      GATEWAY_SERVICE_PORT_HTTP: '5001',
      GATEWAY_PORT: 'tcp://10.0.0.1:5001',
      GATEWAY_PORT_5001_TCP: 'tcp://10.0.0.1:5001',
      GATEWAY_PORT_5001_TCP_ADDR: '10.0.0.1',
      GATEWAY_PORT_5001_TCP_PORT: '5001',
      GATEWAY_PORT_5001_TCP_PROTO: 'tcp',
      GATEWAY_BLUE_SERVICE_HOST: '10.0.0.2',
      GATEWAY_BLUE_PORT: 'tcp://10.0.0.2:80',
    };
    expect(loadConfig(injected)).toEqual(loadConfig({}));
  });

  it.each(['tcp', 'udp', 'sctp'])('takes a setting that Kubernetes overwrote with a %s URL as not given', (scheme) => {
    const injected = { GATEWAY_ADMIN_PORT: `${scheme}://10.0.0.1:9464`, GATEWAY_ADMIN_SERVICE_HOST: '10.0.0.1' };
    expect(loadConfig(injected)).toEqual(loadConfig({}));
  });

  it('takes such a URL in PORT for a mistake, for no Service name injects that variable', () => {
    expect(faultsOf({ PORT: 'tcp://10.0.0.1:5001' }).message).toContain('PORT="tcp://10.0.0.1:5001" must be');
  });

  it('refuses a limit for each user where everybody is the same one', () => {
    expect(faultsOf({ GATEWAY_SESSIONS_PER_USER: '2' }).message).toContain(
      'GATEWAY_SESSIONS_PER_USER="2" needs GATEWAY_AUTH: without it everybody is one user',
    );
  });

  it('refuses the same port for clients and administrators', () => {
    expect(faultsOf({ PORT: '9464' }).message).toContain('GATEWAY_ADMIN_PORT="9464" must differ from PORT');
  });

  it('reports the clash of the two ports among other faults', () => {
    const error = faultsOf({ PORT: '9464', HOST: 'a b', LOG_LEVEL: 'loud' });
    expect(error.faults.map((fault) => fault.variable)).toEqual(['HOST', 'LOG_LEVEL', 'GATEWAY_ADMIN_PORT']);
  });

  it('says nothing of a clash when one of the ports is itself at fault', () => {
    const error = faultsOf({ PORT: '99999', GATEWAY_ADMIN_PORT: '99999' });
    expect(error.faults.map((fault) => fault.problem)).toEqual(Array(2).fill('must be between 0 and 65535'));
  });

  it.each([
    ['the same host', '127.0.0.1', '127.0.0.1'],
    ['the same name in other letters', 'localhost', 'LocalHost'],
    ['a wildcard for clients', '0.0.0.0', '127.0.0.1'],
    ['a wildcard for administrators', '10.0.0.1', '::'],
    ['two wildcards', '0.0.0.0', '::'],
    ['a wildcard in another spelling', '0:0:0:0:0:0:0:0', '127.0.0.1'],
  ])('refuses the same port on %s', (_name, host, adminHost) => {
    const environment = { HOST: host, PORT: '7000', GATEWAY_ADMIN_HOST: adminHost, GATEWAY_ADMIN_PORT: '7000' };
    expect(faultsOf(environment).message).toContain('GATEWAY_ADMIN_PORT="7000" must differ from PORT');
  });

  it.each([
    ['the same port on two addresses', { HOST: '10.0.0.1', GATEWAY_ADMIN_HOST: '127.0.0.1' }, '7000'],
    ['a free port for both', { HOST: '127.0.0.1', GATEWAY_ADMIN_HOST: '127.0.0.1' }, '0'],
  ])('takes %s', (_name, hosts, port) => {
    const config = loadConfig({ ...hosts, PORT: port, GATEWAY_ADMIN_PORT: port });
    expect(config).toMatchObject({ port: Number(port), adminPort: Number(port) });
  });

  it.each([
    ['one address', '127.0.0.1', ['HOST']],
    ['both addresses', 'c d', ['HOST', 'GATEWAY_ADMIN_HOST']],
  ])('does not guess at a clash when %s cannot be known', (_name, adminHost, variables) => {
    const error = faultsOf({ HOST: 'a b', PORT: '7000', GATEWAY_ADMIN_HOST: adminHost, GATEWAY_ADMIN_PORT: '7000' });
    expect(error.faults.map((fault) => fault.variable)).toEqual(variables);
  });
});

describe('environmentLines', () => {
  it('prints lines that load to the same configuration', () => {
    const config = loadConfig({ PORT: '0', GATEWAY_LOCAL_MODEL: "/models/it's here", LOG_LEVEL: 'warn' });
    const environment = Object.fromEntries(
      environmentLines(config)
        .split('\n')
        .filter((line) => line !== '' && !line.startsWith('#'))
        .map((line) => {
          const at = line.indexOf('=');
          const value = line.slice(at + 1);
          const unquoted = value.startsWith("'") ? value.slice(1, -1).replaceAll("'\\''", "'") : value;
          return [line.slice(0, at), unquoted];
        }),
    );
    expect(loadConfig(environment)).toEqual(config);
    for (const { variable } of Object.values(SETTINGS)) expect(environmentLines(config)).toContain(variable);
  });

  it('shows no secret, neither in a fault nor in the settings in force', () => {
    const secret = 'hunter2';
    const bad = () => loadConfig({ REDIS_URL: `http://:${secret}@127.0.0.1` });
    expect(bad).toThrow(/REDIS_URL="\*\*\*" must be redis:/);
    const lines = environmentLines(loadConfig({ REDIS_URL: `redis://:${secret}@127.0.0.1:6379` }));
    expect(lines).toContain('# REDIS_URL=*** (set, and not shown)');
    expect(lines).not.toContain(secret);
  });

  describe('who may come in', () => {
    const SECRET = 'a secret of more than thirty-two characters';
    const JWKS = { GATEWAY_AUTH: 'jwt', GATEWAY_JWT_JWKS_URL: 'https://issuer.example.com/jwks.json' };

    it.each<[string, Record<string, string>, string]>([
      ['everybody in production', { NODE_ENV: 'production' }, 'GATEWAY_AUTH="none" lets everybody in'],
      ['jwt without a key', { GATEWAY_AUTH: 'jwt' }, 'needs one of GATEWAY_JWT_SECRET and GATEWAY_JWT_JWKS_URL'],
      ['jwt with two kinds of key', { ...JWKS, GATEWAY_JWT_SECRET: SECRET, GATEWAY_JWT_AUDIENCE: 'a' }, 'needs one of'],
      ['the keys of an issuer for anybody', JWKS, 'needs GATEWAY_JWT_AUDIENCE'],
      ['api_key without a file', { GATEWAY_AUTH: 'api_key' }, 'needs GATEWAY_API_KEYS_FILE'],
      ['a secret that nobody uses', { GATEWAY_JWT_SECRET: SECRET }, 'GATEWAY_JWT_SECRET="***" does nothing while'],
      ['a short secret', { GATEWAY_AUTH: 'jwt', GATEWAY_JWT_SECRET: 'short' }, 'at least 32 characters'],
      ['a short one of several', { GATEWAY_TOKEN_SECRET: `${SECRET},short` }, 'at least 32 characters'],
      ['half of a certificate', { GATEWAY_TLS_CERT_FILE: 'a.pem' }, 'needs GATEWAY_TLS_KEY_FILE'],
      ['an origin with a path', { GATEWAY_ALLOWED_ORIGINS: 'https://a.example.com/app' }, 'must be origins'],
      ['a host for an origin', { GATEWAY_ALLOWED_ORIGINS: 'a.example.com' }, 'must be origins'],
    ])('refuses %s', (_, environment, problem) => {
      const error = faultsOf(environment);
      expect(error.faults).toHaveLength(1);
      expect(error.message).toContain(problem);
      expect(error.message).not.toContain(SECRET);
    });

    it('refuses to end TLS in a primary', () => {
      const files = { GATEWAY_TLS_CERT_FILE: 'a.pem', GATEWAY_TLS_KEY_FILE: 'b.pem' };
      const workers = { GATEWAY_WORKERS: '2', REDIS_URL: 'redis://localhost' };
      expect(faultsOf({ ...files, ...workers }).message).toContain('GATEWAY_WORKERS="2" cannot end TLS');
      expect(loadConfig(files)).toMatchObject({ tlsCertFile: 'a.pem', tlsKeyFile: 'b.pem' });
    });

    it('takes what is whole', () => {
      expect(loadConfig({ ...JWKS, GATEWAY_JWT_AUDIENCE: 'speech', NODE_ENV: 'production' }).auth).toBe('jwt');
      expect(loadConfig({ GATEWAY_AUTH_NONE_IN_PRODUCTION: 'yes', NODE_ENV: 'production' }).auth).toBe('none');
      expect(loadConfig({ GATEWAY_ALLOWED_ORIGINS: 'https://a.example.com, *' }).allowedOrigins).toEqual([
        'https://a.example.com',
        '*',
      ]);
    });
  });
});
