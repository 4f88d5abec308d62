import type { SealedPartial } from '../resume/partial-cipher.ts';
import type { JournalEntry } from '../store/store.ts';

/** A partial as it travels to viewers. */
export interface ShownPartial extends SealedPartial {
  readonly epoch: number;
  /** Rises with each of them under one epoch. */
  readonly order: number;
}

/**
 * The viewers of sessions, wherever they are. Told only of sessions that somebody watches, and only what is committed;
 * nothing is promised to arrive, since viewers find what they missed in the store. None of the methods may throw.
 */
export interface Audience {
  entry(sessionId: string, epoch: number, entry: JournalEntry): void;
  partial(sessionId: string, partial: ShownPartial): void;
  /** The session was stopped, with its last entry. */
  stopped(sessionId: string): void;
}
