import type { Emulator } from '../../src/emulator/emulator.ts';
import type { FaultRule } from '../../src/emulator/faults.ts';
import { type Random, seededRandom } from '../../src/emulator/random.ts';

type InjectedFault = FaultRule['fault'];

/** Anywhere in the life of a stream. */
const afterAudioMs = { min: 0, max: 8_000 };

/** Every kind that the emulator knows, with the variants that mean something else to a client. */
const SOAK_FAULTS: readonly InjectedFault[] = [
  { kind: 'exception', exception: 'LimitExceededException', afterAudioMs },
  { kind: 'exception', exception: 'InternalFailureException', afterAudioMs },
  { kind: 'exception', exception: 'ServiceUnavailableException', afterAudioMs },
  { kind: 'exception', exception: 'ConflictException', afterAudioMs },
  { kind: 'http_error', status: 429 },
  { kind: 'http_error', status: 503 },
  { kind: 'reset_before_headers' },
  { kind: 'reset', afterAudioMs },
  // REFUSED_STREAM, CANCEL and NO_ERROR.
  { kind: 'reset', code: 7, afterAudioMs },
  { kind: 'reset', code: 8, afterAudioMs },
  { kind: 'reset', code: 0, afterAudioMs },
  { kind: 'disconnect', afterAudioMs },
  { kind: 'silence', afterAudioMs },
  { kind: 'early_end', afterAudioMs },
  { kind: 'goaway', afterAudioMs },
  // ENHANCE_YOUR_CALM.
  { kind: 'goaway', code: 11, afterAudioMs },
  { kind: 'slow_reader', bytesPerSecond: 0, afterAudioMs },
  { kind: 'slow_reader', bytesPerSecond: 20_000, afterAudioMs },
  { kind: 'late_first_event', delayMs: 1_500 },
  { kind: 'late_first_event', delayMs: 3_700 },
  { kind: 'late_first_event', delayMs: 8_000 },
  { kind: 'truncated_frame', afterAudioMs },
  { kind: 'corrupt_frame', afterAudioMs },
  { kind: 'clock_skew', skewMs: 600_000 },
  { kind: 'clock_skew', skewMs: -600_000 },
];

/**
 * Never two on one stream: a service that holds back all that it has to say, and then ends its answer in good order right
 * after our own end, has said that nothing was spoken, and nobody can know better. Rules of the kind `next` strike one a
 * stream.
 */
const ALONE: readonly InjectedFault['kind'][] = ['late_first_event', 'early_end'];

/** The only fault here that no new stream can mend: it ends the session, which must say what it lost. */
const FATAL: InjectedFault = { kind: 'exception', exception: 'BadRequestException', afterAudioMs };

/** What happens to all open streams at once when a host or a line fails. */
const OUTAGES: readonly InjectedFault[] = [
  { kind: 'reset' },
  { kind: 'disconnect' },
  { kind: 'exception', exception: 'ServiceUnavailableException' },
  { kind: 'goaway', code: 2 },
  { kind: 'truncated_frame' },
];

interface SoakFaultsOptions {
  readonly seed: number;
  /** Probability of each fault for each new stream. */
  readonly rate: number;
  /** Every so often the next stream gets the next fault of all kinds in turn, in milliseconds. */
  readonly nextEveryMs: number;
  /** Every so often all open streams are hit, in milliseconds. */
  readonly outageEveryMs: number;
}

/**
 * Injects faults into an emulator until it is stopped.
 * @returns stops it, and takes back the rules that have not struck
 */
export function injectFaults(emulator: Emulator, options: SoakFaultsOptions): () => void {
  const { nextEveryMs, outageEveryMs, rate, seed } = options;
  const random = seededRandom(seed);
  for (const fault of SOAK_FAULTS) if (!ALONE.includes(fault.kind)) emulator.addFault({ fault, rate });
  const faults = inTurn([...SOAK_FAULTS, FATAL], random);
  const outages = inTurn(OUTAGES, random);
  const timers = [
    setInterval(() => emulator.addFault({ fault: faults(), next: 1 }), nextEveryMs),
    setInterval(() => emulator.addFault({ fault: outages(), running: true }), outageEveryMs),
  ];
  return () => {
    for (const timer of timers) clearInterval(timer);
    emulator.clearFaults();
  };
}

/** All of them in a random order, again and again in another. */
function inTurn<T>(all: readonly T[], random: Random): () => T {
  let left: T[] = [];
  return () => {
    if (left.length === 0) left = [...all];
    const [one] = left.splice(Math.floor(random() * left.length), 1);
    if (one === undefined) throw new RangeError('nothing to choose from');
    return one;
  };
}
