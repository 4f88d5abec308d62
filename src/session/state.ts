/**
 * The states of a session. Pure: no clock, no engine, no socket.
 *
 * - `starting`: the first engine stream is being opened; audio is taken and waits.
 * - `live`: audio goes to the engine, results come back.
 * - `recovering`: the stream broke; another is being opened and gets the audio since the last final again.
 * - `flushing`: no more audio comes; the engine finalises what it has.
 * - `ended`: nothing moves any more.
 */
export type SessionState = 'starting' | 'live' | 'recovering' | 'flushing' | 'ended';

export const TRANSITIONS: Readonly<Record<SessionState, readonly SessionState[]>> = {
  starting: ['live', 'ended'],
  live: ['recovering', 'flushing', 'ended'],
  recovering: ['live', 'ended'],
  // An engine that breaks while it flushes still owes the last finals.
  flushing: ['recovering', 'ended'],
  ended: [],
};

/**
 * Returns the next state.
 * @throws Error if the table does not allow it: a bug, never a client's fault
 */
export function transition(from: SessionState, to: SessionState): SessionState {
  if (!TRANSITIONS[from].includes(to)) throw new Error(`illegal session transition from ${from} to ${to}`);
  return to;
}
