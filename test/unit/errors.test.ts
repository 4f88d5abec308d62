import { describe, expect, it } from 'vitest';
import { GatewayError, toGatewayError } from '../../src/errors.ts';
import { ERROR_CODES, type ErrorCode } from '../../src/protocol/error-codes.ts';

const CODES = Object.keys(ERROR_CODES) as ErrorCode[];

describe('ERROR_CODES', () => {
  it.each(CODES)('gives %s a snake_case name, a meaning that is a sentence and a default for retryable', (code) => {
    expect(code).toMatch(/^[a-z]+(_[a-z]+)*$/);
    expect(ERROR_CODES[code].meaning).toMatch(/^[A-Z].+\.$/);
    expect(ERROR_CODES[code].retryable).toBeTypeOf('boolean');
  });

  it('gives no two codes the same meaning', () => {
    const meanings = CODES.map((code) => ERROR_CODES[code].meaning);
    expect(new Set(meanings).size).toBe(CODES.length);
  });
});

describe('GatewayError', () => {
  it.each(CODES)('takes retryable from the table when %s is thrown without its own', (code) => {
    const error = new GatewayError(code, 'a message');
    expect(error).toMatchObject({ name: 'GatewayError', code, message: 'a message' });
    expect(error.retryable).toBe(ERROR_CODES[code].retryable);
    expect(error.retryAfterMs).toBeUndefined();
  });

  it.each([true, false])('keeps retryable %s when it is given, whatever the table says', (retryable) => {
    for (const code of CODES) expect(new GatewayError(code, 'a message', { retryable }).retryable).toBe(retryable);
  });

  it('carries the retry time and the cause when they are given', () => {
    const cause = new Error('the reason');
    const error = new GatewayError('overloaded', 'a message', { retryAfterMs: 250, cause });
    expect(error.retryAfterMs).toBe(250);
    expect(error.cause).toBe(cause);
  });

  it('has no cause property when none is given', () => {
    expect(Object.hasOwn(new GatewayError('internal', 'a message'), 'cause')).toBe(false);
  });
});

describe('toGatewayError', () => {
  it('returns the very same error when it is one of ours', () => {
    const ours = new GatewayError('bad_audio', 'a message', { retryable: true, retryAfterMs: 5 });
    expect(toGatewayError(ours)).toBe(ours);
  });

  it.each([
    ['an Error', new Error('secret at /etc/passwd')],
    ['an error with a code of its own', Object.assign(new Error('secret'), { code: 'bad_audio', retryable: false })],
    ['a string', 'secret'],
    ['an object', { message: 'secret' }],
  ])('hides the message of %s and keeps it as the cause', (_, foreign) => {
    const error = toGatewayError(foreign);
    expect(error).toBeInstanceOf(GatewayError);
    expect(error).toMatchObject({ code: 'internal', retryable: true });
    expect(error.message).not.toContain('secret');
    expect(error.cause).toBe(foreign);
  });

  it.each([undefined, null, 0])('makes an internal error of a thrown %s', (thrown) => {
    expect(toGatewayError(thrown)).toMatchObject({ code: 'internal' });
  });
});
