import { describe, expect, test } from 'vitest';
import { ChunkVerifier } from '../../../src/emulator/chunk-signature.ts';
import { decodeMessage, encodeMessage, type HeaderValue } from '../../../src/emulator/event-stream.ts';
import { Refusal } from '../../../src/emulator/refusal.ts';
import { MAX_SIGNATURE_SKEW_MS, verifyRequest } from '../../../src/emulator/signature.ts';
import { framesOf, GOLDEN, timeOf } from './golden.ts';
import { recordGolden } from './record-golden.ts';

const { headers, credentials } = GOLDEN;
const GOLDEN_TIME = timeOf(GOLDEN);
const authorization = String(headers.authorization);

function refusalOf(call: () => unknown): string {
  try {
    call();
  } catch (error) {
    if (error instanceof Refusal) return error.exception;
    throw error;
  }
  return 'none';
}

function verdict(changes: Record<string, string | undefined>, known = [credentials], now = GOLDEN_TIME): string {
  const changed = Object.fromEntries(
    Object.entries({ ...headers, ...changes }).filter(([, value]) => value !== undefined),
  );
  return refusalOf(() => verifyRequest(changed, known, now));
}

describe('the golden request of the stock SDK', () => {
  test('is trusted', () => {
    expect(verifyRequest(headers, [credentials], GOLDEN_TIME)).toMatchObject({
      region: 'eu-west-1',
      signature: authorization.slice(-64),
    });
  });

  const signed = /SignedHeaders=([^,]+)/.exec(authorization)?.[1]?.split(';') ?? [];
  test.each(signed.filter((name) => !['x-amz-date', 'x-amz-security-token'].includes(name)))(
    'is refused with another %s',
    (name) => {
      expect(verdict({ [name]: `${headers[name]}x` })).toBe('InvalidSignatureException');
      expect(verdict({ [name]: undefined })).toBe('InvalidSignatureException');
    },
  );

  test('is trusted with another header that it does not sign', () => {
    expect(verdict({ 'user-agent': 'another' })).toBe('none');
  });

  test.each([
    ['no authorization', { authorization: undefined }, 'MissingAuthenticationTokenException'],
    ['another scheme', { authorization: 'Bearer token' }, 'IncompleteSignatureException'],
    ['another key', { authorization: authorization.replace('AKGOLDEN', 'AKOTHER') }, 'UnrecognizedClientException'],
    ['another region', { authorization: authorization.replace('eu-west-1', 'us-east-1') }, 'InvalidSignatureException'],
    ['another service', { authorization: authorization.replace('transcribe/', 'polly/') }, 'InvalidSignatureException'],
    [
      'a bit of the signature flipped',
      { authorization: authorization.replace(/.$/, (c) => (c === '0' ? '1' : '0')) },
      'InvalidSignatureException',
    ],
    ['an x-amz header left unsigned', { 'x-amz-extra': 'x' }, 'InvalidSignatureException'],
    ['another token', { 'x-amz-security-token': 'other' }, 'UnrecognizedClientException'],
    ['no token', { 'x-amz-security-token': undefined }, 'UnrecognizedClientException'],
    [
      'another second',
      { 'x-amz-date': String(headers['x-amz-date']).replace(/..Z$/, '59Z') },
      'InvalidSignatureException',
    ],
    ['no date', { 'x-amz-date': undefined }, 'IncompleteSignatureException'],
    ['another path', { ':path': '/other' }, 'InvalidSignatureException'],
    ['a query', { ':path': '/stream-transcription?a=b' }, 'InvalidSignatureException'],
  ])('is refused with %s', (_name, changes, exception) => {
    expect(verdict(changes)).toBe(exception);
  });

  test('is refused for another secret, an expired token, and five minutes off', () => {
    expect(verdict({}, [{ ...credentials, secretAccessKey: 'x' }])).toBe('InvalidSignatureException');
    expect(verdict({}, [{ ...credentials, expiresAt: GOLDEN_TIME }])).toBe('ExpiredTokenException');
    expect(verdict({}, [credentials], GOLDEN_TIME + MAX_SIGNATURE_SKEW_MS)).toBe('none');
    expect(verdict({}, [credentials], GOLDEN_TIME + MAX_SIGNATURE_SKEW_MS + 1000)).toBe('InvalidSignatureException');
    expect(verdict({}, [credentials], GOLDEN_TIME - MAX_SIGNATURE_SKEW_MS - 1000)).toBe('InvalidSignatureException');
  });
});

describe('the golden chain of chunks', () => {
  const frames = framesOf(GOLDEN);
  const verifier = () => new ChunkVerifier(verifyRequest(headers, [credentials], GOLDEN_TIME), MAX_SIGNATURE_SKEW_MS);
  const openAll = (chain: readonly (Buffer | undefined)[], now = GOLDEN_TIME) => {
    const chunks = verifier();
    return chain.map((frame) => (frame === undefined ? Buffer.alloc(0) : chunks.open(frame, now)));
  };
  const [first, second, end] = frames;

  function changed(frame: Buffer | undefined, change: (parts: Map<string, HeaderValue>, body: Buffer) => void): Buffer {
    const { headers: given, body } = decodeMessage(frame ?? Buffer.alloc(0));
    const parts = new Map(given);
    const copy = Buffer.from(body);
    change(parts, copy);
    return encodeMessage(parts, copy);
  }

  test('is trusted to its end', () => {
    expect(openAll(frames).map((body) => body.length)).toEqual([136, 3304, 0]);
  });

  test.each<[string, (Buffer | undefined)[]]>([
    ['a chunk left out', [first, end]],
    ['the first chunk left out', [second]],
    ['a chunk doubled', [first, first]],
    ['chunks in another order', [second, first]],
    ['another body', [changed(first, (_parts, body) => body.writeUInt8(1, 5))]],
    ['another date', [changed(first, (parts) => parts.set(':date', { type: 'timestamp', value: GOLDEN_TIME + 1 }))]],
    ['a date out of range', [changed(first, (parts) => parts.set(':date', { type: 'timestamp', value: 9e15 }))]],
    [
      'a short signature',
      [changed(first, (parts) => parts.set(':chunk-signature', { type: 'binary', value: Buffer.alloc(3) }))],
    ],
    ['no signature', [changed(first, (parts) => parts.delete(':chunk-signature'))]],
    ['a date of another type', [changed(first, (parts) => parts.set(':date', { type: 'string', value: 'now' }))]],
  ])('is refused with %s', (_name, chain) => {
    expect(refusalOf(() => openAll(chain))).toBe('BadRequestException');
  });

  test('is refused when it comes five minutes late, as it happens to clients that send faster than real time', () => {
    const late = GOLDEN_TIME + MAX_SIGNATURE_SKEW_MS + 5000;
    expect(refusalOf(() => openAll(frames, late))).toBe('BadRequestException');
  });
});

test('the SDK that is installed is trusted as the recorded one is', async () => {
  const fresh = await recordGolden();
  const now = timeOf(fresh);
  const chunks = new ChunkVerifier(verifyRequest(fresh.headers, [fresh.credentials], now), MAX_SIGNATURE_SKEW_MS);
  expect(framesOf(fresh).map((frame) => chunks.open(frame, now).length)).toEqual([136, 3304, 0]);
  expect(Object.keys(fresh.headers)).toEqual(Object.keys(headers));
});
