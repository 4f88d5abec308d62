import type { MsRange } from '../emulator/random.ts';

/** Reads `300-2000`, or `300` for a range of this one value; undefined for anything else. */
export function parseMsRange(text: string): MsRange | undefined {
  const [, min, max = min] = /^(\d{1,9})(?:-(\d{1,9}))?$/.exec(text) ?? [];
  if (min === undefined || max === undefined || Number(min) > Number(max)) return undefined;
  return { min: Number(min), max: Number(max) };
}
