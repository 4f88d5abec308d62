/**
 * AWS Signature Version 4 of the request, checked as the service's front end does: the key must be known, its session
 * token right and fresh, the request's date near ours, and the signature must be the one that we calculate.
 */
import { createHmac, createSecretKey, hash, type KeyObject, timingSafeEqual } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http2';
import { Refusal } from './refusal.ts';

export interface EmulatorCredentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  /** If given, requests must carry exactly this token. */
  readonly sessionToken?: string;
  /** Milliseconds since 1970 from which the session token is answered with `ExpiredTokenException`. */
  readonly expiresAt?: number;
}

/** How far a signature's date may be from the service's clock, in milliseconds. Source: AWS, 5 minutes. */
export const MAX_SIGNATURE_SKEW_MS = 5 * 60_000;
/** What an event-stream request declares instead of the hash of its payload. */
const STREAMING_PAYLOAD = 'STREAMING-AWS4-HMAC-SHA256-EVENTS';
const SERVICE = 'transcribe';
const AUTHORIZATION =
  /^AWS4-HMAC-SHA256 +Credential=([^/,\s]{1,128})\/(\d{8})\/([a-z0-9-]{1,32})\/([a-z-]{1,32})\/aws4_request, *SignedHeaders=([^,\s]{1,2000}), *Signature=([0-9a-f]{64})$/;
const MISMATCH =
  'The request signature we calculated does not match the signature you provided. ' +
  'Check your AWS Secret Access Key and signing method. Consult the service documentation for details.';

/** Who signed the request, and what the signatures of its chunks build on. */
export interface SigningContext {
  readonly credentials: EmulatorCredentials;
  readonly region: string;
  /** The request's own signature in hex: the seed of the chunk chain. */
  readonly signature: string;
}

export function sha256Hex(data: string | Buffer): string {
  return hash('sha256', data);
}

export function hmac(key: string | Buffer | KeyObject, data: string): Buffer {
  return createHmac('sha256', key).update(data).digest();
}

/** `20260131T235959Z`, as signatures write dates. */
export function compactDate(time: number): string {
  return `${new Date(time).toISOString().slice(0, 19).replaceAll(/[-:]/g, '')}Z`;
}

/**
 * The key of a day. A `KeyObject`, because Node makes one anew for each HMAC that is given bytes, which costs ten times
 * the HMAC itself.
 * @param day `20260131`
 */
export function signingKey(secret: string, day: string, region: string): KeyObject {
  return createSecretKey(hmac(hmac(hmac(hmac(`AWS4${secret}`, day), region), SERVICE), 'aws4_request'));
}

/** @param day `20260131` */
export function credentialScope(day: string, region: string): string {
  return `${day}/${region}/${SERVICE}/aws4_request`;
}

/**
 * The complaint of AWS about a date too far from `now`, or undefined if the date is near enough.
 * @param signed milliseconds since 1970
 */
export function skewComplaint(signed: number, now: number, maxSkewMs: number): string | undefined {
  const minutes = Math.round(maxSkewMs / 60_000);
  if (signed < now - maxSkewMs) {
    return `Signature expired: ${compactDate(signed)} is now earlier than ${compactDate(now - maxSkewMs)} (${compactDate(now)} - ${minutes} min.)`;
  }
  if (signed > now + maxSkewMs) {
    return `Signature not yet current: ${compactDate(signed)} is still later than ${compactDate(now + maxSkewMs)} (${compactDate(now)} + ${minutes} min.)`;
  }
  return undefined;
}

function parseCompactDate(text: string): number {
  const parts = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(text);
  if (parts === null) return Number.NaN;
  const [, year, month, day, hour, minute, second] = parts.map(Number);
  return Date.UTC(year ?? 0, (month ?? 1) - 1, day, hour, minute, second);
}

function header(headers: IncomingHttpHeaders, name: string): string | undefined {
  // HTTP/2 has no Host header: clients that sign `host` mean the authority.
  const value = name === 'host' ? (headers.host ?? headers[':authority']) : headers[name];
  return Array.isArray(value) ? value.join(',') : value;
}

