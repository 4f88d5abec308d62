import type { EngineBilling } from '../engines/engine.ts';

/**
 * What a stream costs that is only held open, as a share of one that is given audio all the time. The engine does not
 * bill it, but of the few streams that the account may have, nobody else gets this one.
 */
const HOLDING_SHARE = 0.05;

/** A pause whose silence the stream is not given. Lengths of audio and times are in seconds. */
export interface Pause {
  /** Since its silence was first held back. */
  readonly lasts: number;
  /** Audio that the stream was given before. */
  readonly sent: number;
  /** Audio that it was given in the pause, to be kept alive. */
  readonly given: number;
  /** All that was said before is covered. */
  readonly isCovered: boolean;
  /** The engine was given enough of the pause already for it to answer for what was before. */
  readonly isProbed: boolean;
}

/**
 * - `keep`: give the stream a little silence, and leave it open;
 * - `probe`: give it as much as it needs to say what it heard last;
 * - `park`: end it, which makes it say that, and open another one when there is a sound.
 */
export type PauseChoice = 'keep' | 'probe' | 'park';

/**
 * What to do with a stream that would soon end for want of audio. How long the pause will last, nobody knows. So it is
 * kept until that has cost as much as a new stream may cost, and never costs more than twice the least.
 *
 * - Keeping it costs the silence that it is given, beyond the seconds that are paid for in any case, and its place.
 * - Parking it costs up to the shortest time that a new stream is billed for, and what is left of its own.
 */
export function choosePause({ given, isCovered, isProbed, lasts, sent }: Pause, billing: EngineBilling): PauseChoice {
  if (!isCovered) return isProbed ? 'park' : 'probe';
  const prepaid = Math.max(0, billing.minimumSeconds - sent);
  const keeping = Math.max(0, given - prepaid) + lasts * HOLDING_SHARE;
  const parking = billing.minimumSeconds + Math.max(0, prepaid - given);
  return keeping < parking ? 'keep' : 'park';
}
