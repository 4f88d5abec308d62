/**
 * The smallest of the values that a share of them does not exceed (nearest rank): 0.5 is the median, 1 the largest.
 * @returns undefined when there are none
 */
export function quantile(values: readonly number[], share: number): number | undefined {
  return values.toSorted((a, b) => a - b)[Math.max(0, Math.ceil(share * values.length) - 1)];
}
