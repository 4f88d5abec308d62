import { SETTINGS } from '../../src/config/schema.ts';
import type { ErrorCode } from '../../src/protocol/error-codes.ts';
import { LIMITS, type LimitName } from '../../src/protocol/limit-codes.ts';

type SettingKey = keyof typeof SETTINGS;

interface Row {
  readonly what: string;
  /** The setting that has the bound, or the bound itself where there is none. */
  readonly bound: SettingKey | { readonly fixed: string };
  /** Path of the test that holds it. */
  readonly test: string;
}

const SESSIONS = 'test/e2e/session-limits.test.ts';
const DOOR = 'test/e2e/door-limits.test.ts';
const AUDIO = 'test/e2e/audio-limits.test.ts';
const BUDGETS = 'test/e2e/budgets.test.ts';
const QUEUE = 'test/e2e/queue.test.ts';
const SHEDDER = 'test/unit/limits/load-shedder.test.ts';

/** Every limit that is counted in `limit_refusals_total`. */
const COUNTED: Readonly<Record<LimitName, Row>> = {
  sessions_per_user: { what: 'sessions of a user at a time', bound: 'sessionsPerUser', test: SESSIONS },
  sessions_per_tenant: { what: 'sessions of a tenant at a time', bound: 'sessionsPerTenant', test: SESSIONS },
  sessions_per_token: { what: 'sessions of a minted token at a time', bound: { fixed: '1' }, test: SESSIONS },
  queue_length: { what: 'new sessions that wait for a stream of the quota', bound: 'queueLength', test: QUEUE },
  queue_timeout: { what: 'how long a session waits for one', bound: 'queueTimeoutMs', test: QUEUE },
  memory_pressure: { what: 'memory in use, for new sessions', bound: 'shedMemoryPercent', test: SHEDDER },
  event_loop_pressure: { what: 'delay of the event loop, for new sessions', bound: 'shedLoopDelayMs', test: SHEDDER },
  session_audio: { what: 'audio of a session', bound: 'sessionAudioMs', test: AUDIO },
  audio_speed: { what: 'speed of the audio of a session, after a burst', bound: 'audioSpeed', test: AUDIO },
  events_per_connection: { what: 'chunks of a connection in a second', bound: 'eventsPerSecond', test: AUDIO },
  billed_seconds_per_tenant: {
    what: 'billed seconds of a tenant in a day',
    bound: 'tenantDailyBilledSeconds',
    test: BUDGETS,
  },
  audio_seconds_per_tenant: {
    what: 'audio of a tenant in a day',
    bound: 'tenantDailyAudioSeconds',
    test: BUDGETS,
  },
  audio_seconds_per_user: { what: 'audio of a user in a day', bound: 'userDailyAudioSeconds', test: BUDGETS },
  connections_per_address: { what: 'connections of an address at a time', bound: 'connectionsPerAddress', test: DOOR },
  connects_per_address: { what: 'connects of an address in a minute', bound: 'connectsPerMinute', test: DOOR },
  auth_failures_per_address: {
    what: 'bad tokens of an address in a minute',
    bound: 'authFailuresPerMinute',
    test: DOOR,
  },
  resume_failures_per_address: {
    what: 'failed resumes and watches of an address in a minute',
    bound: 'resumeFailuresPerMinute',
    test: DOOR,
  },
  resume_failures_per_connection: { what: 'the same of a connection', bound: { fixed: '20' }, test: DOOR },
};

/** Bounds that are part of the protocol. */
const OTHERS: readonly (Row & { readonly code: ErrorCode })[] = [
  {
    what: 'length of a chunk',
    bound: { fixed: '1 s' },
    code: 'bad_audio',
    test: 'test/unit/protocol/payloads.test.ts',
  },
  {
    what: 'audio that waits for the engine',
    bound: 'backlogMs',
    code: 'audio_rate_exceeded',
    test: 'test/e2e/session-clauses.test.ts',
  },
  {
    what: 'sessions that a connection watches',
    bound: { fixed: '16' },
    code: 'bad_request',
    test: 'test/unit/socket/watches.test.ts',
  },
];

const HOSTILE = 'test/e2e/hostile-transports.test.ts';
const CUT = 'the connection is cut';

/** Bounds below the protocol, which no client of it meets: what happens there has no code. */
const CEILINGS: readonly (Row & { readonly answer: string })[] = [
  {
    what: 'size of a message by polling',
    bound: { fixed: '1 MB' },
    answer: '413',
    test: HOSTILE,
  },
  { what: 'size of a message by WebSocket', bound: { fixed: '1 MB' }, answer: CUT, test: HOSTILE },
  {
    what: 'size of any other body',
    bound: { fixed: '16 kB' },
    answer: '413',
    test: 'test/e2e/authentication.test.ts',
  },
  {
    what: 'bytes of a request that passes through the primary of several workers',
    bound: { fixed: '2 MB' },
    answer: CUT,
    test: 'test/unit/cluster/held-sockets.test.ts',
  },
  {
    what: 'packets of a connection: at once, and in a second',
    bound: { fixed: '10000, 2000' },
    answer: CUT,
    test: 'test/unit/socket/transport-guard.test.ts',
  },
  {
    what: 'sockets of a transport: at a time, and asked for in all',
    bound: { fixed: '1, 64' },
    answer: CUT,
    test: HOSTILE,
  },
  {
    what: 'characters with which a socket is asked for',
    bound: { fixed: '16384' },
    answer: CUT,
    test: 'test/unit/socket/transport-guard.test.ts',
  },
  {
    what: 'attachments of an event, and the length of its text',
    bound: { fixed: '1, 16 kB' },
    answer: CUT,
    test: HOSTILE,
  },
  { what: 'time for headers, and for TLS', bound: 'headersTimeoutMs', answer: CUT, test: HOSTILE },
  { what: 'time for a request', bound: 'requestTimeoutMs', answer: CUT, test: HOSTILE },
  { what: 'time without a socket', bound: 'connectTimeoutMs', answer: CUT, test: HOSTILE },
  {
    what: 'what waits for a client: packets, and bytes',
    bound: { fixed: '1024 for 5 s or 10000, 8 MB' },
    answer: CUT,
    test: 'test/e2e/hostile-clients.test.ts',
  },
];

/** What is bounded, by how much, and what who reaches it is told, as a table of Markdown. */
export function limitsTable(): string {
  const cell = (row: Row & { readonly code: ErrorCode }) => ({ ...row, answer: `\`${row.code}\`` });
  const counted = (Object.keys(LIMITS) as LimitName[]).map((name) => ({ ...COUNTED[name], code: LIMITS[name] }));
  const rows = [...[...counted, ...OTHERS].map(cell), ...CEILINGS].map(({ answer, bound, test, what }) => {
    const [value, variable] = typeof bound === 'string' ? settingOf(bound) : [bound.fixed, ''];
    return `| ${what} | ${value} | ${variable} | ${answer} | [${test.split('/').at(-1)?.replace('.test.ts', '')}](${test}) |`;
  });
  return ['| what | default | variable | code, or what happens | test |', '|---|---|---|---|---|', ...rows].join('\n');
}

function settingOf(key: SettingKey): [string, string] {
  const { default: value, unit = '', variable } = SETTINGS[key] as (typeof SETTINGS)[SettingKey] & { unit?: string };
  return [value === 0 ? 'none' : `${value} ${unit}`.trim(), `\`${variable}\``];
}
