import { createHash } from 'node:crypto';

/** 132 bits in base64url: no two names in use are taken for one another. */
const CHARACTERS = 22;

/** What stands in Redis for a name that may tell who somebody is: Redis is told only whether two names are the same. */
export function hashOfName(name: string): string {
  return createHash('sha256').update(name).digest('base64url').slice(0, CHARACTERS);
}
