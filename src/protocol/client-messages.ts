/**
 * What a client of version 2 sends, as its side writes it. The gateway takes none of it on trust: `payloads.ts` checks.
 * Free of libraries, because the client library is built from it.
 */

/** The fields of `start_transcription` that say what is wanted; see `start-fields.ts` for their checks. */
export interface StartOptions {
  /** BCP 47 tag. */
  language_code?: string;
  identify_language?: true | 'one' | 'several';
  language_options?: readonly string[];
  preferred_language?: string;
  encoding?: 'pcm';
  /** Hertz. */
  sample_rate?: number;
  /** Interleaved. */
  channels?: 1 | 2;
  speaker_labels?: boolean;
  partial_stability?: 'low' | 'medium' | 'high';
  trim_silence?: boolean;
  vocabulary?: string | readonly string[];
  vocabulary_filter?: { name: string | readonly string[]; method?: 'mask' | 'remove' | 'tag' };
  language_model?: string;
  content_identification?: true | 'pii';
  redaction?: true | 'pii';
  entity_types?: readonly string[];
  transcript_format?: 'written' | 'spoken';
  translate_to?: string | readonly string[];
  word_items?: boolean;
}

export interface StartMessage extends StartOptions {
  /** 128 random bits, as text: the same for every attempt, so that a lost answer costs no second session. */
  start_key: string;
  /** Rises with each start and resume. */
  attempt: number;
  /** The client keeps its audio until `audio_ack` covers it. */
  acks: true;
}

export interface ChunkMessage {
  /** 16 bit little-endian PCM. */
  chunk: Uint8Array;
  /** From 1, without holes. */
  seq: number;
  /** Samples before it. */
  offset: number;
}

export interface ResumeMessage {
  session_id: string;
  resume_token: string;
  attempt: number;
  /** The highest that the client has seen. */
  epoch: number;
  /** The last entry that was given to the application, 0 for none, and where it ends, in samples. */
  last_seq: number;
  last_end: number;
  /** The last acknowledged position, in samples. */
  acked: number;
  /** The first chunk that the client still holds or will record next, and where it begins, in samples. */
  oldest_chunk: number;
  oldest_offset: number;
}

export interface StopMessage {
  /** Number of the last chunk, 0 for none. */
  last_chunk: number;
}
