import { describe, expect, it } from 'vitest';
import { AwsFailure, toFailure } from '../../../../src/engines/aws/failures.ts';
import { FrameError } from '../../../../src/engines/aws/frames/frame-error.ts';
import { ERROR_CODES } from '../../../../src/protocol/error-codes.ts';

const SECRET = 'arn:aws:iam::123456789012:role/secret';

function awsError(name: string, message: string = SECRET, httpStatusCode?: number): Error {
  return Object.assign(new Error(message), { name, $metadata: { httpStatusCode } });
}

const SILENCE = 'Your request timed out because no new audio was received for 15 seconds.';
const AGE = 'Your audio stream exceeds the limit. Break it into smaller streams and try your request again.';
const QUOTA = 'You have reached your limit of concurrent streams, 25. Try again later.';

describe('toFailure', () => {
  it.each<[string, unknown, string, boolean, boolean]>([
    // What it is, the error, its code, whether it can be retried, whether it speaks against the pool entry.
    ['an exception: bad request', awsError('BadRequestException'), 'engine_rejected', false, false],
    ['an exception: 15 s of silence', awsError('BadRequestException', SILENCE), 'engine_unavailable', true, false],
    ['an exception: quota', awsError('LimitExceededException', QUOTA), 'quota_exhausted', true, true],
    ['an exception: age of the stream', awsError('LimitExceededException', AGE), 'engine_unavailable', true, false],
    ['an exception: internal failure', awsError('InternalFailureException'), 'engine_unavailable', true, true],
    ['an exception: conflict', awsError('ConflictException'), 'engine_unavailable', true, false],
    ['an exception: unavailable', awsError('ServiceUnavailableException'), 'engine_unavailable', true, true],
    ['HTTP 429 with a name', awsError('ThrottlingException', '', 429), 'quota_exhausted', true, true],
    ['HTTP 429 without a name', awsError('Unknown', '', 429), 'quota_exhausted', true, true],
    ['HTTP 503 without a name', awsError('Unknown', '', 503), 'engine_unavailable', true, true],
    ['HTTP 500 with a strange name', awsError('constructor', '', 500), 'engine_unavailable', true, true],
    ['HTTP 403 without a name', awsError('Unknown', '', 403), 'engine_unavailable', false, true],
    ['HTTP 404', awsError('UnknownOperationException', '', 404), 'engine_rejected', false, false],
    ['access denied', awsError('AccessDeniedException', SECRET, 403), 'engine_unavailable', false, true],
    ['an unknown key', awsError('UnrecognizedClientException', '', 403), 'engine_unavailable', false, true],
    ['a wrong secret', awsError('InvalidSignatureException', '', 403), 'engine_unavailable', false, true],
    ['an expired token', awsError('ExpiredTokenException', '', 403), 'engine_unavailable', true, true],
    ['an expired token of the role', awsError('ExpiredToken', '', 403), 'engine_unavailable', true, true],
    ['no credentials', awsError('CredentialsProviderError'), 'engine_unavailable', false, true],
    ['a refused connection', new Error('HTTP/2 stream is abnormally aborted'), 'engine_unavailable', true, true],
    ['a reset', new FrameError('reset', { rstCode: 2 }), 'engine_unavailable', true, true],
    ['an early end', new FrameError('early_end'), 'engine_unavailable', true, true],
    ['a corrupt frame', new Error('The message checksum did not match'), 'engine_unavailable', true, true],
    ['GOAWAY', Object.assign(new Error(), { code: 'ERR_HTTP2_SESSION_ERROR' }), 'engine_unavailable', true, true],
    ['what is no error', undefined, 'engine_unavailable', true, true],
  ])('%s', (_name, error, code, retryable, blamesEntry) => {
    const failure = toFailure(error);
    expect(failure).toMatchObject({ code, retryable, blamesEntry });
    expect(failure.cause).toBe(error);
  });

  it('tells the client nothing of the account', () => {
    for (const name of ['BadRequestException', 'AccessDeniedException', 'CredentialsProviderError', 'other']) {
      const { message } = toFailure(awsError(name));
      expect(message).not.toContain('arn:');
      expect(message).toMatch(/^The [\w ]+ speech engine [\w ]+\.$|^The speech engine [\w ]+\.$/);
    }
  });

  it('suggests to those whom the quota refuses when to come back', () => {
    expect(toFailure(awsError('LimitExceededException', QUOTA)).retryAfterMs).toBe(1000);
    expect(toFailure(awsError('ConflictException')).retryAfterMs).toBeUndefined();
  });

  it('leaves a failure of ours as it is', () => {
    const failure = new AwsFailure('drain_timeout');
    expect(toFailure(failure)).toBe(failure);
    expect(Object.keys(ERROR_CODES)).toContain(failure.code);
  });
});
