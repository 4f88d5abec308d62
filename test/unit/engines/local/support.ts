import { readFileSync } from 'node:fs';
import { pino } from 'pino';
import type { EngineResult, EngineStream } from '../../../../src/engines/engine.ts';
import { LocalEngine, type LocalEngineOptions } from '../../../../src/engines/local/local-engine.ts';

/** "go forward ten meters", 2.8 s of PCM at 16 kHz. */
export const SPEECH = readFileSync(new URL('../../../fixtures/goforward.raw', import.meta.url));

export function startEngine(options: Partial<LocalEngineOptions> = {}): Promise<LocalEngine> {
  return LocalEngine.start({ languageCode: 'en-US', log: pino({ level: 'silent' }), ...options });
}

export function openStream(
  engine: LocalEngine,
  continuation = false,
  signal: AbortSignal = new AbortController().signal,
): Promise<EngineStream> {
  return engine.open({ languageCode: 'en-US', sampleRate: 16_000, channels: 1, continuation }, signal);
}

export async function write(stream: EngineStream, audio: Buffer): Promise<void> {
  for (let at = 0; at < audio.length; at += 3_200) await stream.write(Buffer.from(audio.subarray(at, at + 3_200)));
}

export async function collect(stream: EngineStream): Promise<EngineResult[]> {
  const results: EngineResult[] = [];
  for await (const result of stream.results) results.push(result);
  return results;
}

/** The texts of the finals, joined. */
export async function transcribe(stream: EngineStream, audio: Buffer): Promise<string> {
  const reading = collect(stream);
  await write(stream, audio);
  stream.end();
  const results = await reading;
  return results.flatMap(({ isPartial, text }) => (isPartial || text === '' ? [] : text)).join(' ');
}

/** Whether a process runs. A zombie counts as gone: in a container nobody may be there to reap an orphan. */
export function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch {
    return false;
  }
  if (process.platform !== 'linux') return true;
  try {
    return !/^\d+ \(.*\) Z/.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return false;
  }
}
