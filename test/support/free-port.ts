import { randomInt } from 'node:crypto';
import { createServer } from 'node:net';

/**
 * Below the ports that systems give to connections and to whoever asks for any (from 32,768 on with Linux), so that nobody
 * takes one before its server listens, or while that is away. Redis Cluster needs the port 10,000 above it as well.
 */
const FIRST = 10_000;
/** Each process of a test run has so many to itself; there are six at most, with the one that starts the others. */
const OF_A_PROCESS = 2_000;
const PROCESSES = 6;

const first = FIRST + OF_A_PROCESS * (Number(process.env.VITEST_POOL_ID ?? 0) % PROCESSES);
let next = randomInt(OF_A_PROCESS);

/** A port of 127.0.0.1 on which nobody listens, for programs that cannot choose one, or come back to the same. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = first + next;
    next = (next + 1) % OF_A_PROCESS;
    if ((await isFree(port)) && (await isFree(port + 10_000))) return port;
  }
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}
