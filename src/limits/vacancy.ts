import { randomUUID } from 'node:crypto';
import type { Logger } from '../log.ts';
import type { Metrics } from '../metrics/metrics.ts';
import type { Leases } from '../store/leases.ts';
import { StoreUnavailableError } from '../store/store.ts';

/** How often workers say that they have room, and how long that is believed, in milliseconds. */
const LOOK_MS = 1_000;
const TERM_MS = 5_000;
const SCOPE = 'vacancy';

interface VacancyOptions {
  readonly leases: Pick<Leases, 'acquire' | 'release'>;
  /** No new session would be taken here. */
  readonly isFull: () => boolean;
  /** Connections that would break if the balancer sent their next request elsewhere: those that poll. */
  readonly tiedConnections: () => number;
  readonly metrics: Pick<Metrics, 'hasRoom'>;
  readonly log: Logger;
}

/**
 * Whether new clients had better go to another worker. A full one steps back only while another has room, and only
 * without clients whose requests must all come here: otherwise those that are here would pay for those that are not, and
 * a fleet that is full would be closed to its own clients when they come back. Whoever has room holds a lease; without the
 * store nobody steps back.
 */
export class Vacancy {
  readonly #options: VacancyOptions;
  readonly #lease = { scope: SCOPE, holder: randomUUID(), grip: randomUUID() };
  readonly #timer: NodeJS.Timeout;
  #looking: Promise<void> | undefined;
  #isOver = false;
  #hasLease = false;
  #stepsBack = false;

  constructor(options: VacancyOptions) {
    this.#options = options;
    this.#timer = setInterval(() => this.#lookAgain(), LOOK_MS);
    this.#timer.unref();
    this.#lookAgain();
  }

  /** New clients had better go to another worker, and there is one. */
  get stepsBack(): boolean {
    return this.#stepsBack;
  }

  /** This worker takes nobody any more: others must not count on it. Idempotent. */
  async close(): Promise<void> {
    this.#isOver = true;
    clearInterval(this.#timer);
    await this.#looking;
    await this.#giveBack().catch(() => undefined);
  }

  #lookAgain(): void {
    this.#looking ??= this.#look()
      .catch((error: unknown) => {
        this.#step(false);
        if (!(error instanceof StoreUnavailableError)) this.#options.log.error({ err: error }, 'vacancy is unknown');
      })
      .finally(() => {
        this.#looking = undefined;
      });
  }

  async #look(): Promise<void> {
    const { isFull, leases, metrics, tiedConnections } = this.#options;
    const hasRoom = !isFull();
    metrics.hasRoom.set(hasRoom ? 1 : 0);
    if (hasRoom) {
      this.#step(false);
      this.#hasLease = true;
      await leases.acquire(this.#lease, undefined, TERM_MS);
      return;
    }
    await this.#giveBack();
    // Of no places at all none is granted, and the answer says how many others are held.
    const { held } = await leases.acquire(this.#lease, 0, TERM_MS);
    this.#step(held > 0 && tiedConnections() === 0);
  }

  async #giveBack(): Promise<void> {
    if (!this.#hasLease) return;
    await this.#options.leases.release(this.#lease);
    this.#hasLease = false;
  }

  #step(back: boolean): void {
    const stepsBack = back && !this.#isOver;
    if (stepsBack === this.#stepsBack) return;
    this.#stepsBack = stepsBack;
    const { log } = this.#options;
    if (stepsBack) log.info('no room: not ready, because another gateway has some');
    else log.info('ready again');
  }
}
