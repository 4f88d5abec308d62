/** Which part of the machine an engine may use where several workers of one gateway have an engine each. */
export interface Share {
  /** From 0. */
  readonly index: number;
  readonly of: number;
}

export const WHOLE: Share = { index: 0, of: 1 };

/** This share's part of a whole number; the parts of all shares add up to it. */
export function partOf(total: number, { index, of }: Share): number {
  return Math.floor(total / of) + (index < total % of ? 1 : 0);
}
