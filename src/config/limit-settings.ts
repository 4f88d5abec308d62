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
  connectionsPerAddress: setting<number>({
    variable: 'GATEWAY_CONNECTIONS_PER_ADDRESS',
    schema: integer(0, 1_000_000),
    default: 1_000,
    unit: 'connections',
    help: 'Connections that an address (of IPv6 its /64) may have at a time, on all gateways together; 0 for any number. As all limits by address, it is not for private addresses that no trusted proxy has told of: those are balancers.',
  }),
  connectsPerMinute: setting<number>({
    variable: 'GATEWAY_CONNECTS_PER_MINUTE',
    schema: integer(0, 1_000_000),
    default: 2_000,
    unit: 'connects',
    help: 'Connections that an address may make in a minute; 0 for any number.',
  }),
  authFailuresPerMinute: setting<number>({
    variable: 'GATEWAY_AUTH_FAILURES_PER_MINUTE',
    schema: integer(0, 1_000_000),
    default: 300,
    unit: 'failures',
    help: 'Bad tokens that may come from an address in a minute, before it is shut out for the rest of that; 0 for any number.',
  }),
  resumeFailuresPerMinute: setting<number>({
    variable: 'GATEWAY_RESUME_FAILURES_PER_MINUTE',
    schema: integer(0, 1_000_000),
    default: 300,
    unit: 'failures',
    help: 'The same of resumes and watches of sessions that do not exist, or with a token that is not theirs.',
  }),
  leaseMs: setting<number>({
    variable: 'GATEWAY_LEASE_MS',
    schema: integer(1_000, 600_000),
    default: 30_000,
    unit: 'ms',
    help: 'How long what a killed gateway held under a limit stays taken. Held places are renewed three times in it.',
  }),
} as const;
