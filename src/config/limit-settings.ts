import { decimal, integer, setting } from './setting.ts';

/**
 * How much anybody may have. An address has as much as all the phones that a carrier hides behind it: its limits keep one
 * machine from taking all of a gateway, and are no measure of what a user may do.
 */
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
    default: 2_000,
    unit: 'connections',
    help: 'Connections that an address (of IPv6 its /64) may have at a time, on all gateways together; 0 for any number. As all limits by address, it is not for private addresses that no trusted proxy has told of: those are balancers.',
  }),
  connectsPerMinute: setting<number>({
    variable: 'GATEWAY_CONNECTS_PER_MINUTE',
    schema: integer(0, 1_000_000),
    default: 5_000,
    unit: 'connects',
    help: 'Connections that an address may make in a minute; 0 for any number.',
  }),
  authFailuresPerMinute: setting<number>({
    variable: 'GATEWAY_AUTH_FAILURES_PER_MINUTE',
    schema: integer(0, 1_000_000),
    default: 1_000,
    unit: 'failures',
    help: 'Bad tokens that may come from an address in a minute, before it is shut out for the rest of that; 0 for any number.',
  }),
  resumeFailuresPerMinute: setting<number>({
    variable: 'GATEWAY_RESUME_FAILURES_PER_MINUTE',
    schema: integer(0, 1_000_000),
    default: 1_000,
    unit: 'failures',
    help: 'The same of resumes and watches of sessions that do not exist, or with a token that is not theirs.',
  }),
  sessionAudioMs: setting<number>({
    variable: 'GATEWAY_SESSION_AUDIO_MS',
    schema: integer(0, 604_800_000),
    default: 4 * 3_600_000,
    unit: 'ms of audio',
    help: 'Longest session, unless the token says otherwise: it then gets its last finals and is stopped; 0 for any length.',
  }),
  audioSpeed: setting<number>({
    variable: 'GATEWAY_AUDIO_SPEED',
    schema: decimal(1.1, 1_000),
    default: 10,
    unit: '× real time',
    help: 'How fast the audio of a session may come in the long run; never below GATEWAY_CATCH_UP_SPEED.',
  }),
  audioBurstMs: setting<number>({
    variable: 'GATEWAY_AUDIO_BURST_MS',
    schema: integer(1_000, 3_600_000),
    default: 120_000,
    unit: 'ms of audio',
    help: 'Audio of a session that may come at once, as after a resume; never below GATEWAY_REPLAY_MS. From half of it on acknowledgements are held back, and a client that does not wait for them is refused at last.',
  }),
  eventsPerSecond: setting<number>({
    variable: 'GATEWAY_EVENTS_PER_SECOND',
    schema: integer(0, 100_000),
    default: 500,
    unit: 'events',
    help: 'Chunks of audio that a connection may send in the long run, and ten times as many at once; a tenth of both of all other events. Who goes on regardless is cut. 0 for any number.',
  }),
  shedMemoryPercent: setting<number>({
    variable: 'GATEWAY_SHED_MEMORY_PERCENT',
    schema: integer(0, 100),
    default: 90,
    unit: '%',
    help: 'New sessions are refused with `overloaded` while a worker uses more than this of its memory: its part of the container or machine, or its heap. 0 for never.',
  }),
  shedLoopDelayMs: setting<number>({
    variable: 'GATEWAY_SHED_LOOP_DELAY_MS',
    schema: integer(0, 60_000),
    default: 500,
    unit: 'ms',
    help: 'The same while its event loop is late by more than this on average, in each of the last 5 s. 0 for never.',
  }),
  leaseMs: setting<number>({
    variable: 'GATEWAY_LEASE_MS',
    schema: integer(1_000, 600_000),
    default: 30_000,
    unit: 'ms',
    help: 'How long what a killed gateway held under a limit stays taken. Held places are renewed three times in it.',
  }),
} as const;
