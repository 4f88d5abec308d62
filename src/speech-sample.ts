import { readFile } from 'node:fs/promises';

/**
 * The bundled speech sample: 12.9 s of three speakers, WAV, PCM 16 bit, mono, 16 kHz. NOTICE says where it comes from.
 */
export const SPEECH_SAMPLE_FILE = new URL('./speech-sample.wav', import.meta.url);

/** The header that this file has: RIFF, one format chunk, one data chunk. */
const HEADER_BYTES = 44;

/** The samples of the bundled speech as PCM. */
export async function readSpeechSample(): Promise<Buffer> {
  return (await readFile(SPEECH_SAMPLE_FILE)).subarray(HEADER_BYTES);
}
