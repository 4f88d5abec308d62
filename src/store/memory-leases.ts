import type { Lease, LeaseAnswer, Leases, RenewAnswer } from './leases.ts';

interface Place {
  readonly grip: string;
  readonly until: number;
}

/** The places of one process, for a gateway without Redis. Every verb takes effect within its call. */
export class MemoryLeases implements Leases {
  readonly available = true;
  readonly #now: () => number;
  readonly #scopes = new Map<string, Map<string, Place>>();

  /** @param now a clock in milliseconds that never goes back */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  async acquire({ grip, holder, scope }: Lease, most: number | undefined, ttlMs: number): Promise<LeaseAnswer> {
    const places = this.#placesOf(scope);
    if (!places.has(holder) && most !== undefined && places.size >= most) {
      const first = Math.min(...[...places.values()].map(({ until }) => until));
      const retryAfterMs = places.size === 0 ? ttlMs : Math.ceil(first - this.#now());
      return { kind: 'refused', held: places.size, retryAfterMs };
    }
    places.set(holder, { grip, until: this.#now() + ttlMs });
    this.#scopes.set(scope, places);
    return { kind: 'granted', held: places.size };
  }

  async renew(leases: readonly Lease[], ttlMs: number): Promise<RenewAnswer[]> {
    return leases.map(({ grip, holder, scope }) => {
      const places = this.#placesOf(scope);
      const present = places.get(holder);
      if (present !== undefined && present.grip !== grip) return 'lost';
      places.set(holder, { grip, until: this.#now() + ttlMs });
      this.#scopes.set(scope, places);
      return 'kept';
    });
  }

  async release({ grip, holder, scope }: Lease): Promise<void> {
    const places = this.#placesOf(scope);
    if (places.get(holder)?.grip === grip) places.delete(holder);
    if (places.size === 0) this.#scopes.delete(scope);
  }

  onAvailability(): () => void {
    return () => undefined;
  }

  /** Those that have not ended. */
  #placesOf(scope: string): Map<string, Place> {
    const places = this.#scopes.get(scope) ?? new Map<string, Place>();
    const now = this.#now();
    for (const [holder, { until }] of places) if (until <= now) places.delete(holder);
    return places;
  }
}
