/** A range in milliseconds, both ends included; drawn from evenly. */
export interface MsRange {
  readonly min: number;
  readonly max: number;
}

/** Evenly spread numbers from 0 (included) to 1 (excluded). */
export type Random = () => number;

/** A seeded generator (xorshift, 32 bits), so that a run with faults can be repeated; not for secrets. */
export function seededRandom(seed: number): Random {
  // The state must not be 0, where xorshift stays for ever; the constant spreads small seeds.
  let state = Math.imul(seed | 0, 0x9e3779b1) || 0x9e3779b1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
}

/** A whole number of milliseconds of the range. */
export function drawMs(range: MsRange, random: Random): number {
  return Math.floor(range.min + random() * (range.max - range.min + 1));
}
