/**
 * The closed table of error codes. A client branches on `code` and `retryable`, never on the message.
 *
 * `retryable` says whether the same request can succeed later without being changed. It is the default of the code;
 * an error raised with other knowledge may carry its own.
 */
export const ERROR_CODES = {
  unauthorized: { retryable: false, meaning: 'The token is missing, malformed, expired or not trusted.' },
  forbidden: { retryable: false, meaning: 'The token is valid but does not permit this.' },
  origin_refused: { retryable: false, meaning: 'The web origin of the page is not allowed.' },
  bad_request: { retryable: false, meaning: 'The event or one of its fields is malformed or not supported.' },
  unsupported_language: {
    retryable: false,
    meaning: 'The engine does not know this language; the message lists those it knows.',
  },
  unsupported_encoding: { retryable: false, meaning: 'The engine does not take this audio encoding or sample rate.' },
  bad_audio: {
    retryable: false,
    meaning: 'The chunk is empty, too long, has half a sample or is not base64; the session goes on.',
  },
  chunk_gap: { retryable: true, meaning: 'A chunk number was skipped; send again from `expected`.' },
  no_session: { retryable: false, meaning: 'No session runs on this connection.' },
  session_exists: { retryable: false, meaning: 'A session already runs on this connection.' },
  connections_exceeded: { retryable: true, meaning: 'Too many connections from this address or user.' },
  sessions_exceeded: { retryable: true, meaning: 'Too many concurrent sessions of this user or tenant.' },
  rate_exceeded: { retryable: true, meaning: 'Too many events in a short time.' },
  audio_rate_exceeded: {
    retryable: true,
    meaning: 'Audio arrives faster than it can be transcribed; the chunk was not taken.',
  },
  duration_exceeded: { retryable: false, meaning: 'The session reached its longest allowed duration.' },
  budget_exceeded: {
    retryable: false,
    meaning: 'A daily budget of the tenant or the user is used up, until `retry_after_ms` have passed.',
  },
  quota_exhausted: { retryable: true, meaning: 'No engine stream is free within the account quota.' },
  overloaded: { retryable: true, meaning: 'The gateway sheds new sessions to protect running ones.' },
  engine_unavailable: { retryable: true, meaning: 'The speech engine cannot be reached or has no capacity left.' },
  engine_rejected: { retryable: false, meaning: 'The speech engine refused the request as it is.' },
  store_unavailable: { retryable: true, meaning: 'The session store cannot be reached.' },
  resume_refused: { retryable: false, meaning: 'Another connection holds the session with a higher attempt.' },
  resume_expired: { retryable: false, meaning: 'The session to resume is not known any more.' },
  watch_refused: { retryable: false, meaning: 'The watch token does not open this session.' },
  draining: { retryable: true, meaning: 'This gateway is shutting down; connect again to reach another.' },
  internal: { retryable: true, meaning: 'A fault inside the gateway; its log has the details.' },
} as const satisfies Record<string, { retryable: boolean; meaning: string }>;

export type ErrorCode = keyof typeof ERROR_CODES;
