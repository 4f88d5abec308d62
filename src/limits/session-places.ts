import type { Principal } from '../auth/principal.ts';
import type { GatewayError } from '../errors.ts';
import type { Metrics } from '../metrics/metrics.ts';
import type { LimitName } from '../protocol/limit-codes.ts';
import type { LeaseKeeper, Place, PlaceRequest } from './lease-keeper.ts';
import { refusal } from './refusal.ts';

/** Sessions that there may be at a time; 0 for any number. */
export interface SessionBounds {
  /** Of one user, unless its token says otherwise. */
  readonly sessionsPerUser: number;
  readonly sessionsPerTenant: number;
}

export type SessionOwner = Pick<Principal, 'id' | 'tenant' | 'tokenId' | 'limits'>;

/** Says what was reached, for whoever is refused. */
const REASONS: Partial<Record<LimitName, string>> = {
  sessions_per_user: 'This user has as many sessions as it may have at a time',
  sessions_per_tenant: 'This tenant has as many sessions as it may have at a time',
  sessions_per_token: 'This token is good for one session at a time, which runs already',
};

/** How many sessions a user, a tenant and a token may have at a time, over all workers. */
export class SessionPlaces {
  readonly #keeper: LeaseKeeper;
  readonly #bounds: SessionBounds;
  readonly #metrics: Metrics;

  constructor(keeper: LeaseKeeper, bounds: SessionBounds, metrics: Metrics) {
    this.#keeper = keeper;
    this.#bounds = bounds;
    this.#metrics = metrics;
  }

  /**
   * A seat for a session, not taken yet.
   * @param holder what stays the same of the session wherever it runs, also where a later start takes its place
   */
  seat(owner: SessionOwner, holder: string): Seat {
    const { sessionsPerTenant, sessionsPerUser } = this.#bounds;
    const requests: PlaceRequest[] = [];
    const add = (limit: LimitName, scope: string, most: number) => {
      if (most > 0) requests.push({ limit, scope: `${limit} ${scope}`, holder, most });
    };
    add('sessions_per_token', owner.tokenId ?? '', owner.tokenId === undefined ? 0 : 1);
    add('sessions_per_user', owner.id, owner.limits.sessions ?? sessionsPerUser);
    add('sessions_per_tenant', owner.tenant, sessionsPerTenant);
    return new Seat(this.#keeper, requests, (limit, retryAfterMs) =>
      refusal(this.#metrics, limit, `start_transcription: ${REASONS[limit]}.`, retryAfterMs),
    );
  }
}

/** The places of one session, from the moment that it is admitted until it is gone. */
export class Seat {
  readonly #keeper: LeaseKeeper;
  readonly #requests: readonly PlaceRequest[];
  readonly #refuse: (limit: LimitName, retryAfterMs: number) => GatewayError;
  #places: Place[] = [];
  /** What becomes of places: they are kept, or the session is gone already. */
  #then: 'keep' | 'release' | 'leave' = 'keep';

  constructor(
    keeper: LeaseKeeper,
    requests: readonly PlaceRequest[],
    refuse: (limit: LimitName, retryAfterMs: number) => GatewayError,
  ) {
    this.#keeper = keeper;
    this.#requests = requests;
    this.#refuse = refuse;
  }

  /**
   * Takes all that is needed, or nothing.
   * @returns undefined where nothing is needed
   * @throws GatewayError `sessions_exceeded`
   */
  take(): Promise<void> | undefined {
    return this.#requests.length === 0 ? undefined : this.#take(this.#requests);
  }

  /** The same for a session that goes on: it was admitted before, and is never refused. */
  keep(): void {
    void this.#take(this.#requests.map((request) => ({ ...request, most: undefined })));
  }

  /** The session is over. Idempotent. */
  release(): void {
    this.#end('release');
  }

  /** The session goes on elsewhere, and takes its places there. Idempotent. */
  leave(): void {
    this.#end('leave');
  }

  async #take(requests: readonly PlaceRequest[]): Promise<void> {
    const answers = await Promise.all(requests.map((request) => this.#keeper.take(request)));
    this.#places = answers.flatMap((answer) => (answer.kind === 'granted' ? [answer.place] : []));
    if (this.#then !== 'keep') this.#end(this.#then);
    for (const [index, answer] of answers.entries()) {
      if (answer.kind === 'granted') continue;
      this.release();
      const { limit } = requests[index] as PlaceRequest;
      throw this.#refuse(limit, answer.retryAfterMs);
    }
  }

  #end(then: 'release' | 'leave'): void {
    this.#then = then;
    for (const place of this.#places.splice(0)) place[then]();
  }
}
