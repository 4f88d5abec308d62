import type { EngineBilling } from '../engines/engine.ts';

/** So many seconds are counted at a time: a process that is killed has counted all but these. */
const STEP_SECONDS = 10;

/** What one engine stream is billed for: its minimum from the beginning, then each second of audio begun. */
export class StreamBill {
  readonly #billing: EngineBilling;
  readonly #sampleRate: number;
  readonly #count: (seconds: number) => void;
  #samples = 0;
  #counted = 0;

  /** @param count called with whole seconds, in steps */
  constructor(billing: EngineBilling, sampleRate: number, count: (seconds: number) => void) {
    this.#billing = billing;
    this.#sampleRate = sampleRate;
    this.#count = count;
    this.#countAll();
  }

  /** The stream was given audio, in samples of one channel. */
  given(samples: number): void {
    this.#samples += samples;
    if (this.#seconds - this.#counted >= STEP_SECONDS) this.#countAll();
  }

  /** The stream is over: counts the rest. Idempotent. */
  close(): void {
    this.#countAll();
  }

  get #seconds(): number {
    return Math.max(this.#billing.minimumSeconds, Math.ceil(this.#samples / this.#sampleRate));
  }

  #countAll(): void {
    const seconds = this.#seconds - this.#counted;
    this.#counted += seconds;
    if (seconds > 0) this.#count(seconds);
  }
}
