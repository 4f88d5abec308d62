import { type AwsPoolEntry, isAwsRegion, parseAwsPool } from '../config/aws-pool.ts';
import { type Config, SETTINGS } from '../config/schema.ts';
import { GatewayError } from '../errors.ts';
import { Admission } from '../limits/admission.ts';
import type { Logger } from '../log.ts';
import { type EngineMetrics, OPEN_OUTCOMES } from '../metrics/engine-metrics.ts';
import { BYTES_PER_SAMPLE, SAMPLE_RATE } from '../protocol/audio.ts';
import type { LimitName } from '../protocol/limit-codes.ts';
import { readSpeechSample } from '../speech-sample.ts';
import type { QuotaLedger, QuotaRules } from '../store/quota.ts';
import type { Engine } from './engine.ts';
import { LocalEngine } from './local/local-engine.ts';
import { repeatingScript, ScriptedEngine } from './scripted/scripted-engine.ts';

/** Five seconds: two of the three utterances, long enough to measure and short enough for a quick start. */
const CALIBRATION_BYTES = 5 * SAMPLE_RATE * BYTES_PER_SAMPLE;

/** How the streams of accounts are shared out among workers. */
interface StreamSharing {
  readonly openQuota: (rules: QuotaRules) => QuotaLedger;
  /** A session was refused by a limit of the line. */
  readonly refused: (limit: LimitName) => void;
}

/**
 * Milliseconds. A worker asks five times a second for those who wait. A start is known to have arrived, or not, long before
 * it is forgotten. A tenant with ten streams waits half a minute longer than one with none, and then no more.
 */
const QUOTA_TIMES = { startMs: 15_000, blockMs: 1_000, patienceMs: 3_000 };

/**
 * Whether all workers of a gateway use one engine together: one that loads this machine, of which there is only one.
 * Otherwise each worker has its own.
 */
export function isSharedByWorkers({ engine }: Pick<Config, 'engine'>): boolean {
  switch (engine) {
    case 'local':
      return true;
    case 'scripted':
    case 'aws':
      return false;
  }
}

/**
 * Starts the engine that the configuration names.
 * @param sharing of what the accounts of an engine grant; without it nobody waits, and AWS refuses
 * @throws GatewayError with a message for the operator when it cannot be started
 */
export async function startEngine(
  config: Config,
  log: Logger,
  metrics: EngineMetrics,
  sharing?: StreamSharing,
): Promise<Engine> {
  switch (config.engine) {
    case 'local':
      return startLocal(config, log, metrics);
    case 'scripted':
      return new ScriptedEngine({ script: () => ({ steps: repeatingScript() }) });
    case 'aws':
      return startAws(config, log, metrics, sharing);
  }
}

async function startLocal(config: Config, log: Logger, metrics: EngineMetrics): Promise<Engine> {
  return LocalEngine.start({
    modelPath: config.localModel,
    libraryPath: config.localLibrary,
    languageCode: config.localLanguage,
    processes: config.localProcesses,
    sessionsPerProcess: config.localSessionsPerProcess,
    // The sample is English: for another model its speech is merely noise, which costs no less to decode.
    calibrationAudio: (await readSpeechSample()).subarray(0, CALIBRATION_BYTES),
    log,
    observer: {
      poolChanged: (pool) => {
        metrics.localRecognisers.set(pool.liveProcesses);
        metrics.localCapacitySessions.set(pool.capacity);
      },
      recogniserExited: () => metrics.localRecogniserExitsTotal.inc(),
      audioProcessed: (lagMs) => metrics.localLagSeconds.observe(lagMs / 1000),
    },
  });
}

async function startAws(
  config: Config,
  log: Logger,
  metrics: EngineMetrics,
  sharing: StreamSharing | undefined,
): Promise<Engine> {
  const pool = awsPoolOf(config);
  const admission = sharing && (await openAdmission(pool, config, log, metrics, sharing));
  // Loaded here, because the SDK takes its time and memory, and the other engines need none of it.
  const { AwsEngine } = await import('./aws/aws-engine.ts');
  const states = { closed: 0, half_open: 1, open: 2 };
  for (const { name: entry } of pool) {
    for (const outcome of OPEN_OUTCOMES) metrics.awsOpensTotal.inc({ entry, outcome }, 0);
  }
  return new AwsEngine({
    pool,
    maxStreamMs: config.awsMaxStreamMs,
    openTimeoutMs: config.startTimeoutMs,
    framePath: config.awsFramePath,
    log,
    admission,
    observer: {
      circuitChanged: (entry, state) => metrics.awsPoolState.set({ entry }, states[state]),
      streamOpened: (entry, outcome) => metrics.awsOpensTotal.inc({ entry, outcome }),
    },
  });
}

async function openAdmission(
  pool: readonly AwsPoolEntry[],
  config: Config,
  log: Logger,
  metrics: EngineMetrics,
  { openQuota, refused }: StreamSharing,
): Promise<Admission> {
  const entries = pool.map(({ name, startsPerSecond = config.awsStartsPerSecond, streams = config.awsStreams }) => ({
    name,
    streams,
    // The last stream of an account is for whoever comes, or nobody could begin.
    reserve: config.awsReserve === 0 ? 0 : Math.min(streams - 1, Math.ceil(streams * config.awsReserve)),
    startsPerSecond,
  }));
  for (const { name, streams } of entries) metrics.awsQuotaStreams.set({ entry: name }, streams);
  const { leaseMs, lingerMs, queueLength, queueTimeoutMs } = config;
  const admission = new Admission({
    ledger: openQuota({ ...QUOTA_TIMES, entries, leaseMs, lineLength: queueLength }),
    limits: { entries, leaseMs, queueTimeoutMs, keepMs: lingerMs },
    log,
    observer: {
      quotaUsed: ({ held }) => {
        for (const { name } of entries) metrics.awsSlotsHeld.set({ entry: name }, held.get(name) ?? 0);
      },
      waiting: (sessions) => metrics.queueSessions.set(sessions),
      granted: (waitedMs) => metrics.queueWaitSeconds.observe(waitedMs / 1000),
      refused,
    },
  });
  await admission.open();
  return admission;
}

/**
 * The configured pool, or one entry from region and endpoint.
 * @throws GatewayError that says what to set
 */
function awsPoolOf({ awsEndpoint, awsPool, awsRegion }: Config): readonly AwsPoolEntry[] {
  const [endpoint, pool, region] = [
    SETTINGS.awsEndpoint.variable,
    SETTINGS.awsPool.variable,
    SETTINGS.awsRegion.variable,
  ];
  if (awsPool !== undefined) {
    if (awsEndpoint === undefined) return parseAwsPool(awsPool);
    throw misconfigured(`${endpoint} does nothing beside ${pool}: give the endpoint to the entries that need it.`);
  }
  if (awsRegion !== undefined && isAwsRegion(awsRegion)) {
    return [{ name: awsRegion, region: awsRegion, endpoint: awsEndpoint, priority: 1, weight: 1 }];
  }
  const found = awsRegion === undefined ? 'none is given' : `${JSON.stringify(awsRegion)} is none`;
  throw misconfigured(`The engine aws needs a region, and ${found}: set ${region}, such as us-east-1, or ${pool}.`);
}

function misconfigured(message: string): GatewayError {
  return new GatewayError('engine_unavailable', message, { retryable: false });
}
