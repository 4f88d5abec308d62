import { FAILPOINTS, parseFailpoints } from '../failpoints.ts';
import { AUTH_SETTINGS } from './auth-settings.ts';
import { awsPool, httpUrl } from './aws-pool.ts';
import { CLIENT_SETTINGS } from './client-settings.ts';
import { COST_SETTINGS } from './cost-settings.ts';
import { LIMIT_SETTINGS } from './limit-settings.ts';
import { QUOTA_SETTINGS } from './quota-settings.ts';
import { REDIS_SETTINGS } from './redis-settings.ts';
import { decimal, host, integer, oneOf, type Setting, setting, text } from './setting.ts';

const ENGINE_NAMES = ['local', 'scripted', 'aws'] as const;
const FRAME_PATHS = ['fast', 'stock'] as const;
export type EngineName = (typeof ENGINE_NAMES)[number];

export const LOG_LEVELS = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'] as const;

/**
 * Every setting of the gateway, once. The configuration type, the checks, `print-env` and the table in the README all
 * come from here.
 */
export const SETTINGS = {
  environment: setting<string>({
    variable: 'NODE_ENV',
    schema: text,
    default: 'development',
    help: 'With `production` the start prints nothing but log lines.',
  }),
  host: setting<string>({
    variable: 'HOST',
    schema: host,
    default: '0.0.0.0',
    help: 'Address that clients connect to.',
  }),
  port: setting<number>({
    variable: 'PORT',
    schema: integer(0, 65_535),
    default: 5001,
    help: 'Port for clients, Socket.IO and HTTP; 0 takes a free one.',
  }),
  adminHost: setting<string>({
    variable: 'GATEWAY_ADMIN_HOST',
    schema: host,
    default: '0.0.0.0',
    help: 'Address of the admin server. Keep it away from the internet.',
  }),
  adminPort: setting<number>({
    variable: 'GATEWAY_ADMIN_PORT',
    schema: integer(0, 65_535),
    default: 9464,
    help: 'Port of /livez, /readyz and /metrics; 0 takes a free one.',
  }),
  workers: setting<number>({
    variable: 'GATEWAY_WORKERS',
    schema: integer(1, 64),
    default: 1,
    help: 'Processes that share the port and the load; about as many as cores. More than 1 need REDIS_URL.',
  }),
  workerSilenceMs: setting<number>({
    variable: 'GATEWAY_WORKER_SILENCE_MS',
    schema: integer(6_000, 3_600_000),
    default: 30_000,
    unit: 'ms',
    help: 'With several workers: one that is blocked for this long is killed and replaced. `/livez` fails where none has served for as long.',
  }),
  trustedProxies: setting<number>({
    variable: 'GATEWAY_TRUSTED_PROXIES',
    schema: integer(0, 10),
    default: 0,
    unit: 'proxies',
    help: 'Load balancers and proxies in front, one behind the other, which all add to `X-Forwarded-For`: the address that the first of them saw is the one of the client. With 0 the peer is the client.',
  }),
  logLevel: setting<(typeof LOG_LEVELS)[number]>({
    variable: 'LOG_LEVEL',
    schema: oneOf(LOG_LEVELS),
    default: 'info',
    help: `Least severe level that is logged: ${LOG_LEVELS.join(', ')}.`,
  }),
  engine: setting<EngineName>({
    variable: 'GATEWAY_ENGINE',
    schema: oneOf(ENGINE_NAMES),
    default: 'local',
    help: 'Speech engine: `aws` is Amazon Transcribe, `local` is the offline preview, `scripted` says the same words for any audio (for tests).',
  }),
  localModel: setting<string | undefined>({
    variable: 'GATEWAY_LOCAL_MODEL',
    schema: text,
    default: undefined,
    defaultText: 'the US English model among the devDependencies',
    help: 'Directory of any Vosk model.',
  }),
  localLanguage: setting<string>({
    variable: 'GATEWAY_LOCAL_LANGUAGE',
    schema: text.regex(/^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$/, 'must be a BCP 47 language tag such as en-US'),
    default: 'en-US',
    help: 'Language of the model in GATEWAY_LOCAL_MODEL, as clients name it.',
  }),
  localLibrary: setting<string | undefined>({
    variable: 'GATEWAY_LOCAL_LIBRARY',
    schema: text,
    default: undefined,
    defaultText: 'the one among the devDependencies',
    help: 'File of libvosk for this platform.',
  }),
  localProcesses: setting<number | undefined>({
    variable: 'GATEWAY_LOCAL_PROCESSES',
    schema: integer(1, 64),
    default: undefined,
    defaultText: 'cores − 1, at least 1',
    help: 'Recogniser processes of the local engine.',
  }),
  localSessionsPerProcess: setting<number | undefined>({
    variable: 'GATEWAY_LOCAL_SESSIONS_PER_PROCESS',
    schema: integer(1, 1000),
    default: undefined,
    defaultText: 'measured at start',
    help: 'Sessions that one recogniser process takes before new ones are refused.',
  }),
  awsRegion: setting<string | undefined>({
    variable: 'AWS_REGION',
    // Other programs set it too, to whatever they like: its form is checked by the engine that needs it.
    schema: text,
    default: undefined,
    help: 'Region of Amazon Transcribe. The engine `aws` needs it or GATEWAY_AWS_POOL. Credentials: as the AWS SDK finds them.',
  }),
  awsEndpoint: setting<string | undefined>({
    variable: 'GATEWAY_AWS_ENDPOINT',
    schema: httpUrl,
    default: undefined,
    defaultText: 'the public one of the region',
    help: 'URL of Amazon Transcribe streaming: a private endpoint, or the emulator.',
  }),
  awsPool: setting<string | undefined>({
    variable: 'GATEWAY_AWS_POOL',
    schema: awsPool,
    default: undefined,
    defaultText: 'AWS_REGION and GATEWAY_AWS_ENDPOINT',
    help: 'Several regions or accounts: a JSON array of `{"name", "region", "endpoint"?, "role_arn"?, "priority"?, "weight"?, "streams"?, "starts_per_second"?}`.',
  }),
  awsMaxStreamMs: setting<number>({
    variable: 'GATEWAY_AWS_MAX_STREAM_MS',
    schema: integer(10_000, 86_400_000),
    default: 4 * 3_600_000,
    unit: 'ms',
    help: 'Longest life of a stream that Amazon Transcribe grants; 4 h by default there too.',
  }),
  awsFramePath: setting<(typeof FRAME_PATHS)[number]>({
    variable: 'GATEWAY_AWS_FRAME_PATH',
    schema: oneOf(FRAME_PATHS),
    default: 'fast',
    help: 'Who makes the frames of the AWS SDK: `fast` is our own code, about 2.5 times cheaper, `stock` the SDK itself.',
  }),
  ...QUOTA_SETTINGS,
  startTimeoutMs: setting<number>({
    variable: 'GATEWAY_START_TIMEOUT_MS',
    schema: integer(100, 120_000),
    default: 10_000,
    unit: 'ms',
    help: 'Longest wait for the engine to open a stream.',
  }),
  flushTimeoutMs: setting<number>({
    variable: 'GATEWAY_FLUSH_TIMEOUT_MS',
    schema: integer(100, 120_000),
    default: 15_000,
    unit: 'ms',
    help: 'After a stop, how long the engine may make no progress before the session ends without its last finals.',
  }),
  recoveryTimeoutMs: setting<number>({
    variable: 'GATEWAY_RECOVERY_TIMEOUT_MS',
    schema: integer(100, 600_000),
    default: 20_000,
    unit: 'ms',
    help: 'How long a session tries to reopen a broken engine stream before it ends with an error.',
  }),
  backlogMs: setting<number>({
    variable: 'GATEWAY_BACKLOG_MS',
    schema: integer(1_000, 600_000),
    default: 30_000,
    unit: 'ms of audio',
    help: 'Audio of one session that may wait for the engine; a chunk beyond it is refused with `audio_rate_exceeded`.',
  }),
  replayMs: setting<number>({
    variable: 'GATEWAY_REPLAY_MS',
    schema: integer(1_000, 600_000),
    default: 60_000,
    unit: 'ms of audio',
    help: 'Audio of one session kept after the last final, so that a broken engine stream can be replayed.',
  }),
  parkAfterMs: setting<number>({
    variable: 'GATEWAY_PARK_AFTER_MS',
    schema: integer(1_000, 3_600_000),
    default: 10_000,
    unit: 'ms',
    help: 'When a client sends no audio for this long, its engine stream is ended until audio comes; nothing is lost.',
  }),
  stallTimeoutMs: setting<number>({
    variable: 'GATEWAY_STALL_TIMEOUT_MS',
    schema: integer(1_000, 600_000),
    default: 30_000,
    unit: 'ms',
    help: 'How long an engine may say nothing about audio that is not silent before its stream is replaced.',
  }),
  catchUpSpeed: setting<number>({
    variable: 'GATEWAY_CATCH_UP_SPEED',
    schema: decimal(1.1, 100),
    default: 2,
    unit: '× real time',
    help: 'How fast audio is given to an engine that wants it at the speed of speech, while a session catches up.',
  }),
  lingerMs: setting<number>({
    variable: 'GATEWAY_LINGER_MS',
    schema: integer(0, 600_000),
    default: 10_000,
    unit: 'ms',
    help: 'How long a resumable session keeps its engine stream after its connection is lost.',
  }),
  resumeWindowMs: setting<number>({
    variable: 'GATEWAY_RESUME_WINDOW_MS',
    schema: integer(1_000, 86_400_000),
    default: 120_000,
    unit: 'ms',
    help: 'How long a session without its connection, or a stopped one, can be resumed.',
  }),
  journalEntries: setting<number>({
    variable: 'GATEWAY_JOURNAL_ENTRIES',
    schema: integer(1, 1_000_000),
    default: 1_000,
    unit: 'entries',
    help: 'Finals of one session kept for clients that resume; one further behind is told of a gap.',
  }),
  journalBytes: setting<number>({
    variable: 'GATEWAY_JOURNAL_BYTES',
    schema: integer(10_000, 1_000_000_000),
    default: 2_000_000,
    unit: 'bytes',
    help: 'The same in bytes.',
  }),
  journalAgeMs: setting<number>({
    variable: 'GATEWAY_JOURNAL_AGE_MS',
    schema: integer(1_000, 604_800_000),
    default: 3_600_000,
    unit: 'ms',
    help: 'The same in time.',
  }),
  storeOutageEntries: setting<number>({
    variable: 'GATEWAY_STORE_OUTAGE_ENTRIES',
    schema: integer(1, 100_000),
    default: 300,
    unit: 'entries',
    help: 'Finals of one session that may wait for a store that is away; with more the session ends.',
  }),
  failpoints: setting<string | undefined>({
    variable: 'GATEWAY_FAILPOINTS',
    schema: text.refine(
      (value) => parseFailpoints(value) !== undefined,
      `must be like commit.after=0.1; names: ${FAILPOINTS.join(', ')}`,
    ),
    default: undefined,
    help: 'For tests only: the process kills itself at these places, each with a chance from 0 to 1.',
  }),
  ...REDIS_SETTINGS,
  ...AUTH_SETTINGS,
  ...LIMIT_SETTINGS,
  ...CLIENT_SETTINGS,
  ...COST_SETTINGS,
  drainTimeoutMs: setting<number>({
    variable: 'GATEWAY_DRAIN_TIMEOUT_MS',
    schema: integer(100, 3_600_000),
    default: 25_000,
    unit: 'ms',
    help: 'Deadline from SIGTERM to exit. Below the 30 s that Kubernetes grants by default.',
  }),
} as const;

type Settings = typeof SETTINGS;
type ValueOf<S> = S extends Setting<infer T> ? T : never;

/** The whole configuration, frozen. Times are in milliseconds. */
export type Config = { readonly [K in keyof Settings]: ValueOf<Settings[K]> };
