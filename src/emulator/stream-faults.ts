/** Carries out faults on one stream: when each strikes, and what it does. */

import type { Fault } from './faults.ts';
import { drawMs, type MsRange, type Random } from './random.ts';
import { Refusal } from './refusal.ts';

/** What a fault can do to a stream. */
export interface FaultTarget {
  refuse(refusal: Refusal): void;
  reset(code: number): void;
  disconnect(): void;
  mute(): void;
  endEarly(): void;
  goaway(code: number): void;
  slowDown(bytesPerSecond: number): void;
  hold(delayMs: number): void;
  spoilNext(how: 'truncate' | 'corrupt'): void;
}

function threshold(fault: Fault, random: Random): number {
  if (!('afterAudioMs' in fault)) return 0;
  const after: number | MsRange = fault.afterAudioMs;
  return typeof after === 'number' ? after : drawMs(after, random);
}

/** The faults of one stream that are still to come. */
export class PendingFaults {
  #pending: { readonly fault: Fault; readonly afterAudioMs: number }[];

  constructor(faults: readonly Fault[], random: Random) {
    this.#pending = faults.map((fault) => ({ fault, afterAudioMs: threshold(fault, random) }));
  }

  /** Takes out the faults that strike now that so much audio has come, in milliseconds. */
  take(audioMs: number): Fault[] {
    if (this.#pending.length === 0) return [];
    const due = this.#pending.filter((entry) => entry.afterAudioMs <= audioMs);
    this.#pending = this.#pending.filter((entry) => entry.afterAudioMs > audioMs);
    return due.map((entry) => entry.fault);
  }
}

/** Does to a stream what the fault says. Faults of the request itself are done before there is a stream. */
export function strike(fault: Fault, target: FaultTarget): void {
  switch (fault.kind) {
    case 'exception':
      target.refuse(new Refusal(fault.exception, fault.message ?? 'A fault was injected by the emulator.'));
      return;
    case 'reset':
      target.reset(fault.code);
      return;
    case 'disconnect':
      target.disconnect();
      return;
    case 'silence':
      target.mute();
      return;
    case 'early_end':
      target.endEarly();
      return;
    case 'goaway':
      target.goaway(fault.code);
      return;
    case 'slow_reader':
      target.slowDown(fault.bytesPerSecond);
      return;
    case 'late_first_event':
      target.hold(fault.delayMs);
      return;
    case 'truncated_frame':
      target.spoilNext('truncate');
      return;
    case 'corrupt_frame':
      target.spoilNext('corrupt');
      return;
    case 'http_error':
    case 'reset_before_headers':
    case 'clock_skew':
      return;
  }
}
