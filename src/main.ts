import { Command, CommanderError, InvalidArgumentError, Option } from 'commander';
import type { ApiKeyCommandOptions } from './cli/api-key.ts';
import { addEmulatorOptions, type EmulatorCommandOptions } from './cli/emulator-options.ts';
import { EXIT } from './cli/exit.ts';
import type { ProbeOptions } from './cli/probe.ts';
import { DEFAULT_URL, type StreamCommandOptions } from './cli/stream-options.ts';
import { VERSION } from './version.ts';

/**
 * The command line: picks a command and does nothing else. Each is loaded when it is picked, because a worker that starts
 * has no use for the others. @param argv as `process.argv`
 */
export async function main(argv: readonly string[]): Promise<void> {
  const program = new Command('transcribe-gateway')
    .description('Real-time transcription gateway: microphone audio in over Socket.IO, transcripts out.')
    .version(VERSION)
    .exitOverride()
    .showHelpAfterError();

  program
    .command('serve')
    .description('run the gateway; its settings come from the environment, see print-env')
    .action(async () => {
      const { serve } = await import('./cli/serve.ts');
      await serve();
    });

  program
    .command('stream')
    .description('send a file to a gateway as a microphone would, and print the transcript')
    .argument('[file]', 'WAV or raw PCM, 16 bit, mono, 16 kHz; - for standard input')
    .option('--sample', 'send the bundled speech sample instead of a file', false)
    .option('--language <tag>', 'language of the speech', 'en-US')
    .option('--url <url>', 'where the gateway is', parseUrl, DEFAULT_URL)
    .addOption(
      new Option('--token <token>', 'API key or JWT, where the gateway asks for one').env('TRANSCRIBE_GATEWAY_TOKEN'),
    )
    .addOption(new Option('--realtime', 'send at the speed of speech (default)').conflicts('fast'))
    .option('--fast', 'send as fast as the gateway takes it', false)
    .option('--json', 'print each event as a line of JSON on standard output', false)
    .addOption(
      new Option('--protocol <version>', 'protocol version; with 1 a lost connection is the end')
        .choices(['1', '2'])
        .default('2'),
    )
    .option('--give-up-after <seconds>', 'how long to wait for a gateway that went away', parseSeconds, 60)
    .addHelpText('after', EXIT_HELP)
    .action(async (file: string | undefined, options: StreamCommandOptions) => {
      const { stream } = await import('./cli/stream.ts');
      process.exitCode = await stream(file, options);
    });

  program
    .command('probe')
    .description('speak the bundled sample to a gateway, print the latencies as a line of JSON, and exit by the result')
    .option('--url <url>', 'where the gateway is', parseUrl, DEFAULT_URL)
    .addOption(
      new Option('--token <token>', 'API key or JWT, where the gateway asks for one').env('TRANSCRIBE_GATEWAY_TOKEN'),
    )
    .option('--language <tag>', 'language to ask for; the sample is English', 'en-US')
    .option('--timeout-ms <ms>', 'for everything; the sample takes 13 s', parseTimeout, 60_000)
    .option('--expect <text>', 'words that must be in the transcript, such as "go forward ten meters"')
    .addHelpText('after', PROBE_EXIT_HELP)
    .action(async (options: ProbeOptions) => {
      const { probe } = await import('./cli/probe.ts');
      process.exitCode = await probe(options);
    });

  program
    .command('check-config')
    .description('check the environment and exit; every fault is named')
    .action(async () => {
      const { checkConfig } = await import('./cli/config-commands.ts');
      process.exitCode = checkConfig();
    });

  program
    .command('print-env')
    .description('print every setting with its effective value, as an env file')
    .action(async () => {
      const { printEnv } = await import('./cli/config-commands.ts');
      process.exitCode = printEnv();
    });

  program
    .command('api-key')
    .description('make an API key and its entry for the file that GATEWAY_API_KEYS_FILE names')
    .requiredOption('--id <name>', 'name of the key, for logs of changes to the file')
    .option('--tenant <name>', 'who pays', 'default')
    .option('--scope <scope...>', 'transcribe, watch or admin; transcribe and watch by default')
    .option('--language <tag...>', 'languages that it may ask for; all by default')
    .option('--expires <time>', 'when it ends, such as 2027-01-31T00:00:00Z; never by default')
    .action(async (options: ApiKeyCommandOptions) => {
      const { apiKey } = await import('./cli/api-key.ts');
      process.exitCode = apiKey(options);
    });

  addEmulatorOptions(program.command('emulator'))
    .description('run an emulator of Amazon Transcribe streaming, for load tests without an AWS account')
    .action(async (options: EmulatorCommandOptions) => {
      const { emulator } = await import('./cli/emulator.ts');
      await emulator(options);
    });

  try {
    await program.parseAsync(argv);
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    process.exitCode = error.exitCode === 0 ? EXIT.ok : EXIT.usage;
  }
}

function parseUrl(value: string): string {
  const url = URL.canParse(value) ? new URL(value) : undefined;
  if (url === undefined || !['http:', 'https:', 'ws:', 'wss:'].includes(url.protocol)) {
    throw new InvalidArgumentError('It must be like http://localhost:5001.');
  }
  return value;
}

/** An hour of kept audio is as much as one command should hold in memory. */
const MAX_GIVE_UP_AFTER = 3_600;

function parseSeconds(value: string): number {
  const seconds = Number(value);
  if (!(seconds >= 1 && seconds <= MAX_GIVE_UP_AFTER)) {
    throw new InvalidArgumentError(`It must be from 1 to ${MAX_GIVE_UP_AFTER}.`);
  }
  return seconds;
}

const MAX_TIMEOUT_MS = 3_600_000;

function parseTimeout(value: string): number {
  const ms = Number(value);
  if (!(Number.isInteger(ms) && ms >= 1 && ms <= MAX_TIMEOUT_MS)) {
    throw new InvalidArgumentError(`It must be whole milliseconds, from 1 to ${MAX_TIMEOUT_MS}.`);
  }
  return ms;
}

const EXIT_HELP = `
Exit status: ${EXIT.ok} transcribed whole, ${EXIT.failed} the gateway reported an error or a gap,
${EXIT.usage} bad arguments or file, ${EXIT.unreachable} no gateway, ${EXIT.interrupted} interrupted.`;

const PROBE_EXIT_HELP = `
Exit status: ${EXIT.ok} words came back, ${EXIT.failed} they did not, or were others than expected, or audio was lost,
${EXIT.usage} bad arguments, ${EXIT.unreachable} no gateway.`;
