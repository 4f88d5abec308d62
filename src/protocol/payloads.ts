import { z } from 'zod';
import { GatewayError } from '../errors.ts';
import { BYTES_PER_SAMPLE, MAX_CHUNK_BYTES, SAMPLE_RATE } from './audio.ts';
import type { ProtocolVersion } from './events.ts';
import type { StartRequest } from './start-request.ts';

const DEFAULT_LANGUAGE = 'en-US';

/** The longest language tag that BCP 47 asks systems to support is 35 characters. */
const languageCode = z.string().min(1).max(35);

const startV1 = z.object({ language_code: languageCode.optional() });

/** Version-2 fields that need an engine capability which no engine of this version has: refused by name, not ignored. */
const UNSUPPORTED_FIELDS = [
  'identify_language',
  'language_options',
  'preferred_language',
  'speaker_labels',
  'partial_stability',
  'vocabulary',
  'vocabulary_filter',
  'language_model',
  'content_identification',
  'redaction',
  'entity_types',
  'translate_to',
] as const;

const startV2 = startV1.extend({
  encoding: z.string().optional(),
  sample_rate: z.number().int().positive().optional(),
  channels: z.literal(1).optional(),
  ...Object.fromEntries(UNSUPPORTED_FIELDS.map((field) => [field, z.unknown().optional()])),
});

/**
 * Checks `start_transcription`. No data at all means US English, as version 1 has it.
 * @throws GatewayError `bad_request` or `unsupported_encoding`, naming the field
 */
export function parseStart(data: unknown, version: ProtocolVersion): StartRequest {
  const given = data ?? {};
  if (version === 1) {
    const request = parse('start_transcription', startV1, given);
    return { languageCode: request.language_code ?? DEFAULT_LANGUAGE, sampleRate: SAMPLE_RATE, channels: 1 };
  }
  const request = parse('start_transcription', startV2, given);
  const fields: Readonly<Record<string, unknown>> = request;
  for (const field of UNSUPPORTED_FIELDS) {
    if (isAsked(fields[field])) {
      throw new GatewayError('bad_request', `start_transcription: the engine does not support ${field}.`);
    }
  }
  if (request.encoding !== undefined && request.encoding !== 'pcm') {
    throw new GatewayError('unsupported_encoding', `start_transcription: encoding must be 'pcm'.`);
  }
  return {
    languageCode: request.language_code ?? DEFAULT_LANGUAGE,
    sampleRate: request.sample_rate ?? SAMPLE_RATE,
    channels: 1,
  };
}

/** A field that asks for nothing (`false`, empty, null) needs no support. */
function isAsked(value: unknown): boolean {
  if (Array.isArray(value)) return value.length > 0;
  return value !== undefined && value !== null && value !== false && value !== '';
}

const chunkEvent = z.object({ chunk: z.union([z.string(), z.instanceof(Uint8Array)]) });

/**
 * Checks `audio_chunk` and returns its samples as bytes: signed 16 bit little-endian, an even number, at most one
 * second.
 * @throws GatewayError `bad_request` when there is no chunk, `bad_audio` when the chunk is not usable
 */
export function parseAudioChunk(data: unknown): Buffer {
  const { chunk } = parse('audio_chunk', chunkEvent, data ?? {});
  const audio = typeof chunk === 'string' ? decodeBase64(chunk) : toBuffer(chunk);
  if (audio.length === 0) throw badAudio('the chunk is empty');
  if (audio.length % BYTES_PER_SAMPLE !== 0) {
    throw badAudio(`the chunk has ${audio.length} bytes, an odd number; a sample has ${BYTES_PER_SAMPLE}`);
  }
  if (audio.length > MAX_CHUNK_BYTES) {
    throw badAudio(`the chunk has ${audio.length} bytes; at most ${MAX_CHUNK_BYTES} (one second) are allowed`);
  }
  return audio;
}

function badAudio(fault: string): GatewayError {
  return new GatewayError('bad_audio', `audio_chunk: ${fault}.`);
}

function toBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/**
 * Strict where Node's decoder is not: that one skips what it does not know and stops at padding, which would turn a
 * client's mistake into noise. Line breaks are allowed, because Android's default encoder inserts them and the
 * original server's decoder skipped them.
 */
function decodeBase64(text: string): Buffer {
  // Two characters of base64 per byte is generous even with line breaks; it bounds the work on hostile input.
  if (text.length > MAX_CHUNK_BYTES * 2) throw badAudio('the chunk is too long; at most one second is allowed');
  const decoded = decodeWhole(text) ?? decodeWhole(text.replace(/[\r\n\t ]+/g, ''));
  if (decoded === undefined) throw badAudio('the chunk is not base64');
  return decoded;
}

/** Undefined unless every character took part. */
function decodeWhole(text: string): Buffer | undefined {
  if (text.length % 4 !== 0 || text.includes('-') || text.includes('_')) return undefined;
  // Of a wide character the decoder would take the low byte.
  if (Buffer.byteLength(text) !== text.length) return undefined;
  const padding = text.endsWith('==') ? 2 : text.endsWith('=') ? 1 : 0;
  const decoded = Buffer.from(text, 'base64');
  return decoded.length === (text.length / 4) * 3 - padding ? decoded : undefined;
}

/** @throws GatewayError `bad_request` that names each faulty field, never its value */
function parse<T>(event: string, schema: z.ZodType<T>, data: unknown): T {
  const parsed = schema.safeParse(data);
  if (parsed.success) return parsed.data;
  const faults = parsed.error.issues.map((issue) => {
    const field = issue.path.join('.');
    return field === '' ? issue.message : `${field}: ${issue.message}`;
  });
  throw new GatewayError('bad_request', `${event}: ${faults.join('; ')}.`);
}
