import type { ErrorEvent } from '../protocol/events.ts';
import { errorOf } from './errors.ts';

/**
 * What an `error` event of the gateway calls for:
 * - `nothing`: the reply to the chunk in question says the same and is acted on.
 * - `warn`: something is wrong with the audio, and the session goes on.
 * - `go-back`: send again from a chunk on, by the session's number.
 * - `new-session`: the session does not exist any more.
 * - `new-token`: the token is not good any more.
 * - `retry`: on a new connection, after a wait; `attempt` is one that has to be outbid.
 * - `fail`: it would be refused again.
 */
export type Verdict =
  | { readonly kind: 'nothing' | 'warn' | 'new-session' | 'new-token' | 'fail' }
  | { readonly kind: 'go-back'; readonly chunk: number }
  | { readonly kind: 'retry'; readonly attempt?: number };

interface Circumstances {
  /** Audio is being sent, so that the error may be about a chunk. */
  readonly live: boolean;
  /** The highest attempt that this client has used. */
  readonly attempt: number;
  /** No other device can hold the token. */
  readonly exclusive: boolean;
}

export function judge(event: ErrorEvent, { attempt, exclusive, live }: Circumstances): Verdict {
  const error = errorOf(event);
  switch (error.code) {
    case 'chunk_gap':
      return event.expected === undefined ? { kind: 'nothing' } : { kind: 'go-back', chunk: event.expected };
    case 'bad_audio':
      return { kind: 'warn' };
    case 'audio_rate_exceeded':
    case 'rate_exceeded':
      return { kind: live ? 'nothing' : 'retry' };
    case 'no_session':
    case 'resume_expired':
      return { kind: 'new-session' };
    case 'unauthorized':
      return { kind: 'new-token' };
    case 'resume_refused':
      // Without an attempt there is nothing to outbid, and one above ours is another device's.
      if (event.attempt === undefined || (event.attempt > attempt && !exclusive)) return { kind: 'fail' };
      return { kind: 'retry', attempt: event.attempt };
    default:
      return { kind: error.retryable ? 'retry' : 'fail' };
  }
}
