import { SPEECH_SAMPLE_FILE } from '../speech-sample.ts';
import { type AudioSource, AudioSourceError, openAudio } from './audio-source.ts';
import { EXIT, type ExitStatus } from './exit.ts';
import { RawStream } from './raw-stream.ts';
import type { StreamCommandOptions } from './stream-options.ts';
import { createView } from './transcript-view.ts';
import { WholeStream } from './whole-stream.ts';

/** `stream`: sends audio as a microphone would and shows what comes back. Resolves with the exit status. */
export async function stream(file: string | undefined, options: StreamCommandOptions): Promise<ExitStatus> {
  const chosen = options.sample ? SPEECH_SAMPLE_FILE : file;
  if (chosen === undefined || (options.sample && file !== undefined)) {
    console.error('Name one file to send, - for standard input, or --sample.');
    return EXIT.usage;
  }
  let source: AudioSource;
  try {
    source = await openAudio(chosen);
  } catch (error) {
    if (!(error instanceof AudioSourceError)) throw error;
    console.error(error.message);
    return EXIT.usage;
  }
  const view = createView(process.stdout, process.stderr, options.json);
  try {
    const Run = options.protocol === '1' ? RawStream : WholeStream;
    return await new Run(source, options, view).run();
  } finally {
    source.close();
    view.close();
  }
}
