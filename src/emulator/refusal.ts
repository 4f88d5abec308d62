/**
 * Exceptions as Amazon Transcribe names them, with the HTTP status that each has when it is answered before the stream
 * opens. The first five are the operation's own and can also come as a frame; the rest are of the service's front end.
 * Source: the Transcribe API reference, "StartStreamTranscription" and "Common errors".
 */
export const STREAM_EXCEPTIONS = {
  BadRequestException: 400,
  LimitExceededException: 429,
  InternalFailureException: 500,
  ConflictException: 409,
  ServiceUnavailableException: 503,
} as const;

const FRONT_END_EXCEPTIONS = {
  AccessDeniedException: 403,
  ExpiredTokenException: 403,
  IncompleteSignatureException: 403,
  InvalidSignatureException: 403,
  MissingAuthenticationTokenException: 403,
  UnrecognizedClientException: 403,
  UnknownOperationException: 404,
} as const;

export type StreamException = keyof typeof STREAM_EXCEPTIONS;
export type AwsException = StreamException | keyof typeof FRONT_END_EXCEPTIONS;

const STATUS: Readonly<Record<AwsException, number>> = { ...STREAM_EXCEPTIONS, ...FRONT_END_EXCEPTIONS };

/** The emulator says no, in the words of AWS. */
export class Refusal extends Error {
  override readonly name = 'Refusal';
  readonly exception: AwsException;
  /** HTTP status, used only when the response has not begun. */
  readonly status: number;

  constructor(exception: AwsException, message: string) {
    super(message);
    this.exception = exception;
    this.status = STATUS[exception];
  }
}

/** A `BadRequestException`: by far the most frequent refusal. */
export function badRequest(message: string): Refusal {
  return new Refusal('BadRequestException', message);
}
