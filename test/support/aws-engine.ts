import { pino } from 'pino';
import type { AwsPoolEntry } from '../../src/config/aws-pool.ts';
import { AwsEngine, type AwsEngineOptions } from '../../src/engines/aws/aws-engine.ts';
import type { Engine, EngineResult, EngineStream, EngineStreamOptions } from '../../src/engines/engine.ts';
import { GatewayError } from '../../src/errors.ts';

export const FRAME_PATHS = ['fast', 'stock'] as const;
export type FramePath = (typeof FRAME_PATHS)[number];

/** The AWS engine on entries of the pool, by default one at an address. */
export function awsEngine(
  pool: string | readonly Partial<AwsPoolEntry>[],
  options: Partial<Omit<AwsEngineOptions, 'pool'>> = {},
): AwsEngine {
  const entries = typeof pool === 'string' ? [{ endpoint: pool }] : pool;
  return new AwsEngine({
    pool: entries.map((entry, n) => ({ name: `e${n}`, region: 'us-east-1', priority: 1, weight: 1, ...entry })),
    maxStreamMs: 4 * 3_600_000,
    framePath: 'fast',
    log: pino({ level: 'silent' }),
    ...options,
  });
}

/** Opens a stream of American English at 16 kHz unless told otherwise. */
export function openStream(
  engine: Engine,
  options: Partial<EngineStreamOptions> = {},
  signal: AbortSignal = new AbortController().signal,
): Promise<EngineStream> {
  return engine.open(
    { languageCode: 'en-US', sampleRate: 16_000, channels: 1, continuation: false, ...options },
    signal,
  );
}

export interface Outcome {
  readonly results: readonly EngineResult[];
  readonly finals: readonly string[];
  /** Undefined if the results ended as asked. */
  readonly failure: GatewayError | undefined;
}

/** Reads a stream to its end, however that comes. */
export async function readAll(stream: EngineStream, onResult: () => void = () => undefined): Promise<Outcome> {
  const results: EngineResult[] = [];
  let failure: GatewayError | undefined;
  try {
    for await (const result of stream.results) {
      results.push(result);
      onResult();
    }
  } catch (error) {
    if (!(error instanceof GatewayError)) throw error;
    failure = error;
  }
  const finals = results.filter(({ isPartial }) => !isPartial).map(({ text }) => text);
  return { results, finals, failure };
}

/** Writes copies, because the engine owns what it is given. */
export async function writeAll(stream: EngineStream, chunks: Iterable<Buffer>): Promise<void> {
  for (const chunk of chunks) await stream.write(Buffer.from(chunk));
}
