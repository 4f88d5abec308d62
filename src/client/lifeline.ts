import type { DrainingEvent } from '../protocol/events.ts';
import { Dialer } from './dialer.ts';
import type { TranscriptionError } from './errors.ts';
import type { Link, LinkEvents } from './link.ts';
import type { LineSettings } from './options.ts';
import { Patience } from './patience.ts';

/** Faults of a gateway that serves us which say that it is better left. */
const LEAVE_AFTER = new Set<string>(['draining', 'no_answer']);
/** Share of the time for leaving a draining gateway in which it is left; the rest is for the connection to another. */
const LEAVE_WITHIN = 0.8;

/**
 * - `idle`: nothing was begun.
 * - `waiting`: until the next attempt, or until there is something to connect for.
 * - `connecting`: a connection is being made.
 * - `asking`: a start or a resume was sent.
 * - `queued`: the server will say when a place is free.
 * - `live`: audio goes out.
 * - `ended`: nothing happens any more.
 */
export type Phase = 'idle' | 'waiting' | 'connecting' | 'asking' | 'queued' | 'live' | 'ended';

interface LifelineEvents {
  /** What a new connection reports to. */
  link(): LinkEvents;
  /** The connection is let go. */
  dropped(): void;
  phase(phase: Phase): void;
}

/** The connection and the waits between one and the next. `moveTo` is the one writer of the phase. */
export class Lifeline {
  readonly #events: LifelineEvents;
  readonly #dialer: Dialer;
  readonly #patience: Patience;
  #phase: Phase = 'idle';
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(settings: LineSettings, events: LifelineEvents) {
    this.#events = events;
    this.#dialer = new Dialer(settings);
    this.#patience = new Patience(settings.backoff);
  }

  get phase(): Phase {
    return this.#phase;
  }

  get link(): Link | undefined {
    return this.#dialer.link;
  }

  /** Connects at once; an earlier connection is let go. */
  connect(): void {
    this.#drop();
    this.moveTo('connecting');
    this.#dialer.dial(this.#events.link());
  }

  /** The gateway drains: makes another connection, at a random moment of the time that there is for it. */
  leave({ jitter_ms: jitterMs, reconnect_within_ms: withinMs }: DrainingEvent): void {
    const longest = Math.max(0, withinMs * LEAVE_WITHIN);
    this.#dialer.chooseAnew();
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.connect(), Math.random() * Math.min(longest, jitterMs ?? longest));
  }

  /** Lets the connection go and makes another after a wait. Returns the milliseconds; undefined when it is time to give up. */
  retry(error: TranscriptionError): number | undefined {
    // Where the session was live it lingers. A gateway that does not serve us, or cannot be reached, is not asked again.
    const wasServed = this.#phase === 'live' || this.#phase === 'queued';
    if (!wasServed || LEAVE_AFTER.has(error.code)) this.#dialer.chooseAnew();
    this.#drop();
    const delayMs = this.#patience.next(error);
    if (delayMs === undefined) return undefined;
    this.moveTo('waiting');
    this.#timer = setTimeout(() => this.connect(), delayMs);
    return delayMs;
  }

  /** Lets the connection go until somebody connects. */
  rest(): void {
    this.#drop();
    this.moveTo('waiting');
  }

  /** Returns false if it had ended before. */
  end(): boolean {
    if (this.#phase === 'ended') return false;
    this.#drop();
    this.moveTo('ended');
    return true;
  }

  moveTo(phase: Phase): void {
    if (this.#phase === phase || this.#phase === 'ended') return;
    this.#phase = phase;
    if (phase === 'live') this.#dialer.acceptToken();
    if (phase === 'live' || phase === 'queued') this.#patience.up();
    this.#events.phase(phase);
  }

  /** The connection does what it is for. */
  healthy(): void {
    this.#patience.healthy();
  }

  /** Whether one more repair of the session is worth it. */
  mayRepair(): boolean {
    return this.#patience.mayRepair();
  }

  /** The gateway said `unauthorized`. Returns whether another token may help. */
  refuseToken(): boolean {
    return this.#dialer.refuseToken();
  }

  /** The token has ended. */
  renewToken(): void {
    this.#dialer.renewToken();
  }

  #drop(): void {
    clearTimeout(this.#timer);
    this.#patience.down();
    this.#dialer.hangUp();
    this.#events.dropped();
  }
}
