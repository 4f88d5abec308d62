import { createHash, hkdfSync, randomBytes } from 'node:crypto';

/** Bytes of a resume secret and of the journal key that comes from it. */
const SECRET_BYTES = 32;
/** Binds the derived key to its one use. */
const JOURNAL_KEY_INFO = 'transcribe-gateway journal key';

/**
 * The secrets of one session. The resume token is the right to write; the watch token, which is the key of the journal
 * and derived from the other, is the right to read. The store holds the hashes alone.
 */
export interface SessionSecrets {
  readonly resumeToken: string;
  readonly watchToken: string;
  readonly journalKey: Buffer;
  /** SHA-256 of the resume secret and of the journal key. */
  readonly resumeHash: Buffer;
  readonly watchHash: Buffer;
}

/** Secrets for a new session: 256 random bits. */
export function newSecrets(sessionId: string): SessionSecrets {
  return derive(sessionId, randomBytes(SECRET_BYTES));
}

/** The secrets behind a resume token that a client presents; undefined if it cannot be one. */
export function secretsOf(sessionId: string, resumeToken: string): SessionSecrets | undefined {
  const secret = secretBytes(resumeToken);
  return secret && derive(sessionId, secret);
}

/** What a viewer has of them. */
export type WatchSecrets = Pick<SessionSecrets, 'journalKey' | 'watchHash'>;

/** What a watch token that a viewer presents gives: the key of the journal. Undefined if it cannot be one. */
export function watchSecretsOf(watchToken: string): WatchSecrets | undefined {
  const journalKey = secretBytes(watchToken);
  return journalKey && { journalKey, watchHash: sha256(journalKey) };
}

/** The decoder passes over what it does not know: only the text that it would write itself is a token. */
function secretBytes(token: string): Buffer | undefined {
  const secret = Buffer.from(token, 'base64url');
  return secret.length === SECRET_BYTES && secret.toString('base64url') === token ? secret : undefined;
}

function derive(sessionId: string, secret: Buffer): SessionSecrets {
  const journalKey = Buffer.from(hkdfSync('sha256', secret, sessionId, JOURNAL_KEY_INFO, SECRET_BYTES));
  return {
    resumeToken: secret.toString('base64url'),
    watchToken: journalKey.toString('base64url'),
    journalKey,
    resumeHash: sha256(secret),
    watchHash: sha256(journalKey),
  };
}

function sha256(bytes: Buffer): Buffer {
  return createHash('sha256').update(bytes).digest();
}
