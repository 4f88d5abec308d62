import { decimal, integer, setting } from './setting.ts';

/** What the accounts of Amazon Transcribe grant, and how long sessions wait for it. */
export const QUOTA_SETTINGS = {
  awsStreams: setting<number>({
    variable: 'GATEWAY_AWS_STREAMS',
    schema: integer(1, 1_000_000),
    default: 25,
    unit: 'streams',
    help: 'Streams at a time that AWS grants the account in the region, for all gateways together. An entry of GATEWAY_AWS_POOL may have its own, `"streams"`.',
  }),
  awsStartsPerSecond: setting<number>({
    variable: 'GATEWAY_AWS_STARTS_PER_SECOND',
    schema: integer(1, 1_000_000),
    default: 25,
    unit: 'streams per second',
    help: 'Starts in a second that it grants; `"starts_per_second"` of an entry.',
  }),
  awsReserve: setting<number>({
    variable: 'GATEWAY_AWS_RESERVE',
    schema: decimal(0, 0.9),
    default: 0.1,
    unit: 'share',
    help: 'Share of the streams, at least one unless it is 0, that new sessions do not get: they are for those that go on after a pause, a break or a resume.',
  }),
  queueLength: setting<number>({
    variable: 'GATEWAY_QUEUE_LENGTH',
    schema: integer(0, 1_000),
    default: 100,
    unit: 'sessions',
    help: 'New sessions that may wait for a stream, on all gateways together; more are refused at once with `quota_exhausted`.',
  }),
  queueTimeoutMs: setting<number>({
    variable: 'GATEWAY_QUEUE_TIMEOUT_MS',
    schema: integer(100, 3_600_000),
    default: 30_000,
    unit: 'ms',
    help: 'How long a session waits for a stream before it ends with `quota_exhausted`.',
  }),
} as const;
