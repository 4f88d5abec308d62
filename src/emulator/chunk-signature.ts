import { type KeyObject, timingSafeEqual } from 'node:crypto';
import { decodeMessage, encodeHeaders } from './event-stream.ts';
import { badRequest } from './refusal.ts';
import {
  compactDate,
  credentialScope,
  hmac,
  type SigningContext,
  sha256Hex,
  signingKey,
  skewComplaint,
} from './signature.ts';

/** The largest time that a JavaScript date can hold, in milliseconds; beyond it formatting throws. */
const MAX_DATE_MS = 8.64e15;

/**
 * Verifies the chain of chunk signatures: each covers the one before it, so that no chunk can be left out, doubled or
 * moved. The chain starts at the signature of the request.
 */
export class ChunkVerifier {
  readonly #context: SigningContext;
  readonly #maxSkewMs: number;
  #previous: string;
  /** The key of the day in use: a stream may run over midnight, and its chunks are then signed with the new day's. */
  #day = '';
  #key: KeyObject | undefined;

  /** @param maxSkewMs how far a chunk's `:date` may be from our clock, in milliseconds */
  constructor(context: SigningContext, maxSkewMs: number) {
    this.#context = context;
    this.#maxSkewMs = maxSkewMs;
    this.#previous = context.signature;
  }

  /**
   * Takes the next outer message and returns its body: the inner message, or nothing at the end of the audio.
   * @param now milliseconds since 1970
   * @throws FrameError if the bytes are no message
   * @throws Refusal `BadRequestException`, with which AWS ends a stream whose chunk it does not trust
   */
  open(outer: Buffer, now: number): Buffer {
    const { headers, body } = decodeMessage(outer);
    const date = headers.get(':date');
    const signature = headers.get(':chunk-signature');
    if (date?.type !== 'timestamp' || signature?.type !== 'binary') {
      throw badRequest('The event must carry the headers :date and :chunk-signature.');
    }
    if (Math.abs(date.value) > MAX_DATE_MS) throw badRequest('The header :date is out of range.');
    // `:date` is not monotonic in the official SDK, so only its distance from our clock is checked, never its order.
    const complaint = skewComplaint(date.value, now, this.#maxSkewMs);
    if (complaint !== undefined) throw badRequest(complaint);

    const longDate = compactDate(date.value);
    const day = longDate.slice(0, 8);
    const toSign = [
      'AWS4-HMAC-SHA256-PAYLOAD',
      longDate,
      credentialScope(day, this.#context.region),
      this.#previous,
      sha256Hex(encodeHeaders([[':date', date]])),
      sha256Hex(body),
    ].join('\n');
    const expected = hmac(this.#keyOf(day), toSign);
    if (signature.value.length !== expected.length || !timingSafeEqual(expected, signature.value)) {
      throw badRequest('The request signature we calculated does not match the signature you provided.');
    }
    this.#previous = expected.toString('hex');
    return body;
  }

  #keyOf(day: string): KeyObject {
    if (this.#key === undefined || day !== this.#day) {
      this.#key = signingKey(this.#context.credentials.secretAccessKey, day, this.#context.region);
      this.#day = day;
    }
    return this.#key;
  }
}
