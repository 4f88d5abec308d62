/** How long a redis-server may take to say that it serves, in milliseconds: less than a hook of the tests may take. */
export const START_MS = 25_000;

/** What a server or a Sentinel says when it serves. A ping would need to know passwords and certificates. */
export const READY = /Ready to accept connections|Sentinel ID is/;

/** Runs one redis-server, as a process of this machine or in a container. */
export interface RedisRunner {
  /**
   * Starts redis-server with these arguments, in the network and with the files of this machine.
   * @throws {Error} with what it said, when it does not serve within START_MS
   */
  start(args: readonly string[]): Promise<void>;
  /** Ends it as a crash does; resolves when it is gone, and does nothing when it is. */
  kill(): Promise<void>;
  /** Stops it in its tracks: connections stay, and new ones are taken by the kernel, but nothing is answered. */
  pause(): Promise<void>;
  /** Lets a paused one go on, with what has come in meanwhile. */
  unpause(): Promise<void>;
}
