import { type DestinationStream, type Logger, pino } from 'pino';

export type { Logger } from 'pino';

/**
 * The logger of the process: JSON lines on standard output.
 *
 * A line is a static message with tagged fields. Audio, transcripts, tokens and identities never go into one; a test
 * walks the source for that. An error is logged by `err`, whose message is ours or that of a library, never user data.
 */
export function createLogger(level: string, destination?: DestinationStream): Logger {
  const options = {
    level,
    base: { service: 'transcribe-gateway' },
    formatters: { level: (label: string) => ({ level: label }) },
    timestamp: pino.stdTimeFunctions.isoTime,
  };
  return destination === undefined ? pino(options) : pino(options, destination);
}
