import { integer, setting } from './setting.ts';

/** How much anybody may have. */
export const LIMIT_SETTINGS = {
  sessionsPerUser: setting<number>({
    variable: 'GATEWAY_SESSIONS_PER_USER',
    schema: integer(0, 1_000_000),
    default: 0,
    unit: 'sessions',
    help: 'Sessions that a user may have at a time, on all gateways together, unless the token says otherwise; 0 for any number. One that waits for its client counts.',
  }),
  sessionsPerTenant: setting<number>({
    variable: 'GATEWAY_SESSIONS_PER_TENANT',
    schema: integer(0, 1_000_000),
    default: 0,
    unit: 'sessions',
    help: 'The same of a tenant.',
  }),
  leaseMs: setting<number>({
    variable: 'GATEWAY_LEASE_MS',
    schema: integer(1_000, 600_000),
    default: 30_000,
    unit: 'ms',
    help: 'How long what a killed gateway held under a limit stays taken. Held places are renewed three times in it.',
  }),
} as const;
