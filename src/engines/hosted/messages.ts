import type { EngineCapabilities, EngineResult, EngineStreamOptions } from '../engine.ts';
import type { SentError } from './sent-error.ts';

/** The applicant stays where it is: a hosted engine counts no streams of an account. */
type SentOptions = Omit<EngineStreamOptions, 'applicant'>;

/** What a client tells the host. Streams are numbered by the client, upwards; no number is used again. */
export type ToHost =
  /** Answered by `opened` or `failed`. */
  | { readonly type: 'open'; readonly stream: number; readonly options: SentOptions }
  /** Answered by `taken`, in order, unless the stream is over before. */
  | { readonly type: 'audio'; readonly stream: number; readonly audio: Buffer }
  | { readonly type: 'end'; readonly stream: number }
  /** Also while the stream is being opened. Not answered: the client knows nothing of the stream any more. */
  | { readonly type: 'abort'; readonly stream: number };

/** What the host tells a client. `ended` and `failed` are the last of a stream. */
export type FromHost =
  /** First and once. */
  | { readonly type: 'hello'; readonly capabilities: EngineCapabilities }
  /** Whenever it has changed, from `false` on: see `Engine.isFull`. */
  | { readonly type: 'room'; readonly isFull: boolean }
  | { readonly type: 'opened'; readonly stream: number }
  /** The engine can take more. */
  | { readonly type: 'taken'; readonly stream: number }
  | { readonly type: 'result'; readonly stream: number; readonly result: EngineResult }
  | { readonly type: 'ended'; readonly stream: number }
  /** The stream was refused, or has broken. */
  | { readonly type: 'failed'; readonly stream: number; readonly error: SentError };
