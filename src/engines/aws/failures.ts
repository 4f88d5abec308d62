import { GatewayError } from '../../errors.ts';
import type { ErrorCode } from '../../protocol/error-codes.ts';
import { FrameError } from './frames/frame-error.ts';

/** Suggested to those whom the quota refuses: streams end, and starts are counted, at about this pace. */
const QUOTA_RETRY_AFTER_MS = 1_000;

/** What one kind of failure means to the session and to the pool. */
interface Verdict {
  readonly code: Extract<ErrorCode, 'engine_unavailable' | 'engine_rejected' | 'quota_exhausted'>;
  readonly retryable: boolean;
  /** For the client: no name, ARN or path of the account. */
  readonly message: string;
  /** True if it speaks against the pool entry, and not against the request, the client or the stream's own life. */
  readonly blamesEntry: boolean;
}

/**
 * A failure of a stream. The cause is what the SDK said, with all its details, for the log only.
 *
 * It is a `GatewayError` to everybody; the pool alone asks whom it blames.
 */
export class AwsFailure extends GatewayError {
  readonly kind: FailureKind;
  readonly blamesEntry: boolean;
  /** Name of the pool entry: the log of the session, which knows of none, shows it with the error. */
  entry: string | undefined;

  constructor(kind: FailureKind, cause?: unknown) {
    const { code, retryable, message, blamesEntry } = VERDICTS[kind];
    const retryAfterMs = code === 'quota_exhausted' ? QUOTA_RETRY_AFTER_MS : undefined;
    super(code, message, { retryable, cause, ...(retryAfterMs !== undefined && { retryAfterMs }) });
    this.kind = kind;
    this.blamesEntry = blamesEntry;
  }
}

const UNAVAILABLE = { code: 'engine_unavailable', retryable: true, blamesEntry: true } as const;
const ENDS = { code: 'engine_unavailable', retryable: true, blamesEntry: false } as const;
const MISCONFIGURED = { code: 'engine_unavailable', retryable: false, blamesEntry: true } as const;

const VERDICTS = {
  quota: {
    code: 'quota_exhausted',
    retryable: true,
    message: 'The speech engine has no stream free within its quota.',
    blamesEntry: true,
  },
  rejected: {
    code: 'engine_rejected',
    retryable: false,
    message: 'The speech engine refused the request as it is.',
    blamesEntry: false,
  },
  unavailable: { ...UNAVAILABLE, message: 'The speech engine is unavailable.' },
  broken: { ...UNAVAILABLE, message: 'The connection to the speech engine broke.' },
  ended_early: { ...UNAVAILABLE, message: 'The speech engine ended the stream early.' },
  start_timeout: { ...UNAVAILABLE, message: 'The speech engine did not open a stream in time.' },
  stalled: { ...UNAVAILABLE, message: 'The speech engine does not take the audio.' },
  drain_timeout: { ...UNAVAILABLE, message: 'The speech engine did not finish in time.' },
  credentials_expired: { ...UNAVAILABLE, message: 'The speech engine must renew its credentials.' },
  no_audio: { ...ENDS, message: 'The speech engine ended a stream that got no audio.' },
  too_old: { ...ENDS, message: 'The stream of the speech engine reached its longest age.' },
  conflict: { ...ENDS, message: 'The speech engine ended the stream in favour of another.' },
  credentials_missing: { ...MISCONFIGURED, message: 'The speech engine has no credentials.' },
  access_denied: { ...MISCONFIGURED, message: 'The speech engine is not permitted to transcribe.' },
} as const satisfies Record<string, Verdict>;

export type FailureKind = keyof typeof VERDICTS;

/**
 * Names of errors: the operation's own exceptions, those of the front end before it, and those of the credential chain.
 * Sources: API reference of Amazon Transcribe, "StartStreamTranscription" and "Common errors"; the SDK's providers.
 */
const BY_NAME: Readonly<Record<string, FailureKind>> = {
  LimitExceededException: 'quota',
  ThrottlingException: 'quota',
  TooManyRequestsException: 'quota',
  RequestLimitExceeded: 'quota',
  BadRequestException: 'rejected',
  ValidationException: 'rejected',
  ConflictException: 'conflict',
  InternalFailureException: 'unavailable',
  InternalFailure: 'unavailable',
  ServiceUnavailableException: 'unavailable',
  ServiceUnavailable: 'unavailable',
  ExpiredTokenException: 'credentials_expired',
  ExpiredToken: 'credentials_expired',
  RequestExpired: 'credentials_expired',
  AccessDeniedException: 'access_denied',
  AccessDenied: 'access_denied',
  IncompleteSignatureException: 'access_denied',
  InvalidSignatureException: 'access_denied',
  InvalidClientTokenId: 'access_denied',
  MissingAuthenticationTokenException: 'access_denied',
  NotAuthorized: 'access_denied',
  OptInRequired: 'access_denied',
  SignatureDoesNotMatch: 'access_denied',
  SubscriptionRequiredException: 'access_denied',
  UnrecognizedClientException: 'access_denied',
  CredentialsProviderError: 'credentials_missing',
  TokenProviderError: 'credentials_missing',
};

/**
 * Where a name says too little, AWS has only its words. Sources: users' reports (amazon-transcribe-streaming-sdk, issue
 * 118) for the silence; the API reference, LimitExceededException ("Break your audio stream into smaller chunks"), for
 * the length of a stream. A sentence that changes is then an ordinary refusal of its name.
 */
const BY_WORDS: readonly { readonly name: string; readonly words: RegExp; readonly kind: FailureKind }[] = [
  { name: 'BadRequestException', words: /timed out because no new audio/i, kind: 'no_audio' },
  { name: 'LimitExceededException', words: /audio stream exceeds|break (it|your audio)/i, kind: 'too_old' },
];

/** An HTTP error without a name that is known. */
function byStatus(status: number): FailureKind | undefined {
  if (status === 429) return 'quota';
  if (status === 401 || status === 403) return 'access_denied';
  if (status >= 500) return 'unavailable';
  return status >= 400 ? 'rejected' : undefined;
}

/**
 * What an error of the SDK means. Whatever is not known is taken for a broken connection: the SDK gives resets, refused
 * connections and frames that cannot be read by many names, and some of them without any.
 */
export function toFailure(error: unknown): AwsFailure {
  if (error instanceof AwsFailure) return error;
  if (error instanceof FrameError && error.fault === 'early_end') return new AwsFailure('ended_early', error);
  // The stock path's parser of JSON quotes what it cannot read, a piece of a transcript, and the cause is logged.
  if (error instanceof SyntaxError) return new AwsFailure('broken', new FrameError('bad_body'));
  const {
    name = '',
    message = '',
    $metadata,
  } = Object(error) as Partial<Error> & {
    readonly $metadata?: { readonly httpStatusCode?: number };
  };
  const said = BY_WORDS.find((entry) => entry.name === name && entry.words.test(message));
  const known = said?.kind ?? (Object.hasOwn(BY_NAME, name) ? BY_NAME[name] : undefined);
  return new AwsFailure(known ?? byStatus($metadata?.httpStatusCode ?? 0) ?? 'broken', error);
}
