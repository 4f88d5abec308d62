import type { Metrics } from '../metrics/metrics.ts';

type LifeMetrics = Pick<
  Metrics,
  'sessionsStartedTotal' | 'sessionStartSeconds' | 'sessionSeconds' | 'resumePauseSeconds' | 'fencesTotal'
>;

/** How the former owner of a session hears that it has another: by a notice, or because the store refuses a write. */
export type FencedBy = 'notice' | 'write';

/** What is measured of the life of one session in this process: its start, the times without its client, its end. */
export class SessionLife {
  readonly #metrics: LifeMetrics;
  readonly #begunAt = performance.now();
  /** When the client last sent audio, and since when it is known to be gone; milliseconds of the monotonic clock. */
  #heardAt = this.#begunAt;
  #goneSince: number | undefined;

  constructor(metrics: LifeMetrics) {
    this.#metrics = metrics;
  }

  /** The client has what it asked for. */
  started(protocol: '1' | '2'): void {
    this.#metrics.sessionsStartedTotal.inc({ protocol });
    this.#metrics.sessionStartSeconds.observe(secondsSince(this.#begunAt));
  }

  heard(): void {
    this.#heardAt = performance.now();
  }

  /** The connection is gone. */
  left(): void {
    this.#goneSince = performance.now();
  }

  /** The client goes on, on another connection. That the one before was gone may not have been noticed. */
  back(): void {
    this.#metrics.resumePauseSeconds.observe(secondsSince(this.#goneSince ?? this.#heardAt));
    this.#goneSince = undefined;
  }

  /** It goes on with another worker. */
  fenced(by: FencedBy): void {
    this.#metrics.fencesTotal.inc({ by });
    this.back();
  }

  over(): void {
    this.#metrics.sessionSeconds.observe(secondsSince(this.#begunAt));
  }
}

function secondsSince(then: number): number {
  return (performance.now() - then) / 1000;
}
