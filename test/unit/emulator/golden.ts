import { readFileSync } from 'node:fs';
import type { IncomingHttpHeaders } from 'node:http2';
import { FrameReader } from '../../../src/emulator/frame-reader.ts';
import type { EmulatorCredentials } from '../../../src/emulator/signature.ts';

export interface Golden {
  readonly credentials: EmulatorCredentials;
  readonly headers: IncomingHttpHeaders;
  /** Hex of all that the client sent. */
  readonly body: string;
}

/** One request as the stock SDK sent it: see `record-golden.ts`. */
export const GOLDEN = JSON.parse(readFileSync(new URL('./golden.json', import.meta.url), 'utf8')) as Golden;

/** When a recording was made, in milliseconds since 1970. */
export function timeOf({ headers }: Golden): number {
  const date = String(headers['x-amz-date']);
  return Date.parse(date.replace(/^(....)(..)(..)T(..)(..)(..)Z$/, '$1-$2-$3T$4:$5:$6Z'));
}

/** The signed frames: two of audio and the empty one at the end. */
export function framesOf({ body }: Golden): Buffer[] {
  return [...new FrameReader(1e6).push(Buffer.from(body, 'hex'))];
}
