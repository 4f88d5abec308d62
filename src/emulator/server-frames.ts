/** The messages that the server sends. */
import { encodeMessage } from './event-stream.ts';
import type { Refusal } from './refusal.ts';
import type { TranscriptResult } from './transcript.ts';

/** The frame of an exception, with its headers in the order in which AWS sends them. */
export function exceptionFrame(refusal: Refusal): Buffer {
  return encodeMessage(
    [
      [':exception-type', { type: 'string', value: refusal.exception }],
      [':content-type', { type: 'string', value: 'application/json' }],
      [':message-type', { type: 'string', value: 'exception' }],
    ],
    Buffer.from(JSON.stringify({ Message: refusal.message })),
  );
}

/** An event with results; AWS sends events without any, too. */
export function transcriptFrame(results: readonly TranscriptResult[]): Buffer {
  return encodeMessage(
    [
      [':event-type', { type: 'string', value: 'TranscriptEvent' }],
      [':content-type', { type: 'string', value: 'application/json' }],
      [':message-type', { type: 'string', value: 'event' }],
    ],
    Buffer.from(JSON.stringify({ Transcript: { Results: results } })),
  );
}
