/**
 * How an answer can end other than by all being said or by an exception of the service:
 * - `bad_length`, `too_long`, `prelude_checksum`, `message_checksum`, `bad_headers`, `bad_body`: the bytes are no
 *   message, and the boundary of the next one is not known;
 * - `truncated`: the answer ended inside a message;
 * - `early_end`: the answer ended in order, but before our audio did, without an exception that says why;
 * - `reset`: the stream was reset, its connection was lost, or the caller aborted it;
 * - `audio_failed`: our own audio iterator threw; its error is the `cause`.
 */
export type FrameFault =
  | 'bad_length'
  | 'too_long'
  | 'prelude_checksum'
  | 'message_checksum'
  | 'bad_headers'
  | 'bad_body'
  | 'truncated'
  | 'early_end'
  | 'reset'
  | 'audio_failed';

/** Thrown to the reader of the results. Callers branch on `fault`, never on the message. */
export class FrameError extends Error {
  override readonly name = 'FrameError';
  readonly fault: FrameFault;
  /** Error code of HTTP/2 with which the stream was closed (RFC 9113, section 7), for a `reset`. */
  readonly rstCode: number | undefined;

  constructor(fault: FrameFault, options: { readonly cause?: unknown; readonly rstCode?: number | undefined } = {}) {
    super(
      `The stream of Amazon Transcribe broke: ${fault}.`,
      options.cause === undefined ? undefined : { cause: options.cause },
    );
    this.fault = fault;
    this.rstCode = options.rstCode;
  }
}
