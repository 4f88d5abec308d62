import { execFileSync } from 'node:child_process';
import { RedisServer } from './redis.ts';
import { hasRedisProcess } from './redis-process.ts';

/**
 * Decides before a stage how its Redis servers run, and says so; the test processes find it in TEST_REDIS:
 *
 * - `container` where an engine answers, is on this machine, and has the image TEST_REDIS_IMAGE or can pull it,
 * - else `process` where there is a redis-server, or Debian's can be installed,
 * - else `none`: the tests that need it are skipped. Never in CI.
 *
 * Who sets TEST_REDIS gets that.
 * @throws {Error} where that cannot be had; in CI also where there is an engine and it is of no use
 */
export async function setup(): Promise<void> {
  const { TEST_REDIS: wanted, CI } = process.env;
  let reason = 'TEST_REDIS says so';
  switch (wanted) {
    case 'process':
      break;
    case 'none':
      if (CI !== undefined) throw new Error('TEST_REDIS is none; in CI nothing is skipped');
      return;
    case undefined:
    case 'container': {
      const fault = await faultOfContainers();
      if (fault === undefined) return tell('container', 'an engine answers');
      if (wanted === 'container' || (CI !== undefined && fault.hasEngine))
        throw new Error(`${fault.reason}; TEST_REDIS=process does without containers`);
      reason = fault.reason;
      break;
    }
    default:
      throw new Error(`TEST_REDIS is ${wanted}; it can be container, process or none`);
  }
  if (hasRedisProcess()) return tell('process', reason);
  const missing = 'there is no redis-server on the PATH, and only root can install it, on Debian';
  if (wanted === 'process' || CI !== undefined) throw new Error(missing);
  tell('none', `${reason}, and ${missing}`);
}

function tell(how: string, reason: string): void {
  process.env.TEST_REDIS = how;
  console.log(`Redis of the tests: ${how} (${reason})`);
}

/** Why Redis cannot run in containers here, found by running one; undefined if it can. */
async function faultOfContainers(): Promise<{ reason: string; hasEngine: boolean } | undefined> {
  try {
    execFileSync('docker', ['version'], { stdio: 'ignore' });
  } catch {
    return { reason: 'no container engine answers to `docker version`', hasEngine: false };
  }
  process.env.TEST_REDIS = 'container';
  try {
    const server = await RedisServer.start();
    // An engine elsewhere, or in a machine of its own as on a Mac, has another 127.0.0.1.
    await server.command('ping').finally(() => server.stop());
    return undefined;
  } catch (error) {
    delete process.env.TEST_REDIS;
    return { reason: `the container engine is of no use: ${String(error)}`, hasEngine: true };
  }
}
