import { type Command, InvalidArgumentError, Option } from 'commander';
import type { FaultRule } from '../emulator/faults.ts';
import { DEFAULT_LATENCY, type EmulatorLimits, type EmulatorOptions, resolveOptions } from '../emulator/options.ts';
import type { MsRange } from '../emulator/random.ts';
import { faultsHelp, parseFault } from './fault-option.ts';
import { parseMsRange } from './ms-range.ts';

const RECOGNISERS = ['local', 'scripted', 'coded'] as const;

type LimitOption = 'concurrentStreams' | 'startsPerSecond' | 'connections' | 'silenceMs' | 'maxAgeMs';

export interface EmulatorCommandOptions extends Pick<EmulatorLimits, LimitOption> {
  readonly port: number;
  readonly host: string;
  readonly adminPort: number | undefined;
  readonly recogniser: (typeof RECOGNISERS)[number];
  readonly credentials: EmulatorOptions['credentials'];
  readonly tlsCert: string | undefined;
  readonly tlsKey: string | undefined;
  readonly partialLatencyMs: number | undefined;
  readonly finalLatencyMs: MsRange | undefined;
  readonly fault: readonly FaultRule[];
  readonly seed: number | undefined;
}

const DAY_MS = 86_400_000;
const MAX_COUNT = 1_000_000;
/** The emulator's generator has a state of 32 bits; a larger seed would be that of another number. */
export const MAX_SEED = 0xffff_ffff;

export function addEmulatorOptions(command: Command): Command {
  const { limits } = resolveOptions({ recogniser: { kind: 'scripted' } });
  const { partialMs, finalMs } = DEFAULT_LATENCY;
  const count = (min: number) => wholeNumber(min, MAX_COUNT);
  return command
    .option('--port <port>', 'port for HTTP/2', parsePort, 0)
    .option('--host <address>', 'address to listen on', '127.0.0.1')
    .option('--admin-port <port>', 'port of the admin API: /usage /streams /faults /metrics', parsePort)
    .addOption(new Option('--recogniser <kind>', 'what transcribes').choices(RECOGNISERS).default('local'))
    .option('--credentials <key:secret>', 'credentials to accept; test:test by default', parseCredentials)
    .option('--tls-cert <file>', 'PEM certificate: speak TLS instead of cleartext')
    .option('--tls-key <file>', 'PEM key of the certificate')
    .option(
      '--concurrent-streams <n>',
      'quota of streams at a time, for each key and region',
      count(0),
      limits.concurrentStreams,
    )
    .option(
      '--starts-per-second <n>',
      'quota of starts in a second, for each key and region',
      count(0),
      limits.startsPerSecond,
    )
    .option('--connections <n>', 'TCP connections at a time', count(1), limits.connections)
    .option('--silence-ms <ms>', 'end a stream without audio for so long', wholeNumber(1, DAY_MS), limits.silenceMs)
    .option('--max-age-ms <ms>', 'longest life of a stream', wholeNumber(1, DAY_MS), limits.maxAgeMs)
    .option(
      '--partial-latency-ms <ms>',
      `how late partials come, not with the recogniser local (default: ${partialMs})`,
      wholeNumber(0, DAY_MS),
    )
    .option(
      '--final-latency-ms <ms>',
      `the same of finals; a range is drawn from (default: ${finalMs.min}-${finalMs.max})`,
      parseLatency,
    )
    .addOption(
      new Option('--fault <rule>', 'fault that strikes new streams at a rate, see below; may be given several times')
        .argParser(collectFault)
        .default([], 'none'),
    )
    .option('--seed <n>', 'seed of the random choices, to repeat a run', wholeNumber(0, MAX_SEED))
    .addHelpText('after', faultsHelp);
}

function wholeNumber(min: number, max: number): (value: string) => number {
  return (value) => {
    const number = Number(value);
    if (!/^\d{1,10}$/.test(value) || number < min || number > max) {
      throw new InvalidArgumentError(`It must be a whole number, ${min} to ${max}.`);
    }
    return number;
  };
}

function parsePort(value: string): number {
  const port = Number(value);
  if (!/^\d{1,5}$/.test(value) || port > 65_535) throw new InvalidArgumentError('It must be a port, 0 to 65535.');
  return port;
}

function parseLatency(value: string): MsRange {
  const range = parseMsRange(value);
  if (range === undefined || range.max > DAY_MS) {
    throw new InvalidArgumentError('It must be milliseconds or a range of them, such as 300-2000.');
  }
  return range;
}

function collectFault(value: string, previous: readonly FaultRule[]): FaultRule[] {
  try {
    return [...previous, parseFault(value)];
  } catch (error) {
    throw new InvalidArgumentError((error as Error).message);
  }
}

function parseCredentials(value: string): EmulatorCommandOptions['credentials'] {
  const [accessKeyId, secretAccessKey, sessionToken] = value.split(':');
  if (!accessKeyId || !secretAccessKey) throw new InvalidArgumentError('It must be KEY:SECRET or KEY:SECRET:TOKEN.');
  return [{ accessKeyId, secretAccessKey, ...(sessionToken !== undefined && { sessionToken }) }];
}
