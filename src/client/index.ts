/**
 * The client library: `transcribe-gateway/client`. For browsers, Node and React Native; it needs `socket.io-client` and
 * nothing of Node.
 */
export type { AudioData } from './audio-input.ts';
export type { BackoffOptions } from './backoff.ts';
export { TranscriptionError, type TranscriptionErrorCode } from './errors.ts';
export type {
  Entity,
  Entry,
  Final,
  Gap,
  Item,
  Overflow,
  PartialResult,
  Queued,
  Retry,
  SessionInfo,
  StateChange,
  Summary,
  TranscriptionEvents,
  TranscriptionState,
} from './events.ts';
export type { TranscriptionOptions } from './options.ts';
export { createTranscription, Transcription } from './transcription.ts';
export { createWatch, Watch, type WatchEvents, type WatchOptions, type WatchState } from './watch.ts';
