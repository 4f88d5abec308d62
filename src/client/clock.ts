/** Milliseconds of a clock that does not jump with the wall clock; some React Native engines have only the latter. */
export function now(): number {
  const { performance } = globalThis as { performance?: { now(): number } };
  return performance?.now() ?? Date.now();
}
