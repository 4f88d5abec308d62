import { z } from 'zod';
import { parse } from './payloads.ts';

/** What a version-2 client says about its session besides what is to be transcribed. */
export interface StartTerms {
  /** The client numbers its chunks, keeps them until they are acknowledged, and wants to be told. */
  readonly acks: boolean;
  /** Names this start, so that a repeat of it ends the session that an earlier attempt began. */
  readonly start?: { readonly key: string; readonly attempt: number } | undefined;
}

/** `resume_transcription` after its check. Positions are samples. */
export interface ResumeRequest {
  readonly sessionId: string;
  readonly resumeToken: string;
  readonly attempt: number;
  /** The highest epoch that the client has seen. */
  readonly epoch: number;
  /** The last entry that the client has, 0 for none, and its end. */
  readonly lastSeq: number;
  readonly lastEnd: number;
  /** The last acknowledged offset. */
  readonly acked: number;
  /** The oldest chunk that the client holds, or the next that it will send, and where that begins. */
  readonly oldest: { readonly chunk: number; readonly offset: number };
}

/** 128 random bits have 22 characters in base64 and 32 in hexadecimal. */
const startKey = z.string().regex(/^[\w+/=-]{16,64}$/, 'expected 128 random bits as text');
/** Far above what a client can reach, and far below where numbers lose their units. */
const count = z.number().int().min(0).max(1e12);
const number = count.min(1);

const startTerms = z.object({
  acks: z.boolean().nullish(),
  start_key: startKey.nullish(),
  attempt: number.nullish(),
});

/**
 * The terms of a version-2 `start_transcription`.
 * @throws GatewayError `bad_request`, naming the field
 */
export function parseStartTerms(data: unknown): StartTerms {
  const { acks, attempt, start_key: key } = parse('start_transcription', startTerms, data ?? {});
  return { acks: acks ?? false, ...(typeof key === 'string' && { start: { key, attempt: attempt ?? 1 } }) };
}

const resumeFields = z.object({
  session_id: z.string().max(100),
  resume_token: z.string().max(100),
  attempt: number,
  epoch: count,
  last_seq: count,
  last_end: count,
  acked: count,
  oldest_chunk: number,
  oldest_offset: count,
});

/** @throws GatewayError `bad_request`, naming the field */
export function parseResume(data: unknown): ResumeRequest {
  const fields = parse('resume_transcription', resumeFields, data ?? {});
  return {
    sessionId: fields.session_id,
    resumeToken: fields.resume_token,
    attempt: fields.attempt,
    epoch: fields.epoch,
    lastSeq: fields.last_seq,
    lastEnd: fields.last_end,
    acked: fields.acked,
    oldest: { chunk: fields.oldest_chunk, offset: fields.oldest_offset },
  };
}

const chunkNumber = z.object({ seq: number.nullish() });

/** The number of an `audio_chunk`, from a client that numbers them. @throws GatewayError `bad_request` */
export function parseChunkNumber(data: unknown): number | undefined {
  return parse('audio_chunk', chunkNumber, data ?? {}).seq ?? undefined;
}

const stopFields = z.object({ last_chunk: count.nullish() });

/** The number of the last chunk, from a client that says it with `stop_transcription`. @throws GatewayError `bad_request` */
export function parseStop(data: unknown): number | undefined {
  return parse('stop_transcription', stopFields, data ?? {}).last_chunk ?? undefined;
}
