import { z } from 'zod';
import { GatewayError } from '../errors.ts';
import { type AudioFormat, frameBytes, MONO_16_KHZ, maxChunkBytes, SAMPLE_RATE } from './audio.ts';
import type { ProtocolVersion } from './events.ts';
import { illegalCombinations } from './start-combinations.ts';
import { type StartFields, startFieldsV1, startFieldsV2 } from './start-fields.ts';
import type { PersonalData, StartRequest } from './start-request.ts';

const DEFAULT_LANGUAGE = 'en-US';

/**
 * Checks `start_transcription`. No data at all means US English, as version 1 has it.
 * @throws GatewayError `bad_request` or `unsupported_encoding`, naming the field
 */
export function parseStart(data: unknown, version: ProtocolVersion): StartRequest {
  const given = data ?? {};
  if (version === 1) {
    const request = parse('start_transcription', startFieldsV1, given);
    return { languageCode: request.language_code ?? DEFAULT_LANGUAGE, sampleRate: SAMPLE_RATE, channels: 1 };
  }
  const fields = parse('start_transcription', startFieldsV2, given);
  if (fields.translate_to !== undefined) {
    throw new GatewayError('bad_request', 'start_transcription: the engine does not support translate_to.');
  }
  if (fields.encoding !== undefined && fields.encoding !== null && fields.encoding !== 'pcm') {
    throw new GatewayError('unsupported_encoding', `start_transcription: encoding must be 'pcm'.`);
  }
  const faults = illegalCombinations(fields);
  if (faults.length > 0) throw new GatewayError('bad_request', `start_transcription: ${faults.join('; ')}.`);
  return toRequest(fields);
}

/** What legal fields ask for. */
function toRequest(fields: StartFields): StartRequest {
  const filter = fields.vocabulary_filter;
  return {
    languageCode: fields.identify_language === undefined ? (fields.language_code ?? DEFAULT_LANGUAGE) : undefined,
    identify: fields.identify_language && {
      languages: fields.identify_language === 'several' ? 'several' : 'one',
      options: fields.language_options ?? [],
      preferred: fields.preferred_language,
    },
    sampleRate: fields.sample_rate ?? SAMPLE_RATE,
    channels: fields.channels ?? 1,
    speakerLabels: fields.speaker_labels,
    partialStability: fields.partial_stability,
    vocabularies: fields.vocabulary,
    vocabularyFilter: filter && { names: filter.name, method: filter.method ?? 'mask' },
    languageModel: fields.language_model,
    personalData: personalDataOf(fields),
    transcriptFormat: fields.transcript_format,
    trimSilence: fields.trim_silence,
  };
}

function personalDataOf(fields: StartFields): PersonalData | undefined {
  if (fields.redaction === undefined && fields.content_identification === undefined) return undefined;
  const types = fields.entity_types ?? [];
  return {
    action: fields.redaction === undefined ? 'identify' : 'redact',
    entityTypes: types.includes('ALL') ? [] : types,
  };
}

const chunkEvent = z.object({ chunk: z.union([z.string(), z.instanceof(Uint8Array)]) });

/**
 * Checks `audio_chunk` and returns its samples as bytes: signed 16 bit little-endian, whole frames of the session's
 * format, at most one second.
 * @throws GatewayError `bad_request` when there is no chunk, `bad_audio` when the chunk is not usable
 */
export function parseAudioChunk(data: unknown, format: AudioFormat = MONO_16_KHZ): Buffer {
  const { chunk } = parse('audio_chunk', chunkEvent, data ?? {});
  const limit = maxChunkBytes(format);
  const audio = typeof chunk === 'string' ? decodeBase64(chunk, limit) : toBuffer(chunk);
  if (audio.length === 0) throw badAudio('the chunk is empty');
  const frame = frameBytes(format);
  if (audio.length % frame !== 0) {
    const fault = audio.length % 2 === 1 ? 'an odd number' : 'not a whole number of frames';
    throw badAudio(`the chunk has ${audio.length} bytes, ${fault}; a frame has ${frame}`);
  }
  if (audio.length > limit) {
    throw badAudio(`the chunk has ${audio.length} bytes; at most ${limit} (one second) are allowed`);
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
function decodeBase64(text: string, limit: number): Buffer {
  // Two characters of base64 per byte is generous even with line breaks; it bounds the work on hostile input.
  if (text.length > limit * 2) throw badAudio('the chunk is too long; at most one second is allowed');
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
export function parse<T>(event: string, schema: z.ZodType<T>, data: unknown): T {
  const parsed = schema.safeParse(data);
  if (parsed.success) return parsed.data;
  const faults = parsed.error.issues.map((issue) => {
    const field = issue.path.join('.');
    return field === '' ? issue.message : `${field}: ${issue.message}`;
  });
  throw new GatewayError('bad_request', `${event}: ${faults.join('; ')}.`);
}
