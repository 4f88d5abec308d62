import { createHash, randomBytes } from 'node:crypto';

/**
 * A session id is `TAG.RANDOM`. All that a store keeps of a session is found by its tag, so that one atomic operation
 * reaches it even where keys are spread over the nodes of a cluster. Sessions of one start key have the same tag, since
 * creating one may end another.
 */
const SESSION_ID = /^[\w-]{22}\.[\w-]{22}$/;

/** 132 bits in base64url: more than a guess or a collision can reach. */
const PART_LENGTH = 22;

/** A new id; with a start key it belongs to the sessions of that key and principal. */
export function newSessionId(principal: string, startKey?: string): string {
  const tag = startKey === undefined ? randomPart() : startTag(principal, startKey);
  return `${tag}.${randomPart()}`;
}

/** Whether a text, perhaps a client's, can be the id of a session. */
export function isSessionId(text: string): boolean {
  return SESSION_ID.test(text);
}

/** The part that sessions of one start key share. */
export function tagOf(sessionId: string): string {
  return sessionId.slice(0, PART_LENGTH);
}

/** @throws TypeError unless the id was made by `newSessionId` of this principal and start key */
export function checkSessionId(sessionId: string, principal: string, startKey?: string): void {
  const isRight =
    isSessionId(sessionId) && (startKey === undefined || tagOf(sessionId) === startTag(principal, startKey));
  if (!isRight) throw new TypeError('the session id was not made of this principal and start key');
}

/** The length before the principal keeps its end and the key's beginning apart. */
function startTag(principal: string, startKey: string): string {
  const text = `${principal.length}:${principal}${startKey}`;
  return createHash('sha256').update(text).digest('base64url').slice(0, PART_LENGTH);
}

function randomPart(): string {
  return randomBytes(17).toString('base64url').slice(0, PART_LENGTH);
}
