import { BYTES_PER_SAMPLE } from '../../protocol/audio.ts';
import type { CallGate } from './call-gate.ts';
import { StreamDecoder } from './stream-decoder.ts';
import type { VoskModel } from './vosk.ts';

/** The first round also pays for cold caches and pages, so there is a second. */
const ROUNDS = 2;

/**
 * Seconds of processor time that one second of speech costs, decoded as streams are.
 *
 * Processor time, not wall time, so that a busy neighbour does not make the machine look slower than it is; and on all
 * `threads` at once, because cores share caches and execution units: one stream alone measures up to 9 times real
 * time where two at once measure 6.5 each. What it costs to open a stream is part of it, which errs on the safe side.
 */
export async function measureCpuPerAudioSecond(
  model: VoskModel,
  sampleRate: number,
  gate: CallGate,
  threads: number,
  audio: Buffer,
): Promise<number> {
  const before = process.cpuUsage();
  for (let round = 0; round < ROUNDS; round++) {
    await Promise.all(Array.from({ length: threads }, () => decode(model, sampleRate, gate, audio)));
  }
  const { user, system } = process.cpuUsage(before);
  const audioSeconds = (audio.length / BYTES_PER_SAMPLE / sampleRate) * threads * ROUNDS;
  return (user + system) / 1e6 / audioSeconds;
}

function decode(model: VoskModel, sampleRate: number, gate: CallGate, audio: Buffer): Promise<void> {
  return new Promise((resolve, reject) => {
    const decoder = new StreamDecoder(model, sampleRate, gate, (report) => {
      switch (report.type) {
        case 'ended':
          resolve();
          break;
        case 'failed':
          reject(new Error('the calibration audio could not be decoded'));
          break;
        case 'opened':
        case 'dropped':
        case 'result':
        case 'processed':
          break;
        default:
          report satisfies never;
      }
    });
    void decoder.open();
    decoder.accept(audio);
    decoder.end();
  });
}
