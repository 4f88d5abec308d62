import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const NAME = 'transcribe-gateway-';

export interface PrivatePath {
  readonly path: string;
  /** Removes what was made for it. Idempotent. */
  remove(): Promise<void>;
}

/**
 * A path for `serveEngine` that only this user can reach, and that was never used before: what a killed process leaves
 * behind stands in nobody's way.
 */
export async function makePrivatePath(): Promise<PrivatePath> {
  // Pipes are no files there; their names are gone with their process.
  if (process.platform === 'win32') {
    return { path: `\\\\.\\pipe\\${NAME}${randomUUID()}`, remove: async () => undefined };
  }
  // Made with mode 0700. The name is short, because a socket's path may have about 100 characters.
  const directory = await mkdtemp(join(tmpdir(), NAME));
  return { path: join(directory, 'engine'), remove: () => rm(directory, { recursive: true, force: true }) };
}
