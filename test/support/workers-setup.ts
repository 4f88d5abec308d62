import { RedisServer } from './redis.ts';
import { REDIS_VARIABLE, WORKERS } from './workers.ts';

/**
 * Starts the Redis of the gateways that have several workers in this run, and whose tests have none of their own.
 * @throws {Error} where there is no Redis: nothing could be tested
 */
export async function setup(): Promise<(() => Promise<void>) | undefined> {
  if (WORKERS === 1) return undefined;
  const redis = await RedisServer.start();
  process.env[REDIS_VARIABLE] = redis.url;
  console.log(`Gateways of the tests: ${WORKERS} workers each`);
  return () => redis.stop();
}
