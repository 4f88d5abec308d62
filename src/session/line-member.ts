import type { LinePlace } from '../limits/applicant.ts';
import { tagOf } from '../store/session-id.ts';
import type { OwnedSessionOptions } from './ownership.ts';
import type { SessionApplicant } from './session-options.ts';

/** A session in the line for engine streams: who it is there, and what its client hears of it, over all its connections. */
export class LineMember implements SessionApplicant {
  /** Of one start key always the same: a later start has what the session had that it ends. */
  readonly id: string;
  readonly tenant: string;
  readonly isResumable: boolean;
  /** One that was served is owed the words that it owes, also while its client is away for a moment. */
  readonly isAttended = () => this.#isAttached || (this.#wasServed && !this.#isAlone);
  readonly moves = () => this.#moves;
  readonly #tell: (place: LinePlace) => void;
  #isAttached = true;
  /** Its client has been away for long. */
  #isAlone = false;
  #wasServed: boolean;
  #moves = false;
  /** Where it stands; undefined while it does not wait. */
  #place: LinePlace | undefined;
  #isTold = false;

  /** @param tell tells the connection that is attached */
  constructor({ durability, id, tenant }: OwnedSessionOptions, tell: (place: LinePlace) => void) {
    this.id = durability === undefined ? id : tagOf(id);
    this.tenant = tenant;
    this.isResumable = durability !== undefined;
    this.#wasServed = durability?.claimed !== undefined;
    this.#tell = tell;
  }

  queued(place: LinePlace | undefined): void {
    this.#place = place;
    this.#tellPlace();
  }

  /** The connection is gone. */
  detached(): void {
    this.#isAttached = false;
  }

  /** The client does not come back soon. */
  leftAlone(): void {
    this.#isAlone = true;
  }

  /** Another connection is attached: it has to hear it too. */
  attached(): void {
    this.#isAttached = true;
    this.#isAlone = false;
    this.#tellPlace();
  }

  /** What the session has here is left for it elsewhere. */
  move(): void {
    this.#moves = true;
  }

  /** The stream is open. Returns whether the client was told to wait for it. */
  served(): boolean {
    const wasTold = this.#isTold;
    this.#isTold = false;
    this.#wasServed = true;
    return wasTold;
  }

  #tellPlace(): void {
    if (this.#place === undefined) return;
    this.#isTold = this.isResumable;
    this.#tell(this.#place);
  }
}
