/**
 * Named places at which a test ends the process as `kill -9` would, in the middle of what must survive it. Without
 * `GATEWAY_FAILPOINTS` they cost a comparison.
 */
export const FAILPOINTS = [
  'claim.before',
  'claim.after',
  'replay',
  'commit.before',
  'commit.after',
  'ack.before',
  'ack.after',
] as const;

export type Failpoint = (typeof FAILPOINTS)[number];

/** Chance of each at each pass. */
export type FailpointChances = Readonly<Partial<Record<Failpoint, number>>>;

let armed: FailpointChances | undefined;

/** @param chances undefined to disarm all */
export function armFailpoints(chances: FailpointChances | undefined): void {
  armed = chances;
}

export function failpoint(name: Failpoint): void {
  if (armed === undefined || Math.random() >= (armed[name] ?? 0)) return;
  process.kill(process.pid, 'SIGKILL');
}

/**
 * Reads `commit.after=0.05,claim.before=1`.
 * @returns undefined if it is malformed
 */
export function parseFailpoints(text: string): FailpointChances | undefined {
  const chances: Partial<Record<Failpoint, number>> = {};
  for (const part of text.split(',')) {
    const [name, value, ...rest] = part.split('=');
    const known = FAILPOINTS.find((one) => one === name?.trim());
    const chance = Number(value);
    if (known === undefined || rest.length > 0 || !/^\d*\.?\d+$/.test(value ?? '') || chance > 1) return undefined;
    chances[known] = chance;
  }
  return chances;
}
