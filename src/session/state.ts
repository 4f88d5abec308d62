/**
 * The states of a session. Pure: no clock, no engine, no socket.
 *
 * - `starting`: the first engine stream is being opened; audio is taken and waits.
 * - `live`: audio goes to the engine, results come back.
 * - `parking`: no audio came for a while; the engine finalises what it has, and the stream ends.
 * - `parked`: no stream is open and none is paid for, until audio comes.
 * - `reopening`: another stream is being opened and gets the audio since the watermark again.
 * - `flushing`: no more audio comes; the engine finalises what it has.
 * - `ended`: nothing moves any more.
 */
export type SessionState = 'starting' | 'live' | 'parking' | 'parked' | 'reopening' | 'flushing' | 'ended';

export const TRANSITIONS: Readonly<Record<SessionState, readonly SessionState[]>> = {
  starting: ['live', 'ended'],
  // A stream that broke when all its audio was covered leaves nothing to reopen for: parked at once.
  live: ['parking', 'parked', 'reopening', 'flushing', 'ended'],
  // An engine that breaks while it finalises still owes the last finals.
  parking: ['parked', 'reopening', 'ended'],
  parked: ['reopening', 'ended'],
  reopening: ['live', 'ended'],
  flushing: ['reopening', 'ended'],
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
