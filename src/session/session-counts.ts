import type { EngineCapabilities } from '../engines/engine.ts';
import type { Metrics } from '../metrics/metrics.ts';
import type { GapReason, SessionMeter } from './session-options.ts';
import { StreamBill } from './stream-bill.ts';
import type { ResultAges } from './stream-run.ts';
import type { PlacedResult } from './timeline.ts';

export interface SessionCountsOptions {
  readonly capabilities: Pick<EngineCapabilities, 'billing' | 'name'>;
  readonly metrics: Metrics;
  readonly meter: SessionMeter | undefined;
  /** Hertz. */
  readonly sampleRate: number;
}

/** What one session uses, for the metrics of the gateway and on somebody's account. Lengths are samples of one channel. */
export class SessionCounts {
  readonly #options: SessionCountsOptions;
  /** By channel: where the last result ended. */
  readonly #shownTo: number[] = [];

  constructor(options: SessionCountsOptions) {
    this.#options = options;
  }

  /** The client sent audio. */
  received(samples: number): void {
    const { meter, metrics, sampleRate } = this.#options;
    metrics.audioSecondsTotal.inc(samples / sampleRate);
    meter?.audio((samples * 1000) / sampleRate);
  }

  /** An engine was given audio. @param waitedMs since its arrival, if that is known */
  given(waitedMs: number | undefined): void {
    if (waitedMs !== undefined) this.#options.metrics.audioWaitSeconds.observe(waitedMs / 1000);
  }

  /** An engine gave a result. */
  heard({ channel = 0, endSample, isPartial, startSample }: PlacedResult, { firstMs, lastMs }: ResultAges): void {
    const { metrics } = this.#options;
    const type = isPartial ? 'partial' : 'final';
    if (lastMs !== undefined) metrics.resultLatencySeconds.observe({ type }, lastMs / 1000);
    const shownTo = this.#shownTo[channel] ?? 0;
    // Not the first of its utterance, nor the first of a new stream for what was shown before.
    const isFirst = isPartial && startSample >= shownTo;
    if (isFirst && firstMs !== undefined) metrics.firstPartialSeconds.observe(firstMs / 1000);
    this.#shownTo[channel] = Math.max(shownTo, endSample);
  }

  /** Audio is lost. */
  lost(samples: number, reason: GapReason): void {
    countGap(this.#options.metrics, reason, samples / this.#options.sampleRate);
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

/** Audio of a session is lost. */
export function countGap(
  metrics: Pick<Metrics, 'gapsTotal' | 'gapSecondsTotal'>,
  reason: GapReason,
  seconds: number,
): void {
  metrics.gapsTotal.inc({ reason });
  metrics.gapSecondsTotal.inc({ reason }, seconds);
}