/**
 * @param path path with query, as received
 * @param signedHeaders lower case and sorted
 */
function canonicalRequest(path: string, headers: IncomingHttpHeaders, signedHeaders: readonly string[]): string {
  const [pathname = '', query = ''] = path.split('?', 2);
  const lines = signedHeaders.map(
    (name) => `${name}:${(header(headers, name) ?? '').trim().replaceAll(/\s+/g, ' ')}\n`,
  );
  const sortedQuery = query.split('&').sort().join('&');
  return `POST\n${pathname}\n${sortedQuery}\n${lines.join('')}\n${signedHeaders.join(';')}\n${STREAMING_PAYLOAD}`;
}

function findCredentials(known: readonly EmulatorCredentials[], keyId: string, token: string | undefined, now: number) {
  const found = known.find((entry) => entry.accessKeyId === keyId && entry.sessionToken === token);
  if (found === undefined) {
    throw new Refusal('UnrecognizedClientException', 'The security token included in the request is invalid.');
  }
  if (found.expiresAt !== undefined && now >= found.expiresAt) {
    throw new Refusal('ExpiredTokenException', 'The security token included in the request is expired');
  }
  return found;
}

function checkSignedHeaders(headers: IncomingHttpHeaders, signed: readonly string[]): void {
  const needed = Object.keys(headers).filter((name) => name.startsWith('x-amz-'));
  const missing = needed.find((name) => !signed.includes(name));
  if (missing !== undefined || !(signed.includes(':authority') || signed.includes('host'))) {
    throw new Refusal(
      'InvalidSignatureException',
      `'${missing ?? 'Host'}' or ':authority' must be a 'SignedHeader' in the AWS Authorization.`,
    );
  }
  if (headers['x-amz-content-sha256'] !== STREAMING_PAYLOAD) {
    throw new Refusal('InvalidSignatureException', `x-amz-content-sha256 must be ${STREAMING_PAYLOAD}.`);
  }
}

/**
 * Verifies the signature of a request.
 * @param now milliseconds since 1970
 * @throws Refusal as AWS answers; the order of the checks is: form, key and token, date, signature
 */
export function verifyRequest(
  headers: IncomingHttpHeaders,
  known: readonly EmulatorCredentials[],
  now: number,
): SigningContext {
  const authorization = headers.authorization;
  if (authorization === undefined) {
    throw new Refusal('MissingAuthenticationTokenException', 'Missing Authentication Token');
  }
  const [, keyId, day, region, service, signedHeaderList, signature] = AUTHORIZATION.exec(authorization) ?? [];
  if (!keyId || !day || !region || !signedHeaderList || !signature) {
    throw new Refusal(
      'IncompleteSignatureException',
      'The Authorization header does not have the form of AWS4-HMAC-SHA256.',
    );
  }
  const credentials = findCredentials(known, keyId, header(headers, 'x-amz-security-token'), now);
  if (service !== SERVICE) {
    throw new Refusal('InvalidSignatureException', `Credential should be scoped to correct service: '${SERVICE}'.`);
  }
  const date = header(headers, 'x-amz-date') ?? '';
  const signed = parseCompactDate(date);
  if (Number.isNaN(signed) || !date.startsWith(day)) {
    throw new Refusal('IncompleteSignatureException', "The date of the credential must be that of 'X-Amz-Date'.");
  }
  const complaint = skewComplaint(signed, now, MAX_SIGNATURE_SKEW_MS);
  if (complaint !== undefined) throw new Refusal('InvalidSignatureException', complaint);

  const signedHeaders = signedHeaderList.split(';');
  checkSignedHeaders(headers, signedHeaders);
  const hashed = sha256Hex(canonicalRequest(headers[':path'] ?? '', headers, signedHeaders));
  const toSign = `AWS4-HMAC-SHA256\n${date}\n${credentialScope(day, region)}\n${hashed}`;
  const expected = hmac(signingKey(credentials.secretAccessKey, day, region), toSign);
  if (!timingSafeEqual(expected, Buffer.from(signature, 'hex')))
    throw new Refusal('InvalidSignatureException', MISMATCH);
  return { credentials, region, signature };
}
