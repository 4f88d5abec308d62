import { z } from 'zod';
import { parse } from './payloads.ts';

/** `watch_transcription` after its check. */
export interface WatchRequest {
  readonly sessionId: string;
  readonly watchToken: string;
  /** The last entry that the viewer has; 0 for none. */
  readonly afterSeq: number;
}

const sessionId = z.string().max(100);

const watchFields = z.object({
  session_id: sessionId,
  watch_token: z.string().max(100),
  after_seq: z.number().int().min(0).max(1e12).nullish(),
});

/** @throws GatewayError `bad_request`, naming the field */
export function parseWatch(data: unknown): WatchRequest {
  const fields = parse('watch_transcription', watchFields, data ?? {});
  return { sessionId: fields.session_id, watchToken: fields.watch_token, afterSeq: fields.after_seq ?? 0 };
}

const unwatchFields = z.object({ session_id: sessionId });

/** The session of `unwatch_transcription`. @throws GatewayError `bad_request`, naming the field */
export function parseUnwatch(data: unknown): string {
  return parse('unwatch_transcription', unwatchFields, data ?? {}).session_id;
}
