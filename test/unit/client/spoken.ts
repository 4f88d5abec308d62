import { setTimeout as delay } from 'node:timers/promises';
import type { Entry, Retry, StateChange, TranscriptionOptions } from '../../../src/client/index.ts';
import { createTranscription, type Transcription } from '../../../src/client/index.ts';
import { type CodedAudio, codedAudio } from '../../support/coded-audio.ts';
import { type BlockAccount, reconcile } from '../../support/reconcile.ts';

/** Waits that suit a test: a lost connection is mended within milliseconds. */
export const QUICK = { initialMs: 5, maxMs: 40 } as const;

export interface Recorded {
  readonly client: Transcription;
  readonly entries: Entry[];
  readonly states: StateChange[];
  readonly retries: Retry[];
}

/** A client with a record of what it told. */
export function recorded(options: TranscriptionOptions): Recorded {
  const client = createTranscription({ backoff: QUICK, ...options });
  const record: Recorded = { client, entries: [], states: [], retries: [] };
  client.on('final', (entry) => record.entries.push(entry));
  client.on('gap', (entry) => record.entries.push(entry));
  client.on('state', (change) => record.states.push(change));
  client.on('retry', (retry) => record.retries.push(retry));
  return record;
}

/** Utterances of coded audio with short pauses: about five seconds, unless told otherwise. */
export function speech(seed: number, utterances = 8): CodedAudio {
  return codedAudio({ utterances, blocks: { min: 5, max: 40 }, silentBlocks: { min: 2, max: 10 }, seed });
}

/**
 * Speaks a while and yields now and then, so that answers come in between.
 * @param each called before each chunk with its index
 */
export async function speak(
  client: Transcription,
  pcm: Uint8Array,
  each: (chunk: number) => void | Promise<void> = () => undefined,
  pauseMs = 2,
): Promise<void> {
  let chunk = 0;
  for (let at = 0; at < pcm.length; at += 3_200) {
    await each(chunk);
    await client.ready();
    client.send(pcm.subarray(at, at + 3_200));
    chunk += 1;
    await delay(pauseMs);
  }
}

/** What became of each block, by the entries that the application was given. */
export function accountOf(audio: CodedAudio, entries: readonly Entry[]): BlockAccount {
  return reconcile({
    expected: audio.blocks,
    finals: entries.flatMap((entry) => (entry.kind === 'final' ? [entry.text] : [])),
    gaps: entries.flatMap((entry) => (entry.kind === 'gap' ? [entry] : [])),
  });
}

/** Faults of the order of entries: numbers without holes, positions that never run backwards and fit the words. */
export function orderFaults(audio: CodedAudio, entries: readonly Entry[]): string[] {
  const faults: string[] = [];
  const placeOf = new Map(audio.blocks.map((block) => [`b${block.number}`, block.startSample]));
  let end = 0;
  for (const [index, entry] of entries.entries()) {
    if (entry.seq !== index + 1) faults.push(`entry ${index + 1} has the number ${entry.seq}`);
    const start = entry.kind === 'final' ? entry.startSample : entry.fromSample;
    if (start < end) faults.push(`entry ${entry.seq} begins at ${start}, before ${end}`);
    end = entry.kind === 'final' ? entry.endSample : entry.toSample;
    if (entry.kind !== 'final') continue;
    const place = placeOf.get(entry.text.split(' ')[0] ?? '');
    if (place !== start) faults.push(`entry ${entry.seq} says ${start} for audio at ${place}`);
  }
  return faults;
}
