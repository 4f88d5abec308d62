import type { EngineCapabilities } from '../engines/engine.ts';
import type { Metrics } from '../metrics/metrics.ts';
import type { SessionMeter } from './session-options.ts';
import { StreamBill } from './stream-bill.ts';

export interface SessionCountsOptions {
  readonly capabilities: Pick<EngineCapabilities, 'billing' | 'name'>;
  readonly metrics: Pick<Metrics, 'audioSecondsTotal' | 'billedSecondsTotal' | 'trimmedSecondsTotal'>;
  readonly meter: SessionMeter | undefined;
  /** Hertz. */
  readonly sampleRate: number;
}

/** What one session uses, for the metrics of the gateway and on somebody's account. Lengths are samples of one channel. */
export class SessionCounts {
  readonly #options: SessionCountsOptions;

  constructor(options: SessionCountsOptions) {
    this.#options = options;
  }

  /** The client sent audio. */
  received(samples: number): void {
    const { meter, metrics, sampleRate } = this.#options;
    metrics.audioSecondsTotal.inc(samples / sampleRate);
    meter?.audio((samples * 1000) / sampleRate);
  }

  /** Silence was cut. */
  trimmed(samples: number): void {
    const { capabilities, metrics, sampleRate } = this.#options;
    metrics.trimmedSecondsTotal.inc({ engine: capabilities.name }, samples / sampleRate);
  }

  /** The bill of a stream that was opened; undefined where it costs nothing. */
  bill(): StreamBill | undefined {
    const { capabilities, meter, metrics, sampleRate } = this.#options;
    const { billing, name } = capabilities;
    if (billing === undefined) return undefined;
    return new StreamBill(billing, sampleRate, (seconds) => {
      metrics.billedSecondsTotal.inc({ engine: name }, seconds);
      meter?.billed(seconds);
    });
  }
}
