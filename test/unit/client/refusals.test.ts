import { describe, expect, it } from 'vitest';
import { judge } from '../../../src/client/refusals.ts';
import { ERROR_CODES, type ErrorCode } from '../../../src/protocol/error-codes.ts';

const LIVE = { live: true, attempt: 5, exclusive: false };
const ASKING = { ...LIVE, live: false };
const kindOf = (code: ErrorCode, circumstances = LIVE) => judge({ message: '', code }, circumstances).kind;

describe('the verdict on a refusal', () => {
  it('is known for every code of the table', () => {
    const verdicts = Object.fromEntries(
      (Object.keys(ERROR_CODES) as ErrorCode[]).map((code) => [code, kindOf(code, ASKING)]),
    );
    expect(verdicts).toEqual({
      unauthorized: 'new-token',
      forbidden: 'fail',
      origin_refused: 'fail',
      bad_request: 'fail',
      unsupported_language: 'fail',
      unsupported_encoding: 'fail',
      bad_audio: 'warn',
      chunk_gap: 'nothing',
      no_session: 'new-session',
      session_exists: 'fail',
      connections_exceeded: 'retry',
      sessions_exceeded: 'retry',
      rate_exceeded: 'retry',
      audio_rate_exceeded: 'retry',
      duration_exceeded: 'fail',
      budget_exceeded: 'fail',
      quota_exhausted: 'retry',
      overloaded: 'retry',
      engine_unavailable: 'retry',
      engine_rejected: 'fail',
      store_unavailable: 'retry',
      resume_refused: 'fail',
      resume_expired: 'new-session',
      watch_refused: 'fail',
      draining: 'retry',
      internal: 'retry',
    });
  });

  it('follows what the server says of retrying, not the table', () => {
    expect(judge({ message: '', code: 'engine_unavailable', retryable: false }, LIVE).kind).toBe('fail');
    expect(judge({ message: '', code: 'forbidden', retryable: true }, LIVE).kind).toBe('retry');
  });

  it('leaves refused chunks to their replies', () => {
    expect([kindOf('audio_rate_exceeded'), kindOf('rate_exceeded')]).toEqual(Array(2).fill('nothing'));
  });

  it('passes on what is said of the audio, which goes on', () => {
    expect([kindOf('bad_audio'), kindOf('bad_audio', ASKING)]).toEqual(Array(2).fill('warn'));
  });

  it('goes back to the chunk that is expected', () => {
    expect(judge({ message: '', code: 'chunk_gap', expected: 4 }, LIVE)).toEqual({ kind: 'go-back', chunk: 4 });
  });

  it('outbids an attempt of its own, and that of another device only if there can be none', () => {
    const refused = (attempt?: number) => ({
      message: '',
      code: 'resume_refused' as const,
      ...(attempt && { attempt }),
    });
    expect(judge(refused(5), ASKING)).toEqual({ kind: 'retry', attempt: 5 });
    expect(judge(refused(6), ASKING)).toEqual({ kind: 'fail' });
    expect(judge(refused(6), { ...ASKING, exclusive: true })).toEqual({ kind: 'retry', attempt: 6 });
    expect(judge(refused(), { ...ASKING, exclusive: true })).toEqual({ kind: 'fail' });
  });

  it('takes a code that it does not know for a fault inside the server', () => {
    expect(judge({ message: '', code: 'from_the_future' as ErrorCode }, LIVE).kind).toBe('retry');
    expect(judge({ message: '', code: 'from_the_future' as ErrorCode, retryable: false }, LIVE).kind).toBe('fail');
  });
});
