import { createHmac, createSecretKey, hash, type KeyObject } from 'node:crypto';

/** Where a chain of chunk signatures starts: all of it is in the request's own signature but the secret. */
export interface ChainStart {
  readonly secretAccessKey: string;
  readonly region: string;
  /** Name of the service in the credential scope: `transcribe`. */
  readonly service: string;
  /** Signature of the request, 64 hexadecimal digits: the seed of the chain. */
  readonly signature: string;
}

const MS_PER_SECOND = 1000;

function hmac(key: string | Buffer, text: string): Buffer {
  return createHmac('sha256', key).update(text).digest();
}

/**
 * Signs the chunks of one stream, each over the one before it. Source: "Signature Version 4" for event streams in the
 * developer's guide of Amazon Transcribe streaming, `AWS4-HMAC-SHA256-PAYLOAD`.
 *
 * A session token takes no part: it is a signed header of the request, which is the seed, and the key is made of the
 * secret alone.
 */
export class ChunkSigner {
  readonly #start: ChainStart;
  #previous: string;
  /** The second of the last chunk since 1970: ten chunks share it, so its text is not made for each. */
  #second = Number.NaN;
  /** Algorithm, date and scope: the lines that all chunks of a second have in common. */
  #head = '';
  /**
   * The key of the day in use: a stream may run over midnight, and its chunks are then signed with the new day's. It is
   * a `KeyObject` because Node makes one anew for each HMAC that is given bytes, which costs ten times the HMAC itself.
   */
  #key: KeyObject | undefined;
  #day = '';

  constructor(start: ChainStart) {
    this.#start = start;
    this.#previous = start.signature;
  }

  /**
   * Signs the next chunk.
   * @param dateHeader the bytes of the outer `:date` header that says `now`
   * @param message the inner message, empty at the end of the audio
   * @param now milliseconds since 1970
   * @returns the signature, 64 hexadecimal digits
   */
  sign(dateHeader: Buffer, message: Buffer, now: number): string {
    const key = this.#keyAt(Math.floor(now / MS_PER_SECOND));
    const toSign = `${this.#head}\n${this.#previous}\n${hash('sha256', dateHeader)}\n${hash('sha256', message)}`;
    this.#previous = createHmac('sha256', key).update(toSign).digest('hex');
    return this.#previous;
  }

  #keyAt(second: number): KeyObject {
    if (second === this.#second && this.#key !== undefined) return this.#key;
    const { secretAccessKey, region, service } = this.#start;
    // 2026-01-31T12:00:00.000Z becomes 20260131T120000Z.
    const longDate = `${new Date(second * MS_PER_SECOND).toISOString().slice(0, 19).replaceAll(/[-:]/g, '')}Z`;
    const day = longDate.slice(0, 8);
    if (day !== this.#day || this.#key === undefined) {
      const dayKey = hmac(hmac(hmac(hmac(`AWS4${secretAccessKey}`, day), region), service), 'aws4_request');
      this.#key = createSecretKey(dayKey);
      this.#day = day;
    }
    this.#head = `AWS4-HMAC-SHA256-PAYLOAD\n${longDate}\n${day}/${region}/${service}/aws4_request`;
    this.#second = second;
    return this.#key;
  }
}
