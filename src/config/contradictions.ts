import { type ConfigFault, HIDDEN } from './config-error.ts';
import { type Config, SETTINGS } from './schema.ts';

type Key = keyof typeof SETTINGS;

/**
 * Faults that no single value shows. A value that is at fault itself is absent and proves nothing.
 */
export function contradictions(config: Partial<Config>): ConfigFault[] {
  return [...portFaults(config), ...workerFaults(config), ...authFaults(config), ...tlsFaults(config)];
}

function fault(config: Partial<Config>, key: Key, problem: string): ConfigFault {
  const { secret, variable } = SETTINGS[key] as { readonly variable: string; readonly secret?: boolean };
  return { variable, value: secret === true ? HIDDEN : String(config[key] ?? ''), problem };
}

const name = (key: Key) => SETTINGS[key].variable;

function portFaults(config: Partial<Config>): ConfigFault[] {
  if (!portsClash(config)) return [];
  return [fault(config, 'adminPort', `must differ from ${name('port')}, unless the hosts are two addresses`)];
}

/** An address of zeros alone, in any spelling: it stands for all the others. */
const WILDCARD_HOST = /^[0.:]+$/;

/**
 * Whether both servers are certain to want the same port of the same address. Two spellings of one address are left to
 * the operating system, which refuses the second server.
 */
function portsClash({ host, port, adminHost, adminPort }: Partial<Config>): boolean {
  if (port === undefined || port === 0 || port !== adminPort) return false;
  const isWildcard = (address: string | undefined) => address !== undefined && WILDCARD_HOST.test(address);
  const isSame = host !== undefined && host.toLowerCase() === adminHost?.toLowerCase();
  return isSame || isWildcard(host) || isWildcard(adminHost);
}

function workerFaults(config: Partial<Config>): ConfigFault[] {
  const { redisUrl, workers } = config;
  if (workers === undefined || workers === 1 || redisUrl !== undefined || !('redisUrl' in config)) return [];
  const why = 'a client that returns may meet another worker, which finds its session there';
  return [fault(config, 'workers', `needs ${name('redisUrl')}: ${why}`)];
}

function tlsFaults(config: Partial<Config>): ConfigFault[] {
  const { tlsCertFile, tlsKeyFile, workers = 1 } = config;
  if (tlsCertFile === undefined && tlsKeyFile === undefined) return [];
  const faults: ConfigFault[] = [];
  if (tlsCertFile === undefined) faults.push(fault(config, 'tlsKeyFile', `needs ${name('tlsCertFile')}`));
  if (tlsKeyFile === undefined) faults.push(fault(config, 'tlsCertFile', `needs ${name('tlsKeyFile')}`));
  // The primary hands connections over by their first bytes, which it cannot read then.
  if (workers > 1) faults.push(fault(config, 'workers', `cannot end TLS: do that in front, or use one worker`));
  return faults;
}

/** What each way of asking needs, and what is of no use to the others. */
const AUTH_KEYS = {
  none: [],
  jwt: ['jwtSecret', 'jwtJwksUrl', 'jwtIssuer', 'jwtAudience'],
  api_key: ['apiKeysFile', 'tokenSecrets'],
} as const satisfies Record<Config['auth'], readonly Key[]>;

function authFaults(config: Partial<Config>): ConfigFault[] {
  const { apiKeysFile, auth, authNoneInProduction, environment, jwtAudience, jwtJwksUrl, jwtSecret } = config;
  if (auth === undefined) return [];
  const faults: ConfigFault[] = [];
  // Whoever has set a secret and forgotten the mode has an open door and believes it shut.
  for (const key of Object.values(AUTH_KEYS).flat()) {
    const isOfUse = (AUTH_KEYS[auth] as readonly Key[]).includes(key);
    if (config[key] !== undefined && !isOfUse) {
      faults.push(fault(config, key, `does nothing while ${name('auth')} is ${auth}`));
    }
  }
  const isGiven = (key: Key, value: unknown) => value !== undefined || !(key in config);
  switch (auth) {
    case 'none':
      if ((config.sessionsPerUser ?? 0) > 0) {
        const problem = `needs ${name('auth')}: without it everybody is one user`;
        faults.push(fault(config, 'sessionsPerUser', problem));
      }
      if (environment === 'production' && authNoneInProduction === 'no') {
        const override = `${name('authNoneInProduction')}=yes`;
        const problem = `lets everybody in, with ${name('environment')}=production: set it to jwt or api_key, or ${override}`;
        faults.push(fault(config, 'auth', problem));
      }
      break;
    case 'jwt':
      if (isGiven('jwtSecret', jwtSecret) === isGiven('jwtJwksUrl', jwtJwksUrl) && 'jwtSecret' in config) {
        faults.push(fault(config, 'auth', `needs one of ${name('jwtSecret')} and ${name('jwtJwksUrl')}`));
      }
      // An issuer signs for many applications with the same keys.
      if (jwtJwksUrl !== undefined && !isGiven('jwtAudience', jwtAudience)) {
        faults.push(fault(config, 'jwtJwksUrl', `needs ${name('jwtAudience')}, or tokens for other applications pass`));
      }
      break;
    case 'api_key':
      if (!isGiven('apiKeysFile', apiKeysFile)) faults.push(fault(config, 'auth', `needs ${name('apiKeysFile')}`));
      break;
    default:
      auth satisfies never;
  }
  return faults;
}
