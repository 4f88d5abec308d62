const { GATEWAY_WORKERS = '1', VITEST } = process.env;

/** How many workers the gateways of the tests have: `GATEWAY_WORKERS` of the test run. A benchmark says so by itself. */
export const WORKERS = VITEST === undefined ? 1 : Number(GATEWAY_WORKERS);

/** Where `workers-setup.ts` leaves the URL of its Redis for the processes of the tests. */
export const REDIS_VARIABLE = 'TEST_WORKERS_REDIS_URL';

const COMPILE_CACHE = new URL('../../node_modules/.cache/transcribe-gateway-tests', import.meta.url).pathname;

let prefixes = 0;

/**
 * What is added to the environment of a gateway so that it has these workers, given what the test sets itself. They need
 * a Redis: where the test has none, each gateway has a part of a common one to itself, as it would have its own memory.
 */
export function workersEnvironment(given: Readonly<Record<string, string>>): Record<string, string> {
  if (WORKERS === 1) return {};
  // Five processes load the same modules each time.
  const cache = { NODE_COMPILE_CACHE: COMPILE_CACHE };
  if (given.GATEWAY_WORKERS !== undefined) return cache;
  const own = { GATEWAY_WORKERS: String(WORKERS), ...cache };
  if (given.REDIS_URL !== undefined) return own;
  return {
    ...own,
    REDIS_URL: process.env[REDIS_VARIABLE] ?? '',
    GATEWAY_REDIS_PREFIX: `test-${process.pid}-${++prefixes}:`,
  };
}
